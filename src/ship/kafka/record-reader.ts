/** RecordBatches, read: for finding our own records in a partition again (settling after a restart). */
import { asBuffer } from '../../as-buffer.js'
import type { FoundRecord } from '../sink.js'
import { decompress } from './compression.js'
import type { Crc32c } from './crc32c.js'
import { BATCH_HEADER_BYTES, Field, LENGTH_END, MAGIC, POSITION_HEADER } from './record-batch.js'
import { VarintReader } from './varint.js'

export interface BatchView {
  readonly baseOffset: bigint
  /** Of its last record, removed ones included: the next batch begins behind it. */
  readonly lastOffset: bigint
  readonly attributes: number
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly firstSequence: number
  readonly maxTimestampMs: number
  readonly records: number
  /** Transaction markers: no records of anybody. */
  readonly isControl: boolean
  /** Everything behind the header, perhaps compressed. */
  readonly body: Uint8Array
}

/** The stored batch does not match its checksum, or does not read as the format says. */
export class DamagedBatch extends Error {
  override readonly name = 'DamagedBatch'
}

/**
 * The whole batches of a Fetch reply (its last may be cut off, which ends it). Those of formats before Kafka 0.11 appear
 * as without records: nobody here wrote them.
 */
export function* batchesOf(bytes: Uint8Array, crc32c: Crc32c): Generator<BatchView> {
  const view = asBuffer(bytes)
  for (let start = 0; start + LENGTH_END <= view.length;) {
    const end = start + LENGTH_END + view.readInt32BE(start + Field.length)
    if (end > view.length) return
    if (end < start + Field.magic + 1) throw new DamagedBatch('a batch has an impossible length')
    const batch = view.subarray(start, end)
    yield batch[Field.magic] === MAGIC ? readBatch(batch, crc32c) : { ...OLD, ...offsetsOfOld(batch) }
    start = end
  }
}

const OLD = {
  attributes: 0,
  producerId: -1n,
  producerEpoch: -1,
  firstSequence: -1,
  maxTimestampMs: -1,
  records: 0,
  isControl: false,
  body: new Uint8Array(0),
}

/** Of a set of messages inside one, its last offset. */
function offsetsOfOld(message: Buffer): Pick<BatchView, 'baseOffset' | 'lastOffset'> {
  const offset = message.readBigInt64BE(Field.baseOffset)
  return { baseOffset: offset, lastOffset: offset }
}

function readBatch(batch: Buffer, crc32c: Crc32c): BatchView {
  const baseOffset = batch.readBigInt64BE(Field.baseOffset)
  if (batch.length < BATCH_HEADER_BYTES) throw new DamagedBatch(`the batch at ${baseOffset} is too short`)
  if (crc32c(batch.subarray(Field.attributes)) !== batch.readUInt32BE(Field.crc)) {
    throw new DamagedBatch(`the batch at ${baseOffset} does not match its checksum`)
  }
  const attributes = batch.readInt16BE(Field.attributes)
  return {
    baseOffset,
    lastOffset: baseOffset + BigInt(batch.readInt32BE(Field.lastOffsetDelta)),
    attributes,
    producerId: batch.readBigInt64BE(Field.producerId),
    producerEpoch: batch.readInt16BE(Field.producerEpoch),
    firstSequence: batch.readInt32BE(Field.firstSequence),
    maxTimestampMs: Number(batch.readBigInt64BE(Field.maxTimestamp)),
    records: batch.readInt32BE(Field.records),
    isControl: (attributes & 32) !== 0,
    body: batch.subarray(BATCH_HEADER_BYTES),
  }
}

export interface RecordView {
  readonly offset: bigint
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers: readonly (readonly [name: string, value: Uint8Array | undefined])[]
}

/** The records of a batch. Throws UnreadableCodec or DamagedBatch. */
export function* recordsOf(batch: BatchView): Generator<RecordView> {
  const reader = new VarintReader(inflated(batch))
  for (let index = 0; index < batch.records; index++) {
    try {
      yield readRecord(reader, batch.baseOffset)
    } catch (cause) {
      throw new DamagedBatch(`the batch at ${batch.baseOffset} has a damaged record`, { cause })
    }
  }
}

function inflated(batch: BatchView): Uint8Array {
  try {
    return decompress(batch.attributes, batch.body)
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'UnreadableCodec') throw cause
    throw new DamagedBatch(`the batch at ${batch.baseOffset} cannot be inflated`, { cause })
  }
}

function readRecord(reader: VarintReader, baseOffset: bigint): RecordView {
  const length = reader.next()
  const end = reader.at + length
  reader.byte()
  reader.skip()
  const offset = baseOffset + BigInt(reader.next())
  const key = reader.span()
  const value = reader.span()
  const headers: (readonly [string, Uint8Array | undefined])[] = []
  for (let count = reader.next(); count > 0; count--) {
    const name = Buffer.from(reader.span() ?? []).toString()
    headers.push([name, reader.span()])
  }
  if (reader.at !== end) throw new RangeError('a record is longer or shorter than it says')
  return { offset, key, value, headers }
}

const POSITION = /^([0-9a-f]{32})\.(\d{1,10})\.(\d{1,16})$/

/** Whose record it is; undefined for those of others. */
export function foundRecord({ offset, headers }: RecordView): FoundRecord | undefined {
  const header = headers.find(([name]) => name === POSITION_HEADER)?.[1]
  const match = header === undefined ? null : POSITION.exec(Buffer.from(header).toString('latin1'))
  if (match === null) return undefined
  return {
    brokerOffset: offset,
    writerId: match[1]!,
    epoch: Number(match[2]),
    logOffset: Number(match[3]),
  }
}
