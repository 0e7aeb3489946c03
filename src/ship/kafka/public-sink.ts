/**
 * At least once, with kafkajs's public producer alone: for `--kafka-exactly-once prefer` when its inside, or the brokers,
 * are not what exactly once needs. Duplicates appear when an answer is lost; order is kept all the same.
 */
import kafkajs, { type Admin, type CompressionTypes, type Kafka, type Message, type Producer } from 'kafkajs'
import { asBuffer } from '../../as-buffer.js'
import {
  type ClusterView,
  type FoundRecord,
  type Outcome,
  type PartitionBatch,
  type ProducerIdentity,
  type ProducerState,
  type Sink,
  type SinkCause,
  SinkUnavailable,
  type TopicView,
} from '../sink.js'
import { type Compression, compressorOf } from './compression.js'
import { causeOfError, causeOfThrown, codeOfThrown, outcomeOfError } from './outcome.js'
import { POSITION_HEADER, DUPLICATE_HEADER, type Writer } from './record-batch.js'

/** Node finds no more than some names of this CommonJS module by itself. */
const { CompressionCodecs, CompressionTypes: Codecs, ConfigResourceTypes, Partitioners } = kafkajs

/** Its producer groups messages in quadratic time. */
const MESSAGES_MAX = 500
/** kafkajs does not know topic ids. */
const NO_TOPIC_ID = '0'.repeat(32)
const ACKS_ALL = -1

export interface PublicSinkOptions {
  readonly kafka: Kafka
  readonly compression: Compression
  readonly requestTimeoutMs: number
  readonly writer: Writer
}

/** Batches of one partition, one after the other. */
interface Lane {
  readonly waiting: { readonly send: () => Promise<Outcome>; readonly done: (outcome: Outcome) => void }[]
  busy: boolean
}

export class PublicProducerSink implements Sink {
  readonly exactlyOnce = false
  private readonly lanes = new Map<string, Lane>()
  private readonly position: string
  private connected: Promise<{ admin: Admin; producer: Producer }> | undefined

  constructor(private readonly options: PublicSinkOptions) {
    const { writer, compression } = options
    this.position = `${writer.id}.${writer.epoch}.`
    registerCodec(compression)
  }

  async describe(topics: readonly string[]): Promise<ClusterView> {
    try {
      const { admin } = await this.connect()
      const { clusterId } = await admin.describeCluster()
      const looked = await Promise.all(topics.map((name) => lookUp(admin, name)))
      const unusable = looked.filter((found) => 'cause' in found)
      return { clusterId, topics: looked.filter((found) => 'partitions' in found), unusable }
    } catch (error) {
      throw new SinkUnavailable(causeOfThrown(error, 'describe'))
    }
  }

  producerIdentity(): Promise<ProducerIdentity> {
    return Promise.reject(new Error('the public producer keeps its identity to itself'))
  }

  producerState(): Promise<ProducerState> {
    return Promise.resolve({ kind: 'unknown' })
  }

  end(): Promise<bigint> {
    return Promise.resolve(0n)
  }

  async *scan(): AsyncIterable<FoundRecord> {}

  /** Batches of a partition leave one after the other; behind one that failed none of those that wait is sent. */
  publish(batch: PartitionBatch): Promise<Outcome> {
    const name = `${batch.topic} ${batch.partition}`
    const lane = this.lanes.get(name) ?? { waiting: [], busy: false }
    this.lanes.set(name, lane)
    const outcome = new Promise<Outcome>((done) => {
      lane.waiting.push({ send: () => this.send(batch), done })
    })
    if (!lane.busy) void this.run(lane)
    return outcome
  }

  async close(): Promise<void> {
    const { connected } = this
    this.connected = undefined
    const clients = await connected?.catch(() => undefined)
    await Promise.allSettled([clients?.producer.disconnect(), clients?.admin.disconnect()])
  }

  private async run(lane: Lane): Promise<void> {
    lane.busy = true
    for (let next = lane.waiting.shift(); next !== undefined; next = lane.waiting.shift()) {
      const outcome = await next.send()
      next.done(outcome)
      if (outcome.kind === 'delivered') continue
      for (const { done } of lane.waiting.splice(0)) done({ kind: 'retry', cause: outcome.cause })
    }
    lane.busy = false
  }

  private async send(batch: PartitionBatch): Promise<Outcome> {
    const { topic, partition } = batch
    const where = `Produce ${topic}-${partition}`
    try {
      const { producer } = await this.connect()
      const messages = this.messagesOf(batch)
      for (let start = 0; start < messages.length; start += MESSAGES_MAX) {
        await producer.send({
          topic,
          acks: ACKS_ALL,
          timeout: this.options.requestTimeoutMs,
          compression: compressionType(this.options.compression),
          messages: messages.slice(start, start + MESSAGES_MAX),
        })
      }
      return { kind: 'delivered', baseOffset: undefined }
    } catch (error) {
      const code = codeOfThrown(error)
      if (code !== undefined) return atLeastOnce(outcomeOfError(code, where))
      return { kind: 'retry', cause: causeOfThrown(error, where) }
    }
  }

  private messagesOf({ partition, records, possibleDuplicate }: PartitionBatch): Message[] {
    const more = possibleDuplicate ? { [DUPLICATE_HEADER]: '1' } : {}
    return records.map(({ key, value, offset }) => ({
      partition,
      key: asBuffer(key),
      value: asBuffer(value),
      headers: { [POSITION_HEADER]: `${this.position}${offset}`, ...more },
    }))
  }

  private connect(): Promise<{ admin: Admin; producer: Producer }> {
    this.connected ??= this.open().catch((error: unknown) => {
      this.connected = undefined
      throw error
    })
    return this.connected
  }

  private async open(): Promise<{ admin: Admin; producer: Producer }> {
    const admin = this.options.kafka.admin()
    const producer = this.options.kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // All patience is the shipper's.
      retry: { retries: 0 },
    })
    await admin.connect()
    await producer.connect()
    return { admin, producer }
  }
}

/** There are no sequences to settle: what is doubtful is sent again. */
function atLeastOnce(outcome: Outcome): Outcome {
  return outcome.kind === 'unsettled' ? { kind: 'retry', cause: outcome.cause } : outcome
}

async function lookUp(admin: Admin, name: string): Promise<TopicView | { name: string; cause: SinkCause }> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [name] })
    const partitions = topics[0]?.partitions.length ?? 0
    return { name, id: NO_TOPIC_ID, partitions, messageBytesMax: await messageLimit(admin, name) }
  } catch (error) {
    const code = codeOfThrown(error)
    if (code === undefined) throw error
    return { name, cause: causeOfError(code, `Metadata ${name}`) }
  }
}

async function messageLimit(admin: Admin, name: string): Promise<number | undefined> {
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name, configNames: ['max.message.bytes'] }],
    })
    return Number(resources[0]?.configEntries[0]?.configValue) || undefined
  } catch (error) {
    if (causeOfError(codeOfThrown(error) ?? 0, '').code === 'not_authorized') return undefined
    throw error
  }
}

function compressionType(compression: Compression): CompressionTypes {
  const { None, GZIP, LZ4, ZSTD } = Codecs
  return { none: None, gzip: GZIP, lz4: LZ4, zstd: ZSTD }[compression]
}

/** kafkajs has none of its own for these two, and keeps them in one table for the whole process. */
function registerCodec(compression: Compression): void {
  const { compress } = compressorOf(compression)
  if (compress === undefined || compression === 'gzip') return
  const codecs: Record<number, unknown> = CompressionCodecs
  codecs[compressionType(compression)] = () => ({
    compress: async (encoder: { readonly buffer: Buffer }) => asBuffer(compress(encoder.buffer)),
  })
}
