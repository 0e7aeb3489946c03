/** Kafka is away while events come in, and comes back: what clients, memory and the topic show. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Cluster } from '../../kafka/support/cluster.js'
import { drained, expectOrdered, expectSame, published, shipOf, startShipping } from './kafka.js'
import { sendPaced } from './paced.js'
import type { ServerProcess } from './server.js'

export interface AwayResult {
  readonly sent: number
  readonly failed: number
  readonly intakePerS: number
  /** Growth of the whole process over what it took while Kafka was there: until Kafka came back, and until the end. */
  readonly awayMiB: number
  readonly growthMiB: number
  readonly behind: number
  readonly drainPerS: number
}

const EVENTS_PER_S = 2000
const WARM_S = 5

export async function away(cluster: Cluster, dataDir: string, seconds: number): Promise<AwayResult> {
  const server = await startShipping(cluster, dataDir, ['--log-max-bytes', '4GiB'])
  const warm = await sendPaced(server.ingest, EVENTS_PER_S, WARM_S)
  await drained(server)
  const before = server.memoryMiB().now
  const peak = watchMemory(server)
  const [broker] = cluster.brokers
  await broker!.kill()
  const outage = await sendPaced(server.ingest, EVENTS_PER_S, seconds, warm.sent)
  const { status } = await server.readiness()
  expect(status).toBe(200)
  const ship = await shipOf(server)
  const awayMiB = peak.soFar() - before
  expect(ship.state).not.toBe('shipping')
  broker!.start()
  await cluster.ready()
  const drainPerS = await drainRate(server)
  const growthMiB = (await peak.end()) - before
  await server.stop()
  const lines = await published(cluster, ['sluicegate.track'])
  await expectSame(dataDir, lines)
  expectOrdered(lines)
  return {
    sent: warm.sent + outage.sent,
    failed: warm.failed + outage.failed,
    intakePerS: outage.sent / outage.seconds,
    awayMiB,
    growthMiB,
    behind: ship.lag_records,
    drainPerS,
  }
}

/** Records a second, from the last look that still found all of them waiting to the first that found none. */
async function drainRate(server: ServerProcess): Promise<number> {
  const behind = (await shipOf(server)).lag_records
  let fullMs = performance.now()
  for (;;) {
    const { lag_records: lag } = await shipOf(server)
    const nowMs = performance.now()
    if (lag >= behind) fullMs = nowMs
    if (lag < 1) {
      await drained(server, 60_000)
      return (1000 * behind) / (nowMs - fullMs)
    }
    await sleep(10)
  }
}

/** The most resident memory, in MiB. */
function watchMemory(server: ServerProcess): { soFar(): number; end(): Promise<number> } {
  const over = new AbortController()
  let peak = 0
  const watching = (async () => {
    while (!over.signal.aborted) {
      peak = Math.max(peak, server.memoryMiB().now)
      await sleep(100)
    }
  })()
  const end = async (): Promise<number> => {
    over.abort()
    await watching
    return peak
  }
  return { soFar: () => peak, end }
}

/**
 * What must hold of every outage, however long.
 *
 * @param timesIntake how much faster than it came in it leaves; beside other tests not as fast as alone
 */
export function expectUnnoticed(result: AwayResult, timesIntake: number): void {
  expect(result.failed).toBe(0)
  expect(result.behind).toBeGreaterThan(result.intakePerS)
  expect(result.growthMiB).toBeLessThanOrEqual(64)
  expect(result.drainPerS).toBeGreaterThanOrEqual(timesIntake * EVENTS_PER_S)
}
