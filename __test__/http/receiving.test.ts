import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { ReceivingList, type TimedReceiving } from '../../src/http/receiving.js'

class Request implements TimedReceiving {
  older: TimedReceiving | undefined = undefined
  newer: TimedReceiving | undefined = undefined
  constructor(readonly startedMs: number) {}
  broken(): void {}
}

it('holds what a Set would, in its order', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(9)), { maxLength: 100 })
  fc.assert(
    fc.property(steps, (list) => {
      const requests = Array.from({ length: 10 }, (_, index) => new Request(index))
      const [receiving, set] = [new ReceivingList(), new Set<TimedReceiving>()]
      for (const [adds, index] of list) {
        const request = requests[index]!
        if (!adds) {
          receiving.delete(request)
          set.delete(request)
        } else if (!set.has(request)) {
          receiving.add(request)
          set.add(request)
        }
        expect([...receiving]).toEqual([...set])
      }
    }),
  )
})

it('each may be deleted by whoever it is handed to', () => {
  const list = new ReceivingList()
  const requests = [1, 2, 3].map((ms) => new Request(ms))
  requests.forEach((request) => list.add(request))
  const seen: number[] = []
  for (const request of list) {
    seen.push(request.startedMs)
    list.delete(request)
  }
  expect(seen).toEqual([1, 2, 3])
  expect([...list]).toEqual([])
})
