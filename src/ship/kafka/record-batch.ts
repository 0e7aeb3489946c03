/**
 * Kafka's RecordBatch (magic 2), written. One batch is one allocation of the right size: a first pass adds up lengths,
 * a second writes. Big endian; numbers within records are zigzag varints.
 *
 *   0  i64  base offset, 0 when produced         43  i64  producer id
 *   8  i32  length of what follows               51  i16  producer epoch
 *  12  i32  partition leader epoch, -1           53  i32  first sequence
 *  16  i8   magic, 2                             57  i32  number of records
 *  17  u32  CRC-32C of everything behind it      61  records, as a whole compressed or not
 *  21  i16  attributes (bits 0-2: codec)
 *  23  i32  last offset delta
 *  27  i64  first timestamp, ms
 *  35  i64  largest timestamp, ms
 */
import type { OutRecord, PartitionBatch } from '../sink.js'
import { BufferPool } from './buffer-pool.js'
import { type Codec, type Compression, compressorOf } from './compression.js'
import type { Crc32c } from './crc32c.js'
import { sizeOfVarint, writeVarint } from './varint.js'

export const BATCH_HEADER_BYTES = 61
export const MAGIC = 2
/** Offsets of the fields, for the reader too. */
export const Field = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  firstSequence: 53,
  records: 57,
} as const
/** Bytes in front of what `length` counts. */
export const LENGTH_END = 12

/** Where a record stood in the log: ASCII `<writer id>.<epoch>.<offset>`. Unique for every record that was accepted. */
export const POSITION_HEADER = 'log_position'
/** Value `1`: whether an earlier try was kept could not be found out. Only in batches that were sent again. */
export const DUPLICATE_HEADER = 'possible_duplicate'

/** The log that records come from. */
export interface Writer {
  /** 32 hexadecimal digits. */
  readonly id: string
  /** The log's, when this process opened it. */
  readonly epoch: number
}

export interface EncoderOptions {
  readonly writer: Writer
  readonly compression: Compression
  readonly crc32c: Crc32c
}

/** What stands at the end of every record but for the digits of its log offset and the length of the position. */
interface HeaderTemplate {
  /** Number of headers, and the position header up to the length of its value. */
  readonly start: Buffer
  /** `<writer id>.<epoch>.` */
  readonly position: Buffer
  /** The header `possible_duplicate` or nothing. */
  readonly end: Buffer
}

const DUPLICATE_VALUE = '1'
/** Longer texts are copied faster by the engine's own means. */
const COPY_LOOP_MAX = 48

export class RecordBatchEncoder {
  private readonly plain: HeaderTemplate
  private readonly duplicate: HeaderTemplate
  private readonly codec: Codec
  private readonly pool = new BufferPool()

  constructor(private readonly options: EncoderOptions) {
    const { writer, compression } = options
    const position = Buffer.from(`${writer.id}.${writer.epoch}.`)
    const name = textWithLength(POSITION_HEADER)
    const more = Buffer.concat([textWithLength(DUPLICATE_HEADER), textWithLength(DUPLICATE_VALUE)])
    this.plain = { start: Buffer.concat([varint(1), name]), position, end: Buffer.alloc(0) }
    this.duplicate = { start: Buffer.concat([varint(2), name]), position, end: more }
    this.codec = compressorOf(compression)
  }

  /**
   * The batch as bytes, stamped with `nowMs`: a broker counts the age of a producer id from there, so that must be the
   * time of sending. Everything else is the same for the same batch. `headroom` bytes in front are the caller's: a batch
   * is large, and a copy of it dear. Once it has left, `release` takes its memory back.
   */
  encode(batch: PartitionBatch, nowMs: number, headroom = 0): Buffer {
    const template = batch.possibleDuplicate ? this.duplicate : this.plain
    const sizes = bodySizes(batch.records, template)
    const all = this.pool.take(headroom + BATCH_HEADER_BYTES + sizes.total)
    const records = all.subarray(headroom + BATCH_HEADER_BYTES)
    writeRecords(records, batch.records, template, sizes.bodies)
    const compressed = this.codec.compress?.(records)
    const isSmaller = compressed !== undefined && compressed.length < sizes.total
    if (isSmaller) records.set(compressed)
    const end = all.length - (isSmaller ? sizes.total - compressed.length : 0)
    this.stamp(all.subarray(headroom, end), batch, isSmaller ? this.codec.id : 0, nowMs)
    return all.subarray(0, end)
  }

  release(encoded: Buffer): void {
    this.pool.giveBack(encoded)
  }

  private stamp(bytes: Buffer, batch: PartitionBatch, codec: number, nowMs: number): void {
    const { producer, firstSequence, records } = batch
    bytes.writeBigInt64BE(0n, Field.baseOffset)
    bytes.writeInt32BE(bytes.length - LENGTH_END, Field.length)
    bytes.writeInt32BE(-1, Field.leaderEpoch)
    bytes.writeInt8(MAGIC, Field.magic)
    bytes.writeInt16BE(codec, Field.attributes)
    bytes.writeInt32BE(records.length - 1, Field.lastOffsetDelta)
    bytes.writeBigInt64BE(BigInt(nowMs), Field.firstTimestamp)
    bytes.writeBigInt64BE(BigInt(nowMs), Field.maxTimestamp)
    bytes.writeBigInt64BE(producer.id, Field.producerId)
    bytes.writeInt16BE(producer.epoch, Field.producerEpoch)
    bytes.writeInt32BE(firstSequence, Field.firstSequence)
    bytes.writeInt32BE(records.length, Field.records)
    bytes.writeUInt32BE(this.options.crc32c(bytes.subarray(Field.attributes)), Field.crc)
  }
}

/** Bytes of each record behind its length, and of all records with their lengths. */
function bodySizes(
  records: readonly OutRecord[],
  template: HeaderTemplate,
): { bodies: Uint32Array; total: number } {
  const bodies = new Uint32Array(records.length)
  const fixed = template.start.length + template.position.length + template.end.length
  let total = 0
  for (let index = 0; index < records.length; index++) {
    const { keyAt, valueAt, end, offset } = records[index]!
    const [keyLength, valueLength] = [valueAt - keyAt, end - valueAt]
    const digits = digitsOf(offset)
    const body =
      // Attributes and timestamp delta are a zero byte each.
      2 +
      sizeOfVarint(index) +
      (sizeOfVarint(keyLength) + keyLength) +
      (sizeOfVarint(valueLength) + valueLength) +
      (fixed + digits + sizeOfVarint(template.position.length + digits))
    bodies[index] = body
    total += sizeOfVarint(body) + body
  }
  return { bodies, total }
}

function writeRecords(
  bytes: Buffer,
  records: readonly OutRecord[],
  template: HeaderTemplate,
  bodies: Uint32Array,
): void {
  let at = 0
  for (let index = 0; index < records.length; index++) {
    const { memory, keyAt, valueAt, end, offset } = records[index]!
    at = writeVarint(bytes, bodies[index]!, at)
    bytes[at++] = 0
    bytes[at++] = 0
    at = writeVarint(bytes, index, at)
    at = copyPart(bytes, writeVarint(bytes, valueAt - keyAt, at), memory, keyAt, valueAt)
    at = copyPart(bytes, writeVarint(bytes, end - valueAt, at), memory, valueAt, end)
    at = writeHeaders(bytes, template, offset, at)
  }
}

function writeHeaders(
  bytes: Buffer,
  { start, position, end }: HeaderTemplate,
  offset: number,
  at: number,
): number {
  const digits = digitsOf(offset)
  let next = copy(bytes, start, at)
  next = writeVarint(bytes, position.length + digits, next)
  next = copy(bytes, position, next)
  let rest = offset
  for (let place = next + digits - 1; place >= next; place--) {
    const tenth = Math.floor(rest / 10)
    bytes[place] = 48 + (rest - tenth * 10)
    rest = tenth
  }
  return copy(bytes, end, next + digits)
}

function digitsOf(offset: number): number {
  let digits = 1
  for (let bound = 10; offset >= bound; bound *= 10) digits++
  return digits
}

function copy(target: Uint8Array, source: Buffer, at: number): number {
  return copyPart(target, at, source, 0, source.length)
}

/** Answers where it ends in `target`. */
function copyPart(target: Uint8Array, at: number, source: Buffer, start: number, end: number): number {
  const length = end - start
  if (length > COPY_LOOP_MAX) source.copy(target, at, start, end)
  else for (let index = 0; index < length; index++) target[at + index] = source[start + index]!
  return at + length
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(sizeOfVarint(value))
  writeVarint(bytes, value, 0)
  return bytes
}

function textWithLength(text: string): Buffer {
  return Buffer.concat([varint(text.length), Buffer.from(text)])
}
