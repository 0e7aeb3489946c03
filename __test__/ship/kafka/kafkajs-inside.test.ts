/** The guard before kafkajs's inside: another version or another shape, and nothing is shipped over it. */
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/clock.js'
import { checkKafkajs, KAFKAJS_VERSION, KafkajsUnknown } from '../../../src/ship/kafka/kafkajs-inside.js'
import { createSink, type SinkOptions } from '../../../src/ship/kafka/select.js'
import { WRITER } from '../sink.cases.js'

const kafka = (): Kafka => new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING })

/** As the inside looks like; `change` breaks it. */
function changed(change: (cluster: never) => void): Kafka {
  const real = kafka()
  const symbol = Object.getOwnPropertySymbols(real).find(({ description }) =>
    description?.endsWith('createCluster'),
  )!
  const inner = real as unknown as Record<symbol, (options: object) => never>
  const create = inner[symbol]!
  inner[symbol] = (options) => {
    const cluster = create(options)
    change(cluster)
    return cluster
  }
  return real
}

interface Inner {
  brokerPool: Record<string, unknown> & {
    connectionPoolBuilder: { build: (to: object) => Promise<{ pool: object[] }> }
  }
}

/** Changes a connection that is made. */
const ofConnection =
  (change: object) =>
  ({ brokerPool }: Inner): void => {
    const { build } = brokerPool.connectionPoolBuilder
    brokerPool.connectionPoolBuilder.build = async (to) => {
      const connections = await build(to)
      Object.assign(connections.pool[0]!, change)
      return connections
    }
  }

const CHANGES: readonly (readonly [name: string, change: (cluster: Inner) => void, message: RegExp])[] = [
  ['no broker pool', (cluster) => Object.assign(cluster, { brokerPool: undefined }), /no broker pool/],
  [
    'no builder',
    ({ brokerPool }) => Object.assign(brokerPool, { connectionPoolBuilder: {} }),
    /no build\(\)/,
  ],
  [
    'no brokers',
    ({ brokerPool }) => Object.assign(brokerPool, { createBroker: undefined }),
    /no createBroker\(\)/,
  ],
  [
    'another connection',
    ({ brokerPool }) => {
      const { build } = brokerPool.connectionPoolBuilder
      brokerPool.connectionPoolBuilder.build = async (to) => Object.assign(await build(to), { pool: [{}] })
    },
    /a connection has no authenticate\(\)/,
  ],
  ['another queue', ofConnection({ requestQueue: {} }), /a queue of requests has no push\(\)/],
  ['another way to name the client', ofConnection({ clientId: undefined }), /has no client id/],
  [
    'another broker',
    ({ brokerPool }) => Object.assign(brokerPool, { createBroker: () => ({ connect() {}, versions: null }) }),
    /does not show its connections/,
  ],
]

const optionsFor = (client: Kafka, exactlyOnce: 'require' | 'prefer'): SinkOptions => ({
  kafka: client,
  brokers: ['127.0.0.1:1'],
  exactlyOnce,
  compression: 'none',
  connectTimeoutMs: 100,
  requestTimeoutMs: 100,
  writer: WRITER,
  clock: systemClock,
})

it('takes the version that is pinned, without touching the network', async () => {
  await expect(checkKafkajs(kafka())).resolves.toBeUndefined()
})

it('refuses any other version', async () => {
  await expect(checkKafkajs(kafka(), '2.2.5')).rejects.toThrow(
    `kafkajs is not as expected (${KAFKAJS_VERSION}): version 2.2.5 is installed.`,
  )
})

describe.each(CHANGES)('%s', (_, change, message) => {
  it('is refused', async () => {
    const error = await checkKafkajs(changed(change)).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(KafkajsUnknown)
    expect((error as Error).message).toMatch(message)
  })

  it('under `require` nothing is shipped, under `prefer` at least once, and that is said', async () => {
    await expect(createSink(optionsFor(changed(change), 'require'))).rejects.toThrow(KafkajsUnknown)
    const reasons: string[] = []
    const options = {
      ...optionsFor(changed(change), 'prefer'),
      onDowngrade: (why: string) => reasons.push(why),
    }
    const sink = await createSink(options)
    expect(sink.exactlyOnce).toBe(false)
    expect(reasons).toHaveLength(1)
    expect(reasons[0]).toMatch(message)
    await sink.close()
  })
})

it('a client without the hidden method is refused', async () => {
  await expect(checkKafkajs({} as Kafka)).rejects.toThrow(/there is no private:Kafka:createCluster/)
})
