/** A Sink over the broker in memory, with everything that can go wrong on the way there and back. */
import {
  type ClusterView,
  type FoundRecord,
  type Outcome,
  type PartitionBatch,
  type ProducerIdentity,
  type ProducerState,
  type Sink,
  type SinkCause,
  SinkDenied,
  SinkUnavailable,
} from '../../../src/ship/sink.js'
import type { MemoryBroker } from './memory-broker.js'

/** `lost_request`: the broker never sees it. `lost_reply`: it does as asked, and nobody hears of it. */
export type Fault = 'lost_request' | 'lost_reply' | 'not_enough_replicas' | undefined
export type Call = 'describe' | 'producerIdentity' | 'producerState' | 'publish' | 'end' | 'scan'

export interface MemorySinkOptions {
  readonly broker: MemoryBroker
  readonly writerId: string
  /** Of the log; 1 by default. */
  readonly epoch?: number
  readonly exactlyOnce?: boolean
  /** Asked before each call takes effect; of a batch with the batch. */
  readonly fault?: (call: Call, batch?: PartitionBatch) => Fault
  /** Resolves when the request is at the broker, and again when its reply is back. */
  readonly trip?: (call: Call) => Promise<void>
  readonly nowMs?: () => number
  /** Records that the broker refuses for ever. */
  readonly poison?: (value: Uint8Array) => boolean
}

const UNREACHABLE: SinkCause = { code: 'unreachable', message: 'no broker answers' }
const DENIED: SinkCause = { code: 'not_authorized', message: 'READ is not allowed' }
const MISSING: SinkCause = { code: 'topic_missing', message: 'there is no such topic' }
const BATCH_OVERHEAD_BYTES = 61
const RECORD_OVERHEAD_BYTES = 60

export class MemorySink implements Sink {
  readonly exactlyOnce: boolean
  down = false
  /** Without READ. */
  denied = false
  /** Topics whose partitions do not answer. */
  readonly standing = new Set<string>()
  /** Batches sent, resent ones included. */
  readonly sent: PartitionBatch[] = []
  outMost = 0
  private readonly out = new Map<string, number>()
  private readonly ways = new Map<string, Promise<unknown>>()

  constructor(private readonly options: MemorySinkOptions) {
    this.exactlyOnce = options.exactlyOnce ?? true
  }

  async describe(names: readonly string[]): Promise<ClusterView> {
    await this.reach('describe')
    const { broker } = this.options
    const known = names.filter((name) => broker.topics.has(name))
    const topics = known.map((name) => {
      const { id, partitions, messageBytesMax } = broker.topics.get(name)!
      return { name, id, partitions: partitions.length, messageBytesMax }
    })
    const unusable = names
      .filter((name) => !broker.topics.has(name))
      .map((name) => ({ name, cause: MISSING }))
    const { clusterId } = broker
    await this.back('describe')
    return { clusterId, topics, unusable }
  }

  async producerIdentity(): Promise<ProducerIdentity> {
    await this.reach('producerIdentity')
    const identity = this.options.broker.producerIdentity()
    await this.back('producerIdentity')
    return identity
  }

  async producerState(topic: string, partition: number, { id }: ProducerIdentity): Promise<ProducerState> {
    try {
      await this.reach('producerState')
      if (this.denied) return { kind: 'denied', cause: DENIED }
      const at = this.options.broker.partition(topic, partition)
      if (at === undefined) return { kind: 'retry', cause: MISSING }
      const known = at.producers.get(id)
      await this.back('producerState')
      if (known === undefined) return { kind: 'unknown' }
      const { epoch, batches, lastTimestampMs } = known
      return { kind: 'alive', epoch, lastSequence: batches.at(-1)!.last, lastTimestampMs }
    } catch (error) {
      return { kind: 'retry', cause: (error as SinkUnavailable).cause }
    }
  }

  async publish(batch: PartitionBatch): Promise<Outcome> {
    const way = `${batch.topic}/${batch.partition}`
    const out = (this.out.get(way) ?? 0) + 1
    this.out.set(way, out)
    this.outMost = Math.max(this.outMost, out)
    this.sent.push(batch)
    // One connection: what is sent to a partition arrives, and is answered, in order.
    const before = this.ways.get(way)
    const result = (async () => {
      await before
      return this.deliver(batch)
    })()
    this.ways.set(way, result)
    const outcome = await result
    this.out.set(way, this.out.get(way)! - 1)
    return outcome
  }

  async end(topic: string, partition: number): Promise<bigint> {
    await this.reach('end')
    if (this.denied) throw new SinkDenied(DENIED)
    const at = this.options.broker.partition(topic, partition)
    if (at === undefined) throw new SinkUnavailable(MISSING)
    const end = BigInt(at.records.length)
    await this.back('end')
    return end
  }

  async *scan(topic: string, partition: number, from: bigint | undefined): AsyncGenerator<FoundRecord> {
    await this.reach('scan')
    if (this.denied) throw new SinkDenied(DENIED)
    const at = this.options.broker.partition(topic, partition)
    if (at === undefined) throw new SinkUnavailable(MISSING)
    const end = at.records.length
    // An offset behind the end belongs to what is gone.
    const start = from === undefined || from > BigInt(end) ? 0 : Number(from)
    for (const record of at.records.slice(start, end)) {
      const { writerId, offset: logOffset } = record
      const { epoch = 1 } = this.options
      yield { brokerOffset: BigInt(record.brokerOffset), writerId, epoch, logOffset }
    }
    await this.back('scan')
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  private async deliver(batch: PartitionBatch): Promise<Outcome> {
    const { options } = this
    const fault = options.fault?.('publish', batch)
    await options.trip?.('publish')
    if (this.down || this.standing.has(batch.topic) || fault === 'lost_request') {
      return { kind: 'retry', cause: UNREACHABLE }
    }
    if (fault === 'not_enough_replicas') {
      return {
        kind: 'retry',
        cause: { code: 'not_enough_replicas', message: 'too few replicas are in sync' },
      }
    }
    const outcome = this.append(batch)
    await options.trip?.('publish')
    return fault === 'lost_reply' ? { kind: 'retry', cause: UNREACHABLE } : outcome
  }

  private append(batch: PartitionBatch): Outcome {
    const { broker, writerId, nowMs, poison } = this.options
    const topic = broker.topics.get(batch.topic)
    const partition = topic?.partitions[batch.partition]
    if (topic === undefined || partition === undefined) return { kind: 'retry', cause: MISSING }
    const bytes = batch.records.reduce((sum, { key, value }) => {
      return sum + key.length + value.length + RECORD_OVERHEAD_BYTES
    }, BATCH_OVERHEAD_BYTES)
    if (bytes > topic.messageBytesMax) {
      return {
        kind: 'too_large',
        cause: { code: 'batch_too_large', message: 'larger than the topic allows' },
      }
    }
    if (poison !== undefined && batch.records.some(({ value }) => poison(value))) {
      return { kind: 'poison', cause: { code: 'record_refused', message: 'the broker does not like it' } }
    }
    return partition.append(batch, writerId, nowMs?.() ?? 0, () => broker.appended++)
  }

  private async reach(call: Call): Promise<void> {
    const fault = this.options.fault?.(call)
    await this.options.trip?.(call)
    if (this.down || fault !== undefined) throw new SinkUnavailable(UNREACHABLE)
  }

  private async back(call: Call): Promise<void> {
    await this.options.trip?.(call)
  }
}
