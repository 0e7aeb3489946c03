/** When and where bodies are inflated: docs/PROTOCOL.md 2, step 1, and promise P7. */
import { randomBytes } from 'node:crypto'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { deflateStart } from '../../src/http/gzip.js'
import {
  type Inflated,
  Inflater,
  INLINE_BYTES_MAX,
  INLINE_OUTPUT_MAX,
  THREADS_MAX,
} from '../../src/http/inflate.js'

const MiB = 2 ** 20

/** Starts to inflate; what is held at once, and what comes of it. */
function start(inflater: Inflater, body: Buffer, limit = 10 * MiB, memory = Infinity) {
  const holds: number[] = []
  let settle: (result: Inflated) => void
  const result = new Promise<Inflated>((resolve) => (settle = resolve))
  let now: Inflated | undefined
  const hold = (bytes: number): boolean => bytes <= memory && holds.push(bytes) > 0
  inflater.inflate({ body, limit, hold, done: (given) => settle((now = given)) })
  return { holds, now, result }
}

describe('where', () => {
  test('a small body is inflated at once', () => {
    const { now, holds } = start(new Inflater(), gzipSync('small'))
    expect(now).toEqual({ body: Buffer.from('small') })
    expect(holds.length).toBe(1)
  })

  test('a small body that grows large goes to the thread pool', async () => {
    const large = Buffer.alloc(INLINE_OUTPUT_MAX + 1, 'x')
    const { now, result } = start(new Inflater(), gzipSync(large))
    expect(now).toBeUndefined()
    expect(await result).toEqual({ body: large })
  })

  test('of large bodies no more than two are inflated at a time; the others wait without memory', async () => {
    const inflater = new Inflater()
    const large = randomBytes(INLINE_BYTES_MAX + 1)
    const jobs = Array.from({ length: 5 }, () => start(inflater, gzipSync(large)))
    expect(jobs.map(({ holds }) => holds.length)).toEqual(
      Array.from({ length: 5 }, (_, n) => (n < THREADS_MAX ? 1 : 0)),
    )
    for (const { result } of jobs) expect(await result).toEqual({ body: large })
  })

  test('one that fails lets the next one in', async () => {
    const inflater = new Inflater()
    const broken = gzipSync(randomBytes(2 * INLINE_BYTES_MAX)).fill(0xff, 1000, 2000)
    const jobs = Array.from({ length: 5 }, () => start(inflater, broken))
    for (const { result } of jobs) expect(await result).toEqual({ fault: 'invalid' })
    expect(await start(inflater, broken, 10 * MiB, 10).result).toEqual({ fault: 'refused' })
    expect(await start(inflater, broken).result).toEqual({ fault: 'invalid' })
  })
})

describe('limits', () => {
  test('exactly the limit is fine, one byte more is not; members count together', async () => {
    for (const size of [1000, INLINE_OUTPUT_MAX + 1]) {
      const body = gzipSync(Buffer.alloc(size))
      expect(await start(new Inflater(), body, size).result).toEqual({ body: Buffer.alloc(size) })
      expect(await start(new Inflater(), body, size - 1).result).toEqual({ fault: 'too large' })
      const twice = Buffer.concat([body, body])
      expect(await start(new Inflater(), twice, 2 * size).result).toEqual({ body: Buffer.alloc(2 * size) })
      expect(await start(new Inflater(), twice, 2 * size - 1).result).toEqual({ fault: 'too large' })
      expect(await start(new Inflater(), twice, size).result).toEqual({ fault: 'too large' })
      const oneMore = Buffer.concat([body, gzipSync('x')])
      expect(await start(new Inflater(), oneMore, size).result).toEqual({ fault: 'too large' })
    }
  })

  test('without memory nothing is inflated', async () => {
    expect(start(new Inflater(), gzipSync('small'), MiB, 0).now).toEqual({ fault: 'refused' })
    const large = gzipSync(randomBytes(2 * INLINE_BYTES_MAX))
    expect(await start(new Inflater(), large, MiB, 0).result).toEqual({ fault: 'refused' })
  })
})

describe('headers of gzip', () => {
  const data = deflateRawSync('data')
  const trailer = gzipSync('data').subarray(-8)
  const member = (flags: number, ...extra: number[]): Buffer =>
    Buffer.concat([Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3, ...extra]), data, trailer])

  test.each([
    ['nothing', member(0)],
    ['text', member(1)],
    ['a checksum', member(2, 9, 9)],
    ['an extra field', member(4, 3, 0, 1, 2, 3)],
    ['a name', member(8, 0x61, 0x62, 0)],
    ['a comment', member(16, 0x61, 0)],
    ['all of them', member(31, 1, 0, 7, 0x61, 0, 0x62, 0, 9, 9)],
  ])('with %s', (_what, body) => {
    expect(start(new Inflater(), body).now).toEqual({ body: Buffer.from('data') })
  })

  test.each([
    ['another method', Buffer.from([0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 3, 1])],
    ['a cut header', member(0).subarray(0, 9)],
    ['an extra field that is cut', member(4).subarray(0, 11)],
    ['a name without end', Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, 0x61, 0x61])],
    ['nothing behind the header', member(0).subarray(0, 10)],
  ])('not with %s', (_what, body) => expect(deflateStart(body, 0)).toBeUndefined())
})
