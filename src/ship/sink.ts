/** The seam between the shipper (src/ship) and where it ships to. One shared suite runs every implementation: sink.cases.ts. */

/** Given by the cluster; stamped into every batch. `require`: the shipper's state file holds it before a send. */
export interface ProducerIdentity {
  readonly id: bigint
  readonly epoch: number
}

/** A topic as the cluster has it now. */
export interface TopicView {
  readonly name: string
  /** Kafka's topic id, 32 hexadecimal digits; another one after the topic was deleted and created again. */
  readonly id: string
  readonly partitions: number
  /** max.message.bytes; undefined when we may not read it. */
  readonly messageBytesMax: number | undefined
}

export interface ClusterView {
  readonly clusterId: string
  /** Those asked for that exist. */
  readonly topics: readonly TopicView[]
  /** Those asked for that do not, or cannot be used, with the reason. */
  readonly unusable: readonly { readonly name: string; readonly cause: SinkCause }[]
}

/** A stable code (`topic_missing`, `not_authorized`, `unreachable`, `not_enough_replicas`, …) and a sentence for the operator. */
export interface SinkCause {
  readonly code: string
  readonly message: string
}

/** A place in memory where key and value stand: views of them are made only for those who ask, and cost more than a copy. */
export class OutRecord {
  /**
   * @param offset in the log; goes into the record's header together with the writer id
   * @param keyAt where the key begins in `memory`
   * @param valueAt where it ends, and the value begins
   * @param end of the value
   */
  constructor(
    readonly offset: number,
    readonly memory: Buffer,
    readonly keyAt: number,
    readonly valueAt: number,
    readonly end: number,
  ) {}

  get key(): Uint8Array {
    return this.memory.subarray(this.keyAt, this.valueAt)
  }

  get value(): Uint8Array {
    return this.memory.subarray(this.valueAt, this.end)
  }

  /** Of key and value together. */
  get length(): number {
    return this.end - this.keyAt
  }
}

/**
 * One batch for one partition. Sent again with equal `producer`, `firstSequence` and number of records it is the same
 * batch to the broker, which keeps it once (only the newest five a producer and partition).
 */
export interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  readonly producer: ProducerIdentity
  /** 0 to 2^31 - 1; wraps to 0. */
  readonly firstSequence: number
  readonly records: readonly OutRecord[]
  /** Adds the header `possible_duplicate`: whether an earlier try was kept could not be found out. */
  readonly possibleDuplicate: boolean
}

export type Outcome =
  | { readonly kind: 'delivered'; readonly baseOffset: bigint | undefined }
  /** May have been kept or not; the same batch is to be sent again. */
  | { readonly kind: 'retry'; readonly cause: SinkCause }
  /** The batch as a whole is over the topic's limit: split it; a single record is poison. */
  | { readonly kind: 'too_large'; readonly cause: SinkCause }
  /** Refused for ever, whatever is done (invalid record, …): find the guilty record by splitting. */
  | { readonly kind: 'poison'; readonly cause: SinkCause }
  /** Sequence or epoch are not what the broker expects (45, 46, 47, 59, 90 …): settle as after a restart. */
  | { readonly kind: 'unsettled'; readonly cause: SinkCause }

/** What the broker remembers of a producer id on one partition. */
export type ProducerState =
  | {
      readonly kind: 'alive'
      readonly epoch: number
      readonly lastSequence: number
      readonly lastTimestampMs: number
    }
  /** Forgotten: a batch with this id would be taken as new, whatever its sequence. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'denied'; readonly cause: SinkCause }
  | { readonly kind: 'retry'; readonly cause: SinkCause }

/** A record of ours found in a partition. */
export interface FoundRecord {
  readonly brokerOffset: bigint
  readonly writerId: string
  readonly epoch: number
  /** In the log of that writer. */
  readonly logOffset: number
}

export interface Sink {
  /** false: publishes at least once; producerIdentity, producerState, end and scan are not used. */
  readonly exactlyOnce: boolean
  /** Looks topics up again. Rejects with SinkUnavailable while the cluster cannot be reached. */
  describe(topics: readonly string[]): Promise<ClusterView>
  /** A new producer id (InitProducerId). Rejects with SinkUnavailable. */
  producerIdentity(): Promise<ProducerIdentity>
  producerState(topic: string, partition: number, producer: ProducerIdentity): Promise<ProducerState>
  /** Never rejects because of data or network: that is an outcome. */
  publish(batch: PartitionBatch): Promise<Outcome>
  /**
   * Our records in a partition, from a broker offset (or from the oldest) to the end at the time of the call.
   * Rejects with SinkDenied without READ rights, SinkUnavailable when it cannot be reached.
   */
  scan(topic: string, partition: number, from: bigint | undefined): AsyncIterable<FoundRecord>
  /**
   * The offset behind a partition's newest record: a later scan for what is sent from now on may begin there.
   * Rejects with SinkUnavailable or SinkDenied.
   */
  end(topic: string, partition: number): Promise<bigint>
  close(): Promise<void>
}

export class SinkUnavailable extends Error {
  constructor(override readonly cause: SinkCause) {
    super(cause.message)
  }
}

export class SinkDenied extends Error {
  constructor(override readonly cause: SinkCause) {
    super(cause.message)
  }
}
