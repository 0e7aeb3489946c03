/** The whole way with a real broker: HTTP, log, the shipper's thread, Kafka. */
import { expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/record.js'
import { partitionOf } from '../../src/ship/route.js'
import { murmur2 } from '../../src/decode/reference/murmur2.js'
import { event } from '../e2e/support/events.js'
import { type ServerProcess, startServer, workspace } from '../e2e/support/server.js'
import { type Cluster } from '../kafka/support/cluster.js'
import { API } from '../kafka/support/fault-proxy.js'
import { consumeAll, type ConsumedRecord } from '../kafka/support/read.js'
import { describeKafka } from '../kafka/support/suite.js'

interface Ship {
  readonly state: string
  readonly lag_records: number
  readonly cursor: number
  readonly refused: number
  readonly restarts: number
  readonly cause: { readonly code: string; readonly message: string } | null
}

async function shipOf(server: ServerProcess): Promise<Ship> {
  return ((await server.status()) as unknown as { ship: Ship }).ship
}

async function drained(server: ServerProcess, cursor?: number): Promise<Ship> {
  for (let tries = 0; tries < 600; tries++) {
    const ship = await shipOf(server)
    if (ship.state === 'shipping' && ship.lag_records === 0 && ship.cursor >= (cursor ?? 1)) return ship
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`not drained: ${JSON.stringify(await shipOf(server))} ${server.process.stderr}`)
}

let sent = 0

/** Answers the status; events are numbered over all requests. */
async function send(server: ServerProcess, count: number, path = '/track'): Promise<number> {
  const events = Array.from({ length: count }, () =>
    event('seen', { n: sent, distinct_id: `u${sent++ % 17}` }),
  )
  const reply = await fetch(`${server.ingest}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(events),
  })
  await reply.text()
  return reply.status
}

const numbersOf = (records: readonly ConsumedRecord[]): number[] =>
  records.map(
    ({ value }) => (JSON.parse(value) as { record: { properties: { n: number } } }).record.properties.n,
  )

async function createTopics(cluster: Cluster, prefix: string, partitions = 3): Promise<void> {
  for (const kind of ENDPOINTS) {
    await cluster.createTopic(`${prefix}${kind}`, partitions, { 'max.message.bytes': String(4 * 2 ** 20) })
  }
}

const start = (
  cluster: Cluster,
  dataDir: string,
  prefix: string,
  ...args: string[]
): Promise<ServerProcess> =>
  startServer({
    dataDir,
    drainMs: 0,
    args: ['--kafka', cluster.addresses, '--topic-prefix', prefix, ...args],
  })

await describeKafka('a server that ships to one broker', { faults: true }, (cluster) => {
  it('P6: each event is read once, where Java would put it, in the order of its key', async () => {
    await createTopics(cluster(), 'a.')
    const server = await start(cluster(), workspace(), 'a.')
    const first = sent
    for (let request = 0; request < 40; request++) expect(await send(server, 25)).toBe(200)
    await drained(server, 1000)
    const records = await consumeAll(cluster(), 'a.track')
    expect(numbersOf(records).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, n) => first + n),
    )
    for (const { key, partition } of records) {
      const bytes = Buffer.from(key)
      expect(partition).toBe(partitionOf(murmur2(bytes, 0, bytes.length), 3))
    }
    for (const user of new Set(records.map(({ key }) => key))) {
      const own = numbersOf(records.filter(({ key }) => key === user))
      expect(own).toEqual(own.toSorted((a, b) => a - b))
    }
    expect((await server.stop()).code).toBe(0)
  })

  it('P1: kill -9 while replies are lost: each event once', async () => {
    await createTopics(cluster(), 'b.')
    const dataDir = workspace()
    const first = sent
    for (let life = 0; life < 3; life++) {
      const server = await start(cluster(), dataDir, 'b.')
      for (let request = 0; request < 20; request++) expect(await send(server, 20)).toBe(200)
      cluster().proxies[0]!.next(API.produce, { kind: 'lose_reply' })
      await send(server, 20)
      await new Promise((resolve) => setTimeout(resolve, 100 * life))
      await server.kill()
    }
    const server = await start(cluster(), dataDir, 'b.')
    await drained(server, 3 * 21 * 20)
    const numbers = numbersOf(await consumeAll(cluster(), 'b.track'))
    expect(numbers.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: sent - first }, (_, n) => first + n),
    )
  })

  it('P1: --ack kafka answers 503 while the topic is missing, and success once Kafka has it', async () => {
    const server = await start(cluster(), workspace(), 'c.', '--ack', 'kafka', '--ack-deadline-ms', '1000')
    expect(await send(server, 2)).toBe(503)
    expect(await shipOf(server)).toMatchObject({ state: 'degraded', cause: { code: 'topic_missing' } })
    await createTopics(cluster(), 'c.')
    await drained(server, 2)
    expect(await send(server, 3)).toBe(200)
    expect(await consumeAll(cluster(), 'c.track')).toHaveLength(5)
  })
})
