/** The server with a cluster behind it: started, drained, and held against what stands in the topics. */
import { expect } from 'vitest'
import { consume, type ConsumedRecord } from '../../kafka/support/read.js'
import type { Cluster } from '../../kafka/support/cluster.js'
import { type ServerProcess, startServer, waitFor } from './server.js'
import { type Line, tail, tailText } from './tail.js'

/** `ship` of /status, as far as tests look at it. */
export interface ShipStatus {
  readonly state: string
  readonly cause: { readonly code: string; readonly message: string } | null
  readonly cursor: number
  readonly lag_records: number
}

/** A leader that hangs is given up after this, instead of 10 s. */
const IMPATIENT = ['--kafka-request-timeout-ms', '2s', '--kafka-connect-timeout-ms', '2s']

export function shippingArgs(cluster: Cluster, args: readonly string[] = []): string[] {
  return ['--kafka', cluster.addresses, '--log-level', 'warn', ...IMPATIENT, ...args]
}

export function startShipping(
  cluster: Cluster,
  dataDir: string,
  args: readonly string[] = [],
): Promise<ServerProcess> {
  return startServer({ dataDir, args: shippingArgs(cluster, args) })
}

export async function shipOf(server: ServerProcess): Promise<ShipStatus> {
  const { ship } = (await server.status()) as unknown as { readonly ship: ShipStatus | null }
  if (ship === null) throw new Error('nothing is shipped')
  return ship
}

/** Resolves when everything in the log is acknowledged; how long that took in ms. */
export async function drained(server: ServerProcess, msMax = 30_000): Promise<number> {
  const started = performance.now()
  let seen: unknown
  await waitFor(async () => {
    const { ship, log } = (await server.status()) as unknown as {
      readonly ship: ShipStatus
      readonly log: { readonly next_offset: number }
    }
    seen = { ship, end: log.next_offset }
    return ship.lag_records === 0 && ship.cursor === log.next_offset ? true : undefined
  }, msMax).catch((cause: unknown) => {
    const text = `${JSON.stringify(seen)}\n${server.process.stderr.slice(-4000)}`
    throw new Error(`not drained in ${msMax} ms: ${text}`, { cause })
  })
  return performance.now() - started
}

export interface Published extends Line {
  readonly partition: number
  readonly brokerOffset: number
  readonly value: string
  readonly possibleDuplicate: boolean
}

/** Everything that stands in topics, in the order of each partition. */
export async function published(cluster: Cluster, topics: readonly string[]): Promise<Published[]> {
  const lines: Published[] = []
  for (const topic of topics) for await (const record of consume(cluster, topic)) lines.push(lineOf(record))
  return lines
}

function lineOf({ partition, offset: brokerOffset, key, value, headers }: ConsumedRecord): Published {
  const [, , offset] = headers['log_position']!.split('.')
  const possibleDuplicate = headers['possible_duplicate'] !== undefined
  const envelope = JSON.parse(value) as Omit<Line, 'offset' | 'key'>
  return { ...envelope, offset: Number(offset), key, partition, brokerOffset, value, possibleDuplicate }
}

/** What the log has is what stands in the topics: each record once, with its key and every byte. */
export async function expectSame(dataDir: string, lines: readonly Published[]): Promise<void> {
  const [inLog, texts] = [await tail(dataDir), await tailText(dataDir)]
  const count = new Map<number, number>()
  for (const { offset } of lines) count.set(offset, (count.get(offset) ?? 0) + 1)
  const lost = inLog.filter(({ offset }) => !count.has(offset)).length
  const doubled = lines.length - count.size
  expect({ lost, doubled, records: lines.length }).toEqual({ lost: 0, doubled: 0, records: inLog.length })
  const byOffset = new Map(lines.map((line) => [line.offset, line]))
  const changed = inLog.filter(({ offset, key }, at) => {
    const line = byOffset.get(offset)!
    return line.key !== key || line.value !== texts[at]
  })
  expect(changed).toEqual([])
}

/** P6: records of a key stand in one partition, in the order in which they were accepted. */
export function expectOrdered(lines: readonly Published[]): void {
  const last = new Map<string, Published>()
  const disordered = lines.filter((line) => {
    const before = last.get(line.key)
    last.set(line.key, line)
    return before !== undefined && (before.partition !== line.partition || before.offset >= line.offset)
  })
  expect(disordered.map(({ key, offset }) => ({ key, offset }))).toEqual([])
}
