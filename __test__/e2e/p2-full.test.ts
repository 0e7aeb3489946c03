/** P2 when there is no room: the answer says so, on every endpoint, and it comes back by itself. */
import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { exchange, type RawRequest, type Reply } from '../support/http.js'
import { describeWith } from '../support/require.js'
import { event, get, importable, postForm, postGzip, postJson } from './support/events.js'
import {
  cli,
  inTime,
  launch,
  type ServerProcess,
  startServer,
  type Status,
  waitFor,
  workspace,
} from './support/server.js'
import { tail } from './support/tail.js'

const ORIGIN = { Origin: 'https://shop.example' }
/** The smallest log there is: 16 MiB, in segments of 1 MiB. */
const SMALL = ['--log-max-bytes', '16MiB', '--log-segment-bytes', '1MiB', '--batch-bytes-max', '1MiB']
const ARGS = [...SMALL, '--body-limit-bytes', '1MiB', '--reject-bytes-max', '4MiB']
const PROFILE = { $token: 't0k', $distinct_id: 'u1', $set: { plan: 'pro' } }
const GROUP = { $token: 't0k', $group_key: 'company', $group_id: 'acme', $set: { x: 1 } }

/** About 300 KiB of events, none like another. */
let filled = 0
function filler(): RawRequest {
  const pad = 'x'.repeat(3000)
  return postJson(
    '/track',
    Array.from({ length: 100 }, () => event('fill', { n: filled++, pad })),
    ORIGIN,
  )
}

/** Sends until something else than 200 comes; the number of events accepted, and that answer. */
async function fill(ingest: string, requestsMax = 100): Promise<{ accepted: number; answer: Reply }> {
  for (let accepted = 0, at = 0; at < requestsMax; at++, accepted += 100) {
    const answer = await exchange(ingest, filler())
    if (answer.status !== 200) return { accepted, answer }
  }
  throw new Error('it does not get full')
}

const CODED = { code: 503, error: 'unavailable, retry later', status: 'Service Unavailable' }
const PLAIN = { error: 'unavailable, retry later', status: 0 }
const EVERYWHERE: readonly [string, RawRequest, object][] = [
  ['/track, form', postForm('/track', event('e')), PLAIN],
  ['/track, gzip, verbose', postGzip('/track?verbose=1', JSON.stringify(event('e'))), PLAIN],
  ['/track, GET with img=1', get('/track?img=1', event('e')), PLAIN],
  ['/track, JSONP', get('/track?callback=f', event('e')), PLAIN],
  ['/engage', postJson('/engage', PROFILE), PLAIN],
  ['/groups', postJson('/groups', GROUP), PLAIN],
  ['/import', postJson('/import', importable('e', 'a-1')), CODED],
  ['/import, strict', postJson('/import?strict=1', importable('e', 'a-1')), CODED],
]

async function expectRefusedEverywhere(ingest: string): Promise<void> {
  for (const [name, request, body] of EVERYWHERE) {
    const reply = await exchange(ingest, { ...request, headers: { ...request.headers, ...ORIGIN } })
    expect(reply.status, name).toBe(503)
    expect(JSON.parse(reply.body.toString()), name).toEqual(body)
    expect(reply.headers.get('retry-after'), name).toMatch(/^[1-9]\d*$/)
    expect(reply.headers.get('access-control-allow-origin'), name).toBe(ORIGIN.Origin)
    expect(reply.headers.get('access-control-expose-headers'), name).toBe('Retry-After')
  }
}

async function untilWritable(server: ServerProcess): Promise<Status> {
  return waitFor(async () => {
    const status = await server.status()
    return status.log.state === 'writable' ? status : undefined
  })
}

describe('P2: a log at its limit', () => {
  it('answers 503 with Retry-After and CORS everywhere, stays ready, and comes back when a cursor has passed', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: ARGS })
    const { accepted, answer } = await fill(server.ingest)
    expect(answer.status).toBe(503)
    expect(accepted).toBeGreaterThan(3000)
    await expectRefusedEverywhere(server.ingest)
    // A balancer must not turn away: its own 503 would lack CORS.
    expect(await server.readiness()).toMatchObject({ status: 200, ready: true, accepting: false })
    const { log } = await server.status()
    expect(log).toMatchObject({
      state: 'full',
      next_offset: accepted,
      durable_offset: accepted,
      failovers: 0,
    })
    expect(log.bytes).toBeLessThanOrEqual(log.bytes_max)
    expect((await fetch(`${server.ops}/health`)).status).toBe(200)

    // Read by a consumer: its cursor passes the segments, and they may go.
    expect(await tail(dataDir, ['--cursor', 'warehouse'])).toHaveLength(accepted)
    const { log: after } = await untilWritable(server)
    expect(after.first_offset).toBeGreaterThan(0)
    expect((await server.readiness()).accepting).toBe(true)
    expect((await exchange(server.ingest, filler())).status).toBe(200)
    expect(await tail(dataDir, ['--cursor', 'warehouse'])).toHaveLength(100)
  })

  it('is full at the next start, too, and serves all the same', async () => {
    const dataDir = workspace()
    const first = await startServer({ dataDir, args: ARGS })
    const { accepted } = await fill(first.ingest)
    await first.kill()
    const server = await startServer({ dataDir, args: ARGS })
    await fill(server.ingest)
    await expectRefusedEverywhere(server.ingest)
    expect((await cli(['cursors', 'set', 'all', String(accepted), '--data-dir', dataDir])).code).toBe(0)
    await untilWritable(server)
    expect((await exchange(server.ingest, filler())).status).toBe(200)
  })

  it('--log-when-full drop-oldest goes on instead, and counts what went', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: [...ARGS, '--log-when-full', 'drop-oldest'] })
    for (let at = 0; at < 70; at++) expect((await exchange(server.ingest, filler())).status).toBe(200)
    // Old segments are removed behind the answer: look until nothing changes any more.
    const { log, lines } = await waitFor(async () => {
      const { log: seen } = await server.status()
      const printed = await tail(dataDir)
      const settled = printed[0]?.offset === seen.first_offset && seen.dropped === seen.first_offset
      return settled ? { log: seen, lines: printed } : undefined
    })
    expect(log).toMatchObject({ state: 'writable', next_offset: 7000 })
    expect(log.first_offset).toBeGreaterThan(1000)
    expect(log.bytes).toBeLessThanOrEqual(log.bytes_max)
    expect(lines).toHaveLength(7000 - log.first_offset)
  })
})

/** A file system of its own, small and in memory, in a mount namespace that goes with its last process. */
async function smallDisk(mebibytes: number): Promise<{ within: string[]; dataDir: string; seen: string }> {
  const dataDir = workspace()
  const script = `mount -t tmpfs -o size=${mebibytes}m none "$0" && echo mounted && exec sleep 600`
  const holder = launch(['unshare', '-m', 'sh', '-c', script, dataDir])
  await waitFor(() => (holder.stdout.includes('mounted') ? true : undefined))
  return {
    within: ['nsenter', '-t', String(holder.pid), '-m'],
    dataDir,
    seen: join(`/proc/${holder.pid}/root`, dataDir),
  }
}

/** Takes what is left of the disk. */
function takeAllSpace(seen: string): string {
  const path = join(seen, 'filler')
  for (const bytes of [1024 * 1024, 4096]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(bytes, 1), { flag: 'a' })
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
    }
  }
  return path
}

describeWith('mounts', 'P2, P9: a full disk', () => {
  const BIG = ['--log-max-bytes', '1GiB', '--log-segment-bytes', '4MiB']

  it('answers 503 and loses nothing; when space returns it goes on without a hand', async () => {
    const { within, dataDir, seen } = await smallDisk(48)
    const server = await startServer({ dataDir, within, args: BIG })
    expect((await exchange(server.ingest, filler())).status).toBe(200)
    const filler0 = takeAllSpace(seen)
    const { accepted, answer } = await fill(server.ingest)
    expect(answer.status).toBe(503)
    await expectRefusedEverywhere(server.ingest)
    expect(await server.readiness()).toMatchObject({ status: 200, accepting: false })
    expect((await server.status()).log.state).toBe('full')
    rmSync(filler0)
    await untilWritable(server)
    expect((await exchange(server.ingest, filler())).status).toBe(200)
    const lines = await tail(dataDir, [], within)
    expect(lines.map(({ offset }) => offset)).toEqual(lines.map((_, at) => at))
    expect(lines).toHaveLength(accepted + 200)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })

  it('a start on a full disk serves 503, and events once there is space', async () => {
    const { within, dataDir, seen } = await smallDisk(32)
    const first = await startServer({ dataDir, within, args: BIG })
    expect((await exchange(first.ingest, filler())).status).toBe(200)
    await first.kill()
    const taken = takeAllSpace(seen)
    const server = await startServer({ dataDir, within, args: BIG })
    await fill(server.ingest)
    await expectRefusedEverywhere(server.ingest)
    truncateSync(taken, 0)
    await untilWritable(server)
    expect((await exchange(server.ingest, filler())).status).toBe(200)
    expect((await tail(dataDir, [], within)).length).toBeGreaterThanOrEqual(200)
  })

  it.each([
    ['', BIG],
    [', within limits that depend on the space that was free', ['--log-segment-bytes', '1MiB']],
  ])('the very first start on a full disk serves 503, and events once there is space%s', async (_, args) => {
    const { within, dataDir: disk, seen } = await smallDisk(32)
    const dataDir = join(disk, 'data')
    const taken = takeAllSpace(seen)
    const server = await startServer({ dataDir, within, args })
    expect(server.process.stderr).toMatch(
      /WARN +the data directory is full; requests are answered 503.*ENOSPC/,
    )
    await expectRefusedEverywhere(server.ingest)
    expect(await server.readiness()).toMatchObject({ status: 200, ready: true, accepting: false })
    expect((await server.status()).log).toMatchObject({ state: 'full', next_offset: 0, bytes: 0 })
    expect((await server.readiness()).reason).toContain('ENOSPC: no space left on device')
    // A little at first: it opens, and its limit must not stay that small.
    truncateSync(taken, statSync(taken).size - 200_000)
    await sleep(1500)
    rmSync(taken)
    const { log } = await untilWritable(server)
    expect(log).toMatchObject({ reopened: 0, new_ids: 0 })
    for (let at = 0; at < 8; at++) expect((await exchange(server.ingest, filler())).status).toBe(200)
    expect(await tail(dataDir, [], within)).toHaveLength(800)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })

  it('SIGTERM while it waits for space: ends with 0', async () => {
    const { within, dataDir, seen } = await smallDisk(16)
    takeAllSpace(seen)
    const server = await startServer({ dataDir: join(dataDir, 'data'), within, args: BIG })
    expect(await inTime('exit', server.stop())).toEqual({ code: 0, signal: null })
  })
})
