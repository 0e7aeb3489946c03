/** Junk, megabytes a second of it, beside good events: what it costs them, and what becomes of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { RawConnection, type RawRequest, requestBytes } from '../../support/http.js'
import { event, post, postGzip, postJson } from './events.js'
import { startServer, waitFor } from './server.js'
import { tail } from './tail.js'

export interface FloodResult {
  readonly junkMiBPerS: number
  /** Of the good neighbours, whom the flood is compared with. */
  readonly busyMiBPerS: number
  readonly goodSent: number
  readonly goodRefused: number
  readonly goodInLog: number
  readonly rejected: number
  readonly kept: number
  readonly dropped: number
  readonly keptMiB: number
  /** From the first turn to the last. */
  readonly floodS: number
  readonly rejectsMiB: number
  readonly rejectsFirstOffset: number
  readonly rejectsNextOffset: number
  readonly rejectsListed: number
  readonly rejectsListedFrom: number
  readonly busyCpuMsPerMiB: number
  readonly junkCpuMsPerMiB: number
  readonly busyP50Ms: number
  readonly floodP50Ms: number
  readonly floodP99Ms: number
}

/** Bodies that were answered, what they cost the server, and how long the good client waited meanwhile. */
interface Turn {
  mib: number
  cpuMs: number
  readonly latencies: number[]
}

const MiB = 1024 * 1024
const SENDERS = 2
/** What the log of rejects may take here. */
export const REJECTS_MIB_MAX = 2
const ARGS = ['--reject-bytes-max', `${REJECTS_MIB_MAX}MiB`]

/** Turns of good and bad neighbours: whatever else the machine does meanwhile falls on both. */
const TURN_S = 0.5

/** A good client beside others that send good events and beside a flood of junk, by turns, `seconds` each in all. */
export async function flood(dataDir: string, seconds: number): Promise<FloodResult> {
  const server = await startServer({ dataDir, args: ARGS })
  const client = new GoodClient(await RawConnection.open(server.ingest))
  const busy: Turn = { mib: 0, cpuMs: 0, latencies: [] }
  const junk: Turn = { mib: 0, cpuMs: 0, latencies: [] }
  const started = performance.now()
  for (let turn = 0; turn < seconds / TURN_S; turn++) {
    for (const [sum, requests] of [[busy, goodRequests()] as const, [junk, junkRequests()] as const]) {
      const before = server.cpuMs()
      const { result, latencies } = await client.during(() => senders(server.ingest, TURN_S, requests))
      sum.mib += result
      sum.cpuMs += server.cpuMs() - before
      sum.latencies.push(...latencies)
    }
  }
  const floodS = (performance.now() - started) / 1000
  client.close()
  // Written at most once a second.
  await waitFor(async () => {
    const { rejects } = await server.status()
    const durable = (await server.metrics()).get('sluicegate_log_durable_offset{log="rejects"}')
    return durable === rejects.next_offset ? true : undefined
  })
  const status = await server.status()
  const metrics = await server.metrics()
  await server.stop()
  const listed = await tail(dataDir, ['--kind', 'rejected'])
  const inLog = await tail(dataDir, ['--token', 'steady'])
  return {
    junkMiBPerS: junk.mib / seconds,
    busyMiBPerS: busy.mib / seconds,
    goodSent: client.sent,
    goodRefused: client.refused,
    goodInLog: inLog.length,
    rejected: status.ledger.rejected,
    kept: status.rejects.kept,
    dropped: status.rejects.dropped,
    keptMiB: metrics.get('sluicegate_log_written_bytes_total{log="rejects"}')! / MiB,
    floodS,
    rejectsMiB: status.rejects.bytes / MiB,
    rejectsFirstOffset: status.rejects.first_offset,
    rejectsNextOffset: status.rejects.next_offset,
    rejectsListed: listed.length,
    rejectsListedFrom: listed[0]?.offset ?? -1,
    busyCpuMsPerMiB: busy.cpuMs / busy.mib,
    junkCpuMsPerMiB: junk.cpuMs / junk.mib,
    busyP50Ms: quantile(busy.latencies, 0.5),
    floodP50Ms: quantile(junk.latencies, 0.5),
    floodP99Ms: quantile(junk.latencies, 0.99),
  }
}

/** What must hold of every flood. */
export function expectBounded(result: FloodResult): void {
  expect(result.junkMiBPerS).toBeGreaterThan(2)
  expect([result.goodRefused, result.goodInLog]).toEqual([0, result.goodSent])
  expect(result.kept + result.dropped).toBe(result.rejected)
  expect(result.dropped).toBeGreaterThan(result.kept)
  // 8 MiB at once and 1 MiB a second (src/rejects.ts), before escapes and envelopes.
  expect(result.keptMiB).toBeLessThan(2 * (8 + result.floodS))
  expect(result.keptMiB).toBeGreaterThan(REJECTS_MIB_MAX)
  // Of what was kept the oldest went; the rest can be read.
  expect(result.rejectsMiB).toBeLessThanOrEqual(REJECTS_MIB_MAX)
  expect(result.rejectsFirstOffset).toBeGreaterThan(0)
  expect(result.rejectsNextOffset).toBe(result.kept)
  expect(result.rejectsListedFrom).toBeGreaterThanOrEqual(result.rejectsFirstOffset)
  expect(result.rejectsListed).toBe(result.rejectsNextOffset - result.rejectsListedFrom)
  // Junk is no worse a neighbour than as many good events, in what it costs and in how long others wait. Times of
  // waiting are those of the machine, too: only a neighbour that makes them wait for something else shows in them.
  expect(result.junkCpuMsPerMiB).toBeLessThan(3 * result.busyCpuMsPerMiB)
  expect(result.floodP50Ms).toBeLessThan(8 * result.busyP50Ms + 50)
}

/** One event after the other, with little pauses, each timed. */
class GoodClient {
  sent = 0
  refused = 0

  constructor(private readonly connection: RawConnection) {}

  async during<T>(work: () => Promise<T>): Promise<{ result: T; latencies: number[] }> {
    const latencies: number[] = []
    const over = new AbortController()
    const working = work().finally(() => over.abort())
    while (!over.signal.aborted) {
      latencies.push(await this.send())
      await sleep(3)
    }
    return { result: await working, latencies }
  }

  close(): void {
    this.connection.destroy()
  }

  private async send(): Promise<number> {
    const request = requestBytes(postJson('/track', event('good', { token: 'steady', n: this.sent++ })))
    const started = performance.now()
    this.connection.write(request)
    const { status, body } = await this.connection.reply()
    if (status !== 200 || body.toString() !== '1') this.refused++
    return performance.now() - started
  }
}

/** Connections that send one after the other; the MiB of bodies, inflated, that were answered. */
async function senders(ingest: string, seconds: number, requests: readonly Sized[]): Promise<number> {
  const end = performance.now() + seconds * 1000
  let bytes = 0
  const send = async (): Promise<void> => {
    const connection = await RawConnection.open(ingest)
    for (let at = 0; performance.now() < end; at++) {
      const { wire, size } = requests[at % requests.length]!
      connection.write(wire)
      await connection.reply()
      bytes += size
    }
    connection.destroy()
  }
  await Promise.all(Array.from({ length: SENDERS }, send))
  return bytes / MiB
}

interface Sized {
  readonly wire: Buffer
  /** Of the body, inflated. */
  readonly size: number
}

function sized(request: RawRequest, size = request.body!.length): Sized {
  return { wire: requestBytes(request), size }
}

const many = (make: (n: number) => unknown): string =>
  JSON.stringify(Array.from({ length: 1000 }, (_, n) => make(n)))
const PAD = 'junk "quoted" and é '.repeat(12)

function goodRequests(): Sized[] {
  const text = many((n) => event('other', { n, pad: PAD }))
  return [sized(post('/track', text)), sized(postGzip('/track', text), text.length)]
}

/** Everything that is refused for its content: by record, as a whole, as gzip. */
function junkRequests(): Sized[] {
  const nameless = many((n) => ({ properties: { token: 't', n, pad: PAD } }))
  const tokenless = many((n) => ({ event: 'e', properties: { n, pad: PAD } }))
  const mixed = many((n) => [7, null, 'text', { event: {} }, { event: 'e', properties: PAD }][n % 5])
  return [
    sized(post('/track', nameless)),
    sized(postGzip('/track', tokenless), tokenless.length),
    sized(post('/engage', nameless)),
    sized(post('/track', mixed)),
    sized(post('/track', nameless.slice(0, -1))),
    sized(post('/track', gzipSync(nameless).subarray(0, -9), { 'Content-Encoding': 'gzip' })),
    sized(post('/import?strict=1', nameless)),
  ]
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
}
