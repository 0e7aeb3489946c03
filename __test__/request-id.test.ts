import { expect, it } from 'vitest'
import { requestId, RequestIds, textOf } from '../src/request-id.js'

const next = (ids: RequestIds, ms: number): string => textOf(ids.next(ms))

const RANDOM = Uint8Array.from([0, 31, 32, 255, 7, 8, 9, 10])

it('has the length and the alphabet of a ULID', () => {
  const ids = new RequestIds(RANDOM)
  // Ten of time, eight of the process (its bytes modulo 32), eight that count.
  expect(next(ids, 0)).toBe('00000000000Z0Z789A00000000')
  expect(next(ids, 0)).toBe('00000000000Z0Z789A00000001')
})

it('begins with the time, as ULIDs do', () => {
  // The example of the ULID specification.
  expect(next(new RequestIds(RANDOM), 1_469_918_176_385).slice(0, 10)).toBe('01ARYZ6S41')
  expect(next(new RequestIds(RANDOM), 0).slice(0, 10)).toBe('0000000000')
})

it('is unique in a process, whatever the clock does', () => {
  const ids = new RequestIds(RANDOM)
  const times = [5, 5, 6, 5, 4, 1_795_500_000_000, 5]
  const all = Array.from({ length: 5000 }, (_, index) => next(ids, times[index % times.length]!))
  expect(new Set(all).size).toBe(5000)
  expect(all.every((id) => /^[0-9A-HJKMNP-TV-Z]{26}$/.test(id))).toBe(true)
})

it('sorts by time, then by order', () => {
  const ids = new RequestIds(RANDOM)
  const all = [1, 1, 2, 31, 32, 33, 1023, 1024, 1_795_500_000_000].map((ms) => next(ids, ms))
  expect(all.toSorted()).toEqual(all)
})

it('counts on within a millisecond, over the places of its last characters', () => {
  const ids = new RequestIds(RANDOM)
  const all = Array.from({ length: 2100 }, () => next(ids, 7))
  expect(all.toSorted()).toEqual(all)
  expect(new Set(all).size).toBe(2100)
  expect(all[31]!.slice(-3) + all[32]!.slice(-3) + all[2099]!.slice(-4)).toBe('00Z010021K')
})

it('tells processes apart', () => {
  const other = Uint8Array.from([...RANDOM.slice(0, 7), 11])
  expect(next(new RequestIds(RANDOM), 5)).not.toBe(next(new RequestIds(other), 5))
})

it('has a head that those of a moment share', () => {
  const ids = new RequestIds(RANDOM)
  const heads = Array.from({ length: 64 }, () => ids.next(7).head)
  expect(new Set(heads).size).toBe(2)
  expect([heads[0], heads[31]]).toEqual([heads[1], heads[1]])
})

it('may be made of any text', () => {
  for (const text of ['a', 'ab', '01ARYZ6S410000000000000000']) expect(textOf(requestId(text))).toBe(text)
})
