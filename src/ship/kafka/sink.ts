/**
 * Exactly once: batches with a producer id and sequences that the shipper keeps, sent as they are over kafkajs's
 * connections. This file knows no retries and no order but that of its calls; both are the shipper's.
 */
import type { Clock } from '../../clock.js'
import {
  type ClusterView,
  type FoundRecord,
  type Outcome,
  type PartitionBatch,
  type ProducerIdentity,
  type ProducerState,
  type Sink,
  SinkDenied,
  SinkUnavailable,
} from '../sink.js'
import type { Cluster, Leader } from './cluster.js'
import type { Crc32c } from './crc32c.js'
import { causeOfThrown, causeOfError, errorOf, isAboutLeadership, outcomeOfError } from './outcome.js'
import type { RecordBatchEncoder } from './record-batch.js'
import { describeProducers, initProducerId, produce, type ProduceReply } from './requests.js'
import { endOf, scanPartition } from './scan.js'
import { viewOf } from './view.js'

export interface KafkaSinkOptions {
  readonly cluster: Cluster
  readonly encoder: RecordBatchEncoder
  readonly crc32c: Crc32c
  readonly clock: Clock
  readonly requestTimeoutMs: number
}

/** Of the request's time, what the broker may spend on waiting for replicas: its answer must still reach us. */
const REPLICAS_SHARE = 0.8

export class KafkaSink implements Sink {
  readonly exactlyOnce = true
  /** By `topic partition`: settles when the batches before have been handed to their connection. */
  private readonly lanes = new Map<string, Promise<unknown>>()

  constructor(private readonly options: KafkaSinkOptions) {}

  async describe(topics: readonly string[]): Promise<ClusterView> {
    return viewOf(this.options.cluster, topics)
  }

  async producerIdentity(): Promise<ProducerIdentity> {
    const reply = await this.options.cluster.sendToAny(initProducerId())
    if (reply.error === 0) return { id: reply.id, epoch: reply.epoch }
    throw new SinkUnavailable(causeOfError(reply.error, 'InitProducerId'))
  }

  async producerState(topic: string, partition: number, producer: ProducerIdentity): Promise<ProducerState> {
    try {
      // A follower would answer too, with less than the leader knows.
      this.options.cluster.markStale()
      const { connection } = await this.options.cluster.leader(topic, partition)
      const reply = await connection.send(describeProducers({ topic, partition }))
      if (reply.error !== 0)
        throw this.failure(reply.error, 'DescribeProducers', topic, partition, reply.message)
      const found = reply.producers.find(({ id }) => id === producer.id)
      if (found === undefined) return { kind: 'unknown' }
      const { epoch, lastSequence, lastTimestampMs } = found
      return { kind: 'alive', epoch, lastSequence, lastTimestampMs }
    } catch (error) {
      const kind = error instanceof SinkDenied ? 'denied' : 'retry'
      return { kind, cause: causeOfThrown(error, `DescribeProducers ${topic}-${partition}`) }
    }
  }

  async publish(batch: PartitionBatch): Promise<Outcome> {
    const { topic, partition } = batch
    const where = `Produce ${topic}-${partition}`
    try {
      const { encoder, clock, requestTimeoutMs } = this.options
      const request = produce({ topic, partition }, Math.floor(requestTimeoutMs * REPLICAS_SHARE), {
        encode: (headroom) => encoder.encode(batch, clock.nowMs(), headroom),
        release: (encoded) => encoder.release(encoded),
      })
      const { reply } = await this.inOrder(topic, partition, ({ connection }) => connection.send(request))
      return this.outcomeOf(await reply, where)
    } catch (error) {
      this.options.cluster.markStale()
      return { kind: 'retry', cause: causeOfThrown(error, where) }
    }
  }

  end(topic: string, partition: number): Promise<bigint> {
    return endOf(this.options.cluster, topic, partition)
  }

  async *scan(topic: string, partition: number, from: bigint | undefined): AsyncIterable<FoundRecord> {
    const { cluster, crc32c, requestTimeoutMs } = this.options
    yield* scanPartition({ cluster, crc32c, topic, partition, waitMs: requestTimeoutMs }, from)
  }

  async close(): Promise<void> {
    this.options.cluster.close()
  }

  /**
   * Hands a request to the leader's connection behind those of earlier calls for the same partition, even if a leader
   * has to be looked up for the first of them. The reply is wrapped: nobody behind waits for it.
   */
  private inOrder<T>(
    topic: string,
    partition: number,
    send: (leader: Leader) => Promise<T>,
  ): Promise<{ reply: Promise<T> }> {
    const lane = `${topic} ${partition}`
    const sent = (this.lanes.get(lane) ?? Promise.resolve())
      .then(() => this.options.cluster.leaderForBatches(topic, partition))
      .then((leader) => {
        const reply = send(leader)
        // It may reject before the caller gets to wait for it.
        reply.catch(() => {})
        return { reply }
      })
    this.lanes.set(
      lane,
      sent.catch(() => {}),
    )
    return sent
  }

  private outcomeOf({ error, baseOffset, message }: ProduceReply, where: string): Outcome {
    if (error === 0) return { kind: 'delivered', baseOffset: baseOffset < 0n ? undefined : baseOffset }
    if (isAboutLeadership(error)) this.options.cluster.markStale()
    return outcomeOfError(error, where, message)
  }

  private failure(
    error: number,
    api: string,
    topic: string,
    partition: number,
    message: string,
  ): SinkUnavailable | SinkDenied {
    if (isAboutLeadership(error)) this.options.cluster.markStale()
    return errorOf(error, `${api} ${topic}-${partition}`, message)
  }
}
