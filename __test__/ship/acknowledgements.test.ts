import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Acknowledgements } from '../../src/ship/acknowledgements.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** What became of a promise so far. */
function watch(promise: Promise<void>): { state: string } {
  const watched = { state: 'waits' }
  promise.then(
    () => (watched.state = 'acknowledged'),
    (error: Error) => (watched.state = error.message),
  )
  return watched
}

it('P1: a request is acknowledged with its last record, in whatever order they come, and not before', async () => {
  const all = new Acknowledgements(1000)
  const [first, second, third] = [watch(all.of(10, 3)), watch(all.of(13, 1)), watch(all.of(14, 2))]
  all.note([12, 14, 10, 9, 16])
  await vi.advanceTimersByTimeAsync(0)
  expect([first.state, second.state, third.state]).toEqual(['waits', 'waits', 'waits'])
  all.note([13])
  all.note([11])
  await vi.advanceTimersByTimeAsync(0)
  expect([first.state, second.state, third.state]).toEqual(['acknowledged', 'acknowledged', 'waits'])
  expect(all.size).toBe(1)
})

it('P1: an acknowledgement that is told twice counts once', async () => {
  const all = new Acknowledgements(1000)
  const request = watch(all.of(5, 2))
  all.note([5, 5])
  await vi.advanceTimersByTimeAsync(0)
  expect(request.state).toBe('waits')
  all.note([6])
  await vi.advanceTimersByTimeAsync(0)
  expect(request.state).toBe('acknowledged')
})

it('P2: never silence: at the deadline it fails, alone, and is counted', async () => {
  const all = new Acknowledgements(1000)
  const early = watch(all.of(0, 1))
  await vi.advanceTimersByTimeAsync(600)
  const late = watch(all.of(1, 1))
  await vi.advanceTimersByTimeAsync(400)
  expect([early.state, late.state]).toEqual(['Kafka did not acknowledge it within 1000 ms', 'waits'])
  expect(all.late).toBe(1)
  all.note([0, 1])
  await vi.advanceTimersByTimeAsync(0)
  expect(late.state).toBe('acknowledged')
  expect(all.size).toBe(0)
})

it('P2: when it closes nobody waits on, and nobody can begin to', async () => {
  const all = new Acknowledgements(1000)
  const request = watch(all.of(0, 1))
  all.close()
  const after = watch(all.of(1, 1))
  await vi.advanceTimersByTimeAsync(0)
  expect([request.state, after.state]).toEqual(['the server is stopping', 'the server is stopping'])
  expect(vi.getTimerCount()).toBe(0)
})

it('is as its plain model for many requests whose records come in any order', async () => {
  const all = new Acknowledgements(60_000)
  const requests = Array.from({ length: 200 }, (_, index) => ({ first: index * 4, records: 1 + (index % 4) }))
  const watched = requests.map(({ first, records }) => watch(all.of(first, records)))
  const offsets = requests.flatMap(({ first, records }) =>
    Array.from({ length: records }, (_, n) => first + n),
  )
  const shuffled = offsets.toSorted((a, b) => ((a * 7919) % 811) - ((b * 7919) % 811))
  const seen = new Set<number>()
  for (const offset of shuffled) {
    all.note([offset])
    seen.add(offset)
  }
  await vi.advanceTimersByTimeAsync(0)
  expect(new Set(watched.map(({ state }) => state))).toEqual(new Set(['acknowledged']))
})
