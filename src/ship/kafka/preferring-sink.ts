/**
 * `--kafka-exactly-once prefer`: exactly once until the first look at the cluster shows that its brokers are too old,
 * from then on at least once. Decided before anything is published, and only once.
 */
import {
  type ClusterView,
  type FoundRecord,
  type Outcome,
  type PartitionBatch,
  type ProducerIdentity,
  type ProducerState,
  type Sink,
  SinkUnavailable,
} from '../sink.js'

export class PreferringSink implements Sink {
  private decided = false

  constructor(
    private sink: Sink,
    private readonly atLeastOnce: () => Sink,
    private readonly onDowngrade: (reason: string) => void,
  ) {}

  /** May turn false at the first `describe`. */
  get exactlyOnce(): boolean {
    return this.sink.exactlyOnce
  }

  async describe(topics: readonly string[]): Promise<ClusterView> {
    try {
      const view = await this.sink.describe(topics)
      this.decided = true
      return view
    } catch (error) {
      if (this.decided || !isTooOld(error)) throw error
      this.decided = true
      await this.sink.close()
      this.onDowngrade(error.message)
      this.sink = this.atLeastOnce()
      return this.sink.describe(topics)
    }
  }

  producerIdentity(): Promise<ProducerIdentity> {
    return this.sink.producerIdentity()
  }

  producerState(topic: string, partition: number, producer: ProducerIdentity): Promise<ProducerState> {
    return this.sink.producerState(topic, partition, producer)
  }

  publish(batch: PartitionBatch): Promise<Outcome> {
    return this.sink.publish(batch)
  }

  end(topic: string, partition: number): Promise<bigint> {
    return this.sink.end(topic, partition)
  }

  scan(topic: string, partition: number, from: bigint | undefined): AsyncIterable<FoundRecord> {
    return this.sink.scan(topic, partition, from)
  }

  close(): Promise<void> {
    return this.sink.close()
  }
}

function isTooOld(error: unknown): error is SinkUnavailable {
  return error instanceof SinkUnavailable && error.cause.code === 'kafka_too_old'
}
