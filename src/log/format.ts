/**
 * The log's bytes (docs/LOG_FORMAT.md): a segment is a header and frames one after the other; a frame is one batch of records
 * (src/record.ts) as it was written and synced. Little endian. Magic words hold bytes that UTF-8 cannot hold, and
 * records are UTF-8, so nothing that a client sends can look like one.
 */
import { crc32 } from 'node:zlib'
import { combineCrc32 } from './crc32-combine.js'
import { asBuffer } from '../as-buffer.js'

/** Readers refuse a higher one. */
export const FORMAT_VERSION = 1
/** CRC-32 (IEEE), the only one so far; the segment's header names it. */
export const CHECKSUM_CRC32 = 1

export const FRAME_HEADER_BYTES = 64
export const SEGMENT_HEADER_BYTES = 64
export const WRITER_ID_BYTES = 16
export const FRAME_MAGIC = Uint8Array.of(0xf8, 0x53, 0x4c, 0x46, 0x52, 0x41, 0x4d, 0xff) // .SLFRAM.
export const SEGMENT_MAGIC = Uint8Array.of(0xf8, 0x53, 0x4c, 0x53, 0x45, 0x47, 0x4d, 0xff) // .SLSEGM.

/** Large frames begin at a multiple of this, behind zeroes: so they can be written in whole blocks. */
export const BLOCK_BYTES = 4096

const MAGIC_BYTES = 8
const CHECKSUM_AT = 8
/** What the checksum covers begins here. */
const COVERED_AT = 12
const TWO_32 = 2 ** 32

/** Offsets of the fields behind the checksum. */
const Segment = {
  version: 12,
  checksum: 14,
  firstOffset: 16,
  createdMs: 24,
  epoch: 32,
  previousEnd: 40,
  writerId: 48,
}
const Frame = {
  version: 12,
  flags: 14,
  bodyBytes: 16,
  records: 20,
  firstOffset: 24,
  writtenMs: 32,
  epoch: 40,
  writerId: 48,
}

export interface SegmentHeader {
  readonly firstOffset: number
  readonly createdMs: number
  readonly epoch: number
  /** After a failed write or sync: the position at which the segment before ends; else 0. */
  readonly previousEnd: number
  readonly writerId: Uint8Array
}

export interface FrameHeader {
  /** Of all records together. */
  readonly bodyBytes: number
  readonly records: number
  readonly firstOffset: number
  readonly writtenMs: number
  readonly epoch: number
  readonly writerId: Uint8Array
}

/** The first multiple of BLOCK_BYTES from `position` on. */
export function blockEnd(position: number): number {
  return Math.ceil(position / BLOCK_BYTES) * BLOCK_BYTES
}

/** The header's 64 bytes. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  bytes.set(SEGMENT_MAGIC)
  bytes.writeUInt16LE(FORMAT_VERSION, Segment.version)
  bytes.writeUInt16LE(CHECKSUM_CRC32, Segment.checksum)
  writeU64(bytes, header.firstOffset, Segment.firstOffset)
  writeU64(bytes, header.createdMs, Segment.createdMs)
  bytes.writeUInt32LE(header.epoch, Segment.epoch)
  writeU64(bytes, header.previousEnd, Segment.previousEnd)
  bytes.set(header.writerId, Segment.writerId)
  bytes.writeUInt32LE(crc32(bytes.subarray(COVERED_AT)), CHECKSUM_AT)
  return bytes
}

/** `invalid`: not a header, or damaged. `newer`: written by a later version of the program. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | 'invalid' | 'newer' {
  const view = asBuffer(bytes)
  if (view.length < SEGMENT_HEADER_BYTES || !hasMagic(view, 0, SEGMENT_MAGIC)) return 'invalid'
  if (crc32(view.subarray(COVERED_AT, SEGMENT_HEADER_BYTES)) !== view.readUInt32LE(CHECKSUM_AT))
    return 'invalid'
  if (view.readUInt16LE(Segment.version) > FORMAT_VERSION) return 'newer'
  if (view.readUInt16LE(Segment.checksum) !== CHECKSUM_CRC32) return 'newer'
  return {
    firstOffset: readU64(view, Segment.firstOffset),
    createdMs: readU64(view, Segment.createdMs),
    epoch: view.readUInt32LE(Segment.epoch),
    previousEnd: readU64(view, Segment.previousEnd),
    writerId: Uint8Array.from(view.subarray(Segment.writerId, Segment.writerId + WRITER_ID_BYTES)),
  }
}

/**
 * Writes the header in front of the records that stand in `frame` from byte FRAME_HEADER_BYTES on.
 *
 * @param bodySum CRC-32 of the records
 */
export function stampFrame(
  frame: Uint8Array,
  header: Omit<FrameHeader, 'bodyBytes'>,
  bodySum: number = crc32(frame.subarray(FRAME_HEADER_BYTES)),
): void {
  const view = asBuffer(frame)
  view.set(FRAME_MAGIC)
  view.writeUInt16LE(FORMAT_VERSION, Frame.version)
  view.writeUInt16LE(0, Frame.flags)
  view.writeUInt32LE(frame.length - FRAME_HEADER_BYTES, Frame.bodyBytes)
  view.writeUInt32LE(header.records, Frame.records)
  writeU64(view, header.firstOffset, Frame.firstOffset)
  writeU64(view, header.writtenMs, Frame.writtenMs)
  writeU64(view, header.epoch, Frame.epoch)
  view.set(header.writerId, Frame.writerId)
  const headerSum = crc32(view.subarray(COVERED_AT, FRAME_HEADER_BYTES))
  view.writeUInt32LE(combineCrc32(headerSum, bodySum, frame.length - FRAME_HEADER_BYTES), CHECKSUM_AT)
}

/** How many bytes the frame at the start of `bytes` takes, going by its header alone; undefined when none is there. */
export function frameBytes(bytes: Uint8Array): number | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || !hasMagic(bytes, 0, FRAME_MAGIC)) return undefined
  return FRAME_HEADER_BYTES + asBuffer(bytes).readUInt32LE(Frame.bodyBytes)
}

/** The header of a whole frame; undefined when its checksum does not match, `newer` as of a segment. */
export function decodeFrame(frame: Uint8Array): FrameHeader | 'newer' | undefined {
  const view = asBuffer(frame)
  if (crc32(view.subarray(COVERED_AT)) !== view.readUInt32LE(CHECKSUM_AT)) return undefined
  if (view.readUInt16LE(Frame.version) > FORMAT_VERSION) return 'newer'
  return {
    bodyBytes: view.readUInt32LE(Frame.bodyBytes),
    records: view.readUInt32LE(Frame.records),
    firstOffset: readU64(view, Frame.firstOffset),
    writtenMs: readU64(view, Frame.writtenMs),
    epoch: readU64(view, Frame.epoch),
    writerId: view.subarray(Frame.writerId, Frame.writerId + WRITER_ID_BYTES),
  }
}

export function hasMagic(bytes: Uint8Array, at: number, magic: Uint8Array): boolean {
  for (let index = 0; index < MAGIC_BYTES; index++) if (bytes[at + index] !== magic[index]) return false
  return true
}

/** Counts and times are whole numbers below 2^53. */
function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at)
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32
}

const NAME = /^(\d{20})(?:-(\d{1,10}))?\.log$/

export interface SegmentName {
  readonly name: string
  readonly firstOffset: number
  /** 0 unless the name had to tell two segments with the same first offset apart. */
  readonly epoch: number
}

/** Zero-padded first offset; with the epoch behind it where a failed segment of that offset exists already. */
export function segmentName(firstOffset: number, epoch = 0): string {
  const number = String(firstOffset).padStart(20, '0')
  return epoch === 0 ? `${number}.log` : `${number}-${epoch}.log`
}

/** The segments among a directory's names, in the order of their records. */
export function segmentNames(names: readonly string[]): SegmentName[] {
  const found = names.flatMap((name) => {
    const match = NAME.exec(name)
    return match === null ? [] : [{ name, firstOffset: Number(match[1]), epoch: Number(match[2] ?? 0) }]
  })
  return found.toSorted((a, b) => a.firstOffset - b.firstOffset || a.epoch - b.epoch)
}
