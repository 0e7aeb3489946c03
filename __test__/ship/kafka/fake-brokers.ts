/** Brokers in memory behind the connector: what they answer to Metadata, Produce and DescribeProducers. */
import { ByteWriter } from '../../../src/ship/kafka/bytes.js'
import { Cluster } from '../../../src/ship/kafka/cluster.js'
import type { ApiRequest, BrokerConnection, Connector } from '../../../src/ship/kafka/kafkajs-inside.js'
import { API } from '../../../src/ship/kafka/requests.js'

interface Topic {
  readonly leaders: readonly number[]
  readonly error?: number
}

/** Brokers by id, at `b<id>:<id>`; what they answer to Metadata, and who can be reached. */
export class FakeBrokers implements Connector {
  readonly connected: string[] = []
  readonly open: FakeConnection[] = []
  asked = 0
  ids: number[] = [1, 2]
  away = new Set<number>()
  hanging = new Set<number>()
  tooOld = false
  /** Error codes of the next batches, then 0. */
  produceErrors: number[] = []
  /** The next batches break their connection instead. */
  breaking = 0
  /** Requests with batches, in the order in which they left. */
  readonly batches: Buffer[] = []
  topics: Record<string, Topic> = { t: { leaders: [1, 2, 1] } }

  async connect(host: string, port: number): Promise<BrokerConnection> {
    if (this.away.has(port)) throw new Error(`connect ECONNREFUSED ${host}`)
    this.connected.push(host)
    const connection = new FakeConnection(this, port)
    this.open.push(connection)
    return connection
  }

  metadata(names: readonly string[]): Buffer {
    const body = new ByteWriter()
      .noTags()
      .int32(0)
      .uvarint(this.ids.length + 1)
    for (const id of this.ids) body.int32(id).compactString(`b${id}`).int32(id).uvarint(0).noTags()
    body
      .compactString('cluster')
      .int32(1)
      .uvarint(names.length + 1)
    for (const name of names) {
      const { leaders, error = 0 } = this.topics[name] ?? { leaders: [], error: 3 }
      body
        .int16(error)
        .compactString(name)
        .raw(Buffer.alloc(16, 7))
        .int8(0)
        .uvarint(leaders.length + 1)
      for (const [partition, leader] of leaders.entries()) {
        body
          .int16(0)
          .int32(partition)
          .int32(leader)
          .int32(4)
          .uvarint(2)
          .int32(1)
          .uvarint(2)
          .int32(1)
          .uvarint(1)
          .noTags()
      }
      body.int32(-(2 ** 31)).noTags()
    }
    return body.noTags().finish()
  }
}

/** One connection to one of them. */
export class FakeConnection implements BrokerConnection {
  isClosed = false
  constructor(
    private readonly brokers: FakeBrokers,
    readonly id: number,
  ) {}

  versionsOf(apiKey: number): { minVersion: number; maxVersion: number } | undefined {
    if (this.brokers.tooOld && apiKey === API.DescribeProducers[0]) return undefined
    return { minVersion: 0, maxVersion: 99 }
  }

  async send<T>({ apiKey, encode, decode }: ApiRequest<T>): Promise<T> {
    const body = encode(0)
    if (apiKey === API.Produce[0]) this.brokers.batches.push(body)
    if (this.brokers.hanging.has(this.id)) await new Promise(() => {})
    await new Promise((resolve) => setImmediate(resolve))
    if (apiKey === API.Produce[0]) return decode(this.produced())
    if (apiKey === API.DescribeProducers[0]) return decode(this.producers())
    this.brokers.asked++
    const names = Object.keys({ ...this.brokers.topics, missing: 0, u: 0 }).filter((name) => {
      return body.includes(Buffer.concat([Buffer.from([name.length + 1]), Buffer.from(name)]))
    })
    return decode(this.brokers.metadata(names))
  }

  /** The offset tells which broker it was. */
  private produced(): Buffer {
    if (this.brokers.breaking-- > 0) throw new Error('the connection broke')
    const error = this.brokers.produceErrors.shift() ?? 0
    const reply = new ByteWriter().int32(1).string('t').int32(1).int32(0).int16(error).int64(BigInt(this.id))
    return reply.int64(-1n).int64(0n).int32(0).int16(-1).int32(0).finish()
  }

  /** Producer 1, whose last sequence tells which broker it was. */
  private producers(): Buffer {
    const reply = new ByteWriter().noTags().int32(0).uvarint(2).compactString('t').uvarint(2)
    reply.int32(0).int16(0).uvarint(0).uvarint(2)
    reply.int64(1n).int32(0).int32(this.id).int64(5n).int32(-1).int64(-1n).noTags()
    return reply.noTags().noTags().noTags().finish()
  }

  close(): void {
    this.isClosed = true
  }
}

export function clusterOf(brokers: FakeBrokers, seeds = ['b1:1', 'b2:2']): Cluster {
  return new Cluster({ connector: brokers, seeds, connectTimeoutMs: 100, askTimeoutMs: 50 })
}
