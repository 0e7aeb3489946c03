/**
 * Kafka as far as exactly once depends on it, in memory: producer ids, epochs, sequences, the newest five batches a
 * producer and partition. It answers what 3.9, 4.3 and 4.4 answered when they were asked, the silent acceptance of an
 * unknown id included.
 */
import type { Outcome, OutRecord, PartitionBatch, ProducerIdentity } from '../../../src/ship/sink.js'

export interface StoredRecord extends Pick<OutRecord, 'offset' | 'key' | 'value'> {
  readonly brokerOffset: number
  readonly writerId: string
  readonly possibleDuplicate: boolean
  /** Counts all records of all partitions, in the order in which they came. */
  readonly at: number
}

interface KnownBatch {
  readonly first: number
  readonly last: number
  readonly baseOffset: number
}

interface KnownProducer {
  epoch: number
  /** The newest five, oldest first. */
  batches: KnownBatch[]
  lastTimestampMs: number
}

const DEDUPLICATED = 5
const SEQUENCES = 2 ** 31

export class MemoryPartition {
  readonly records: StoredRecord[] = []
  readonly producers = new Map<bigint, KnownProducer>()
  /** Of each batch appended. */
  readonly batches: number[] = []

  append(batch: PartitionBatch, writerId: string, nowMs: number, next: () => number): Outcome {
    const { producer, firstSequence, records } = batch
    const known = this.producers.get(producer.id)
    if (known !== undefined && producer.epoch < known.epoch) return unsettled('producer_fenced', 47)
    const last = (firstSequence + records.length - 1) % SEQUENCES
    const isSame = known !== undefined && producer.epoch === known.epoch
    if (isSame) {
      const again = known.batches.find((one) => one.first === firstSequence && one.last === last)
      if (again !== undefined) return { kind: 'delivered', baseOffset: BigInt(again.baseOffset) }
      const expected = (known.batches.at(-1)!.last + 1) % SEQUENCES
      if (firstSequence !== expected) return unsettled('sequence_unknown', 45)
    } else if (known !== undefined && firstSequence !== 0) return unsettled('sequence_unknown', 45)
    const baseOffset = this.records.length
    for (const { offset, key, value } of records) {
      const { possibleDuplicate } = batch
      const brokerOffset = this.records.length
      const at = next()
      this.records.push({
        brokerOffset,
        offset,
        key: copy(key),
        value: copy(value),
        writerId,
        possibleDuplicate,
        at,
      })
    }
    this.batches.push(records.length)
    const before = isSame ? known.batches : []
    const batches = [...before, { first: firstSequence, last, baseOffset }].slice(-DEDUPLICATED)
    this.producers.set(producer.id, { epoch: producer.epoch, batches, lastTimestampMs: nowMs })
    return { kind: 'delivered', baseOffset: BigInt(baseOffset) }
  }
}

export class MemoryTopic {
  readonly partitions: MemoryPartition[] = []
  messageBytesMax = 4 * 2 ** 20

  constructor(
    readonly id: string,
    partitions: number,
  ) {
    this.grow(partitions)
  }

  grow(partitions: number): void {
    while (this.partitions.length < partitions) this.partitions.push(new MemoryPartition())
  }
}

export class MemoryBroker {
  clusterId = 'cluster-1'
  readonly topics = new Map<string, MemoryTopic>()
  appended = 0
  private nextProducer = 1000n
  private nextTopic = 1

  create(name: string, partitions: number): MemoryTopic {
    const topic = new MemoryTopic(String(this.nextTopic++).padStart(32, '0'), partitions)
    this.topics.set(name, topic)
    return topic
  }

  /** InitProducerId. */
  producerIdentity(): ProducerIdentity {
    return { id: this.nextProducer++, epoch: 0 }
  }

  /** The ids of producers whose last batch came before are forgotten, as after their time or when old segments went. */
  forget(beforeMs = Infinity): void {
    for (const { partitions } of this.topics.values())
      for (const { producers } of partitions)
        for (const [id, { lastTimestampMs }] of producers)
          if (lastTimestampMs < beforeMs) producers.delete(id)
  }

  /** Everything is gone, and the same numbers are handed out again. */
  wipe(partitions: number): void {
    const names = [...this.topics.keys()]
    this.topics.clear()
    this.clusterId = `${this.clusterId}x`
    this.nextProducer = 1000n
    for (const name of names) this.create(name, partitions)
  }

  partition(topic: string, partition: number): MemoryPartition | undefined {
    return this.topics.get(topic)?.partitions[partition]
  }
}

const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)

const unsettled = (code: string, number: number): Outcome => {
  return { kind: 'unsettled', cause: { code, message: `the broker answers ${number}` } }
}
