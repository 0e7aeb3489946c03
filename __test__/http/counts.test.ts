import { expect, test } from 'vitest'
import { RequestCounts } from '../../src/http/counts.js'

test('replies are counted by endpoint and status', () => {
  const counts = new RequestCounts()
  counts.count('track', 200)
  counts.count('track', 200)
  counts.count('import', 413)
  counts.count(undefined, 599)
  expect([...counts.requests()]).toEqual([
    { endpoint: 'track', status: 200, count: 2 },
    { endpoint: 'import', status: 413, count: 1 },
    { endpoint: 'other', status: 599, count: 1 },
  ])
})

test('durations fall into the first bucket they fit, what is longer than all into the last', () => {
  const counts = new RequestCounts()
  for (const ms of [0, 0.25, 0.26, 1, 16384, 16385]) counts.observe(ms)
  const { bucketsMs, counts: buckets, sumMs } = counts.durations()
  expect(buckets.length).toBe(bucketsMs.length + 1)
  expect(buckets.reduce((sum, one) => sum + one)).toBe(6)
  expect([buckets[0], buckets[bucketsMs.indexOf(0.5)], buckets[bucketsMs.indexOf(1)]]).toEqual([2, 1, 1])
  expect([buckets.at(-2), buckets.at(-1)]).toEqual([1, 1])
  expect(sumMs).toBeCloseTo(32770.51)
})
