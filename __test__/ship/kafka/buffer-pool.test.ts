import { expect, it } from 'vitest'
import { BufferPool } from '../../../src/ship/kafka/buffer-pool.js'

const KiB = 1024

it('hands out memory of its own until some comes back, and then that', () => {
  const pool = new BufferPool()
  const [first, second] = [pool.take(100 * KiB), pool.take(100 * KiB)]
  expect(first).toHaveLength(100 * KiB)
  expect(first.buffer).not.toBe(second.buffer)
  pool.giveBack(first.subarray(10, 50))
  const third = pool.take(120 * KiB)
  expect(third.buffer).toBe(first.buffer)
  expect(third.byteOffset).toBe(0)
  expect(pool.take(1).buffer).not.toBe(first.buffer)
})

it('the smallest that is large enough is used first; too small is not used', () => {
  const pool = new BufferPool()
  const [small, large, middle] = [pool.take(64 * KiB), pool.take(512 * KiB), pool.take(256 * KiB)]
  for (const bytes of [large, small, middle]) pool.giveBack(bytes)
  expect(pool.take(200 * KiB).buffer).toBe(middle.buffer)
  expect(pool.take(200 * KiB).buffer).toBe(large.buffer)
  expect(pool.take(200 * KiB).buffer).not.toBe(small.buffer)
})

it('P7: keeps eight at most, and none above 2 MiB', () => {
  const pool = new BufferPool()
  const taken = Array.from({ length: 12 }, (_, index) => pool.take((index + 1) * 64 * KiB))
  const huge = pool.take(3 * KiB * KiB)
  for (const bytes of [...taken, huge]) pool.giveBack(bytes)
  const again = Array.from({ length: 12 }, () => pool.take(1).buffer)
  expect(again.filter((memory) => taken.some(({ buffer }) => buffer === memory))).toHaveLength(8)
  expect(again).not.toContain(huge.buffer)
})
