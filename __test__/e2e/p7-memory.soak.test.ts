/** P7: hostile bodies, over and over: memory comes back each time, and does not creep. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { exchange } from '../support/http.js'
import { gzipBomb } from './support/bomb.js'
import { event, post, postJson } from './support/events.js'
import { print } from './support/print.js'
import { startServer, waitFor, workspace } from './support/server.js'

const ROUNDS = 20
const AT_ONCE = 30
/** From the third round on: what the allocator and the collector keep has been kept by then. */
const CREEP_MIB_MAX = 64

describe('P7: memory under hostile bodies, the long form', () => {
  it(`${ROUNDS} rounds of ${AT_ONCE} at once: bounded, given back, no creep`, async () => {
    const server = await startServer({ dataDir: workspace(), args: ['--log-max-bytes', '1GiB'] })
    const before = (await server.status()).memory['used_bytes']!
    const bomb = gzipBomb(1024)
    const wide = gzipSync(
      JSON.stringify(Array.from({ length: 2000 }, () => event('', { x: 'x'.repeat(4000) }))),
    )
    const bodies = [bomb, wide, Buffer.from('['.repeat(5_000_000)), Buffer.alloc(9_000_000, 0xff)]
    const rows: { round: number; ms: number; rssMiB: number; peakMiB: number }[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const started = performance.now()
      const attack = Array.from({ length: AT_ONCE }, (_, n) => {
        const body = bodies[n % bodies.length]!
        const coding: Record<string, string> = body[0] === 0x1f ? { 'Content-Encoding': 'gzip' } : {}
        return exchange(server.ingest, post('/track', body, coding))
      })
      const replies = await Promise.all(attack)
      for (const { status } of replies) expect([200, 413, 503]).toContain(status)
      expect((await exchange(server.ingest, postJson('/track', event('good')))).status).toBe(200)
      await waitFor(async () => ((await server.status()).memory['used_bytes']! <= before ? true : undefined))
      const { now, peak } = server.memoryMiB()
      rows.push({ round, ms: performance.now() - started, rssMiB: now, peakMiB: peak })
    }
    print('hostile bodies, resident memory after each round', rows)
    // The budget of 256 MiB, and what the process itself needs.
    expect(rows.at(-1)!.peakMiB).toBeLessThan(256 + 250)
    const settled = Math.max(...rows.slice(2, 6).map(({ peakMiB }) => peakMiB))
    expect(rows.at(-1)!.peakMiB).toBeLessThan(settled + CREEP_MIB_MAX)
  })
})
