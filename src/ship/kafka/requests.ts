/**
 * The requests we send ourselves, in versions that every broker since Kafka 3.1 understands. Two are of flexible
 * versions (Metadata 12 for topic ids, DescribeProducers 0): their header goes on with tagged fields, so that body and
 * reply begin with an empty list of tags.
 */
import { ByteReader, ByteWriter } from './bytes.js'
import type { ApiRequest } from './kafkajs-inside.js'

const ACKS_ALL = -1
const BATCH_LENGTH_BYTES = 4
/** replica_id of an ordinary client. */
const CLIENT = -1
/** replica_id of a client that wants to see up to the log's end, not only up to the high watermark. */
const DEBUGGING_CLIENT = -2
const READ_UNCOMMITTED = 0

export const EARLIEST = -2n
export const LATEST = -1n

interface Partition {
  readonly topic: string
  readonly partition: number
}
interface LedPartition extends Partition {
  /** Brokers refuse when the leader has changed since the metadata. */
  readonly leaderEpoch: number
}

/** API key and version of every request in this file: what a broker must offer. */
export const API = {
  Produce: [0, 8],
  Fetch: [1, 10],
  ListOffsets: [2, 5],
  Metadata: [3, 12],
  InitProducerId: [22, 1],
  DescribeConfigs: [32, 1],
  DescribeProducers: [61, 0],
} as const

function request<T>(
  apiName: keyof typeof API,
  body: Buffer,
  decode: (reader: ByteReader) => T,
): ApiRequest<T> {
  const [apiKey, apiVersion] = API[apiName]
  const encode = (headroom: number): Buffer => Buffer.concat([Buffer.alloc(headroom), body])
  return { apiKey, apiName, apiVersion, encode, decode: (reply) => decode(new ByteReader(reply)) }
}

export interface ProduceReply {
  readonly error: number
  /** -1 when the broker does not know it any more. */
  readonly baseOffset: bigint
  /** In the broker's words; mostly none. */
  readonly message: string
}

/** A batch that is made when it is sent: as many bytes in front of it as it is told are left to others. */
export interface BatchSource {
  encode(headroom: number): Buffer
  release(encoded: Buffer): void
}

/** One batch for one partition; `timeoutMs` is how long the broker waits for its replicas. */
export function produce(
  { topic, partition }: Partition,
  timeoutMs: number,
  batch: BatchSource,
): ApiRequest<ProduceReply> {
  const [apiKey, apiVersion] = API.Produce
  const front = new ByteWriter().int16(-1).int16(ACKS_ALL).int32(timeoutMs).int32(1).string(topic)
  const head = front.int32(1).int32(partition).int32(0).finish()
  return {
    apiKey,
    apiName: 'Produce',
    apiVersion,
    encode(headroom) {
      const start = headroom + head.length
      const all = batch.encode(start)
      all.set(head, headroom)
      all.writeInt32BE(all.length - start, start - BATCH_LENGTH_BYTES)
      return all
    },
    release: (encoded) => batch.release(encoded),
    decode: (reply) => only(new ByteReader(reply).array(readProduced).flat()),
  }
}

function readProduced(reader: ByteReader): ProduceReply[] {
  reader.string()
  return reader.array((row) => {
    row.int32()
    const error = row.int16()
    const baseOffset = row.int64()
    row.int64()
    row.int64()
    const records = row.array((entry) => {
      entry.int32()
      return entry.nullableString() ?? ''
    })
    return { error, baseOffset, message: row.nullableString() ?? records[0] ?? '' }
  })
}

export interface InitProducerIdReply {
  readonly error: number
  readonly id: bigint
  readonly epoch: number
}

export function initProducerId(): ApiRequest<InitProducerIdReply> {
  const body = new ByteWriter().int16(-1).int32(0).finish()
  return request('InitProducerId', body, (reader) => {
    reader.int32()
    return { error: reader.int16(), id: reader.int64(), epoch: reader.int16() }
  })
}

export interface ActiveProducer {
  readonly id: bigint
  readonly epoch: number
  readonly lastSequence: number
  readonly lastTimestampMs: number
}
export interface DescribeProducersReply {
  readonly error: number
  readonly message: string
  readonly producers: readonly ActiveProducer[]
}

export function describeProducers({ topic, partition }: Partition): ApiRequest<DescribeProducersReply> {
  const body = new ByteWriter()
    .noTags()
    .uvarint(2)
    .compactString(topic)
    .uvarint(2)
    .int32(partition)
    .noTags()
    .noTags()
  return request('DescribeProducers', body.finish(), (reader) => {
    reader.skipTags()
    reader.int32()
    return only(reader.compactArray(readProducersOfTopic).flat())
  })
}

function readProducersOfTopic(reader: ByteReader): DescribeProducersReply[] {
  reader.compactString()
  const partitions = reader.compactArray((row) => {
    row.int32()
    const error = row.int16()
    const message = row.compactString() ?? ''
    const producers = row.compactArray(readProducer)
    row.skipTags()
    return { error, message, producers }
  })
  reader.skipTags()
  return partitions
}

function readProducer(reader: ByteReader): ActiveProducer {
  const id = reader.int64()
  const epoch = reader.int32()
  const lastSequence = reader.int32()
  const lastTimestampMs = Number(reader.int64())
  reader.int32()
  reader.int64()
  reader.skipTags()
  return { id, epoch, lastSequence, lastTimestampMs }
}

export interface ListOffsetsReply {
  readonly error: number
  readonly offset: bigint
}

/**
 * `at`: EARLIEST or LATEST. With `logEnd` LATEST is the end of the leader's log, replicated or not, else the high
 * watermark: up to there records can be fetched.
 */
export function listOffsets(
  { topic, partition, leaderEpoch }: LedPartition,
  at: bigint,
  logEnd = false,
): ApiRequest<ListOffsetsReply> {
  const body = new ByteWriter()
    .int32(logEnd ? DEBUGGING_CLIENT : CLIENT)
    .int8(READ_UNCOMMITTED)
    .int32(1)
    .string(topic)
    .int32(1)
    .int32(partition)
    .int32(leaderEpoch)
    .int64(at)
  return request('ListOffsets', body.finish(), (reader) => {
    reader.int32()
    return only(reader.array(readOffsets).flat())
  })
}

function readOffsets(reader: ByteReader): ListOffsetsReply[] {
  reader.string()
  return reader.array((row) => {
    row.int32()
    const error = row.int16()
    row.int64()
    const offset = row.int64()
    row.int32()
    return { error, offset }
  })
}

export interface FetchReply {
  readonly error: number
  readonly highWatermark: bigint
  /** Batches back to back; the last one may be cut off. A view of the reply. */
  readonly records: Uint8Array
}

/** Waits up to `waitMs` for a first byte. A batch that is larger than `bytesMax` comes whole all the same. */
export function fetchRecords(
  { topic, partition, leaderEpoch }: LedPartition,
  from: bigint,
  bytesMax: number,
  waitMs: number,
): ApiRequest<FetchReply> {
  const body = new ByteWriter()
    .int32(CLIENT)
    .int32(waitMs)
    .int32(1)
    .int32(bytesMax)
    .int8(READ_UNCOMMITTED)
    // No fetch session.
    .int32(0)
    .int32(-1)
    .int32(1)
    .string(topic)
    .int32(1)
    .int32(partition)
    .int32(leaderEpoch)
    .int64(from)
    .int64(-1n)
    .int32(bytesMax)
    .int32(0)
  return request('Fetch', body.finish(), (reader) => {
    reader.int32()
    const error = reader.int16()
    reader.int32()
    const [reply] = reader.array(readFetched).flat()
    return reply ?? { error, highWatermark: -1n, records: new Uint8Array(0) }
  })
}

function readFetched(reader: ByteReader): FetchReply[] {
  reader.string()
  return reader.array((row) => {
    row.int32()
    const error = row.int16()
    const highWatermark = row.int64()
    row.int64()
    row.int64()
    row.array((aborted) => [aborted.int64(), aborted.int64()])
    return { error, highWatermark, records: row.view() }
  })
}

/** Of a list that must have one element, because we asked for one. */
function only<T>(list: readonly T[]): T {
  if (list.length !== 1)
    throw new RangeError(`the broker answered for ${list.length} partitions instead of one`)
  return list[0]!
}
