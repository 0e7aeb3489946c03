/**
 * LZ4 frames as Kafka's clients write and read them: independent blocks of 64 KiB, no checksums of their own (the
 * batch has a CRC-32C), no content size.
 *
 * A block is a row of sequences: token (literal length, match length - 4; 15 goes on in bytes of up to 255), literals,
 * u16 distance. The last five bytes are literals and the last match begins twelve bytes before the end or earlier.
 */
import { asBuffer } from '../../as-buffer.js'

const BLOCK_BYTES = 64 * 1024
/** Magic, version 1 with independent blocks, 64 KiB; the last byte is the header's checksum (of those two bytes). */
const FRAME_HEADER = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82)
const END_MARK_BYTES = 4
/** Set in a block's length: its bytes are stored as they are. */
const STORED = 0x80000000

const HASH_BITS = 13
const HASH_PRIME = 0x9e3779b1
const MATCH_MIN = 4
const LAST_LITERALS = 5
/** No match begins behind this many bytes before the end. */
const MATCH_LIMIT = 12
/** After 2^6 misses in a row the search takes longer steps: incompressible data costs little. */
const SKIP_SHIFT = 6

export function lz4Compress(bytes: Uint8Array): Uint8Array {
  const blocks = Math.ceil(bytes.length / BLOCK_BYTES)
  // A block that would grow is stored.
  const out = Buffer.allocUnsafe(
    FRAME_HEADER.length + bytes.length + blocks * (4 + worstGrowth()) + END_MARK_BYTES,
  )
  out.set(FRAME_HEADER)
  const table = new Uint16Array(1 << HASH_BITS)
  let at = FRAME_HEADER.length
  for (let start = 0; start < bytes.length; start += BLOCK_BYTES) {
    const block = bytes.subarray(start, start + BLOCK_BYTES)
    const end = compressBlock(block, out, at + 4, table.fill(0))
    const length = end - at - 4
    if (length < block.length) {
      out.writeUInt32LE(length, at)
      at = end
    } else {
      out.writeUInt32LE(block.length + STORED, at)
      out.set(block, at + 4)
      at += 4 + block.length
    }
  }
  return out.subarray(0, out.writeUInt32LE(0, at))
}

function worstGrowth(): number {
  return Math.ceil(BLOCK_BYTES / 255) + 16
}

/** Writes the compressed form of `block` at `at`; the position behind it. */
function compressBlock(block: Uint8Array, out: Uint8Array, at: number, table: Uint16Array): number {
  const last = block.length - MATCH_LIMIT
  const matchEnd = block.length - LAST_LITERALS
  let anchor = 0
  let next = at
  // Position 0 stands for an empty place of the table, so the search begins behind it.
  for (let position = 1, misses = 1 << SKIP_SHIFT; position <= last;) {
    const word = wordAt(block, position)
    const slot = Math.imul(word, HASH_PRIME) >>> (32 - HASH_BITS)
    const candidate = table[slot]!
    table[slot] = position
    if (wordAt(block, candidate) !== word || candidate === position) {
      position += misses++ >>> SKIP_SHIFT
      continue
    }
    let end = position + MATCH_MIN
    for (let from = candidate + MATCH_MIN; end < matchEnd && block[from] === block[end]; from++) end++
    next = writeSequence(block, anchor, position, out, next)
    next = writeMatch(out, next, position - candidate, end - position - MATCH_MIN, position - anchor)
    anchor = position = end
    misses = 1 << SKIP_SHIFT
  }
  return writeSequence(block, anchor, block.length, out, next)
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** A token and its literals; the match, if one follows, completes the token. */
function writeSequence(block: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number {
  const length = to - from
  out[at] = Math.min(length, 15) << 4
  const next = writeLength(out, at + 1, length)
  if (length > 32) out.set(block.subarray(from, to), next)
  else for (let index = 0; index < length; index++) out[next + index] = block[from + index]!
  return next + length
}

/** `literals` says how far back the token stands. */
function writeMatch(out: Uint8Array, at: number, distance: number, length: number, literals: number): number {
  const more = literals < 15 ? 0 : Math.floor((literals - 15) / 255) + 1
  const token = at - literals - more - 1
  out[token] = out[token]! | Math.min(length, 15)
  out[at] = distance & 255
  out[at + 1] = distance >>> 8
  return writeLength(out, at + 2, length)
}

/** What of a length is beyond its four bits in the token. */
function writeLength(out: Uint8Array, at: number, length: number): number {
  if (length < 15) return at
  let next = at
  let rest = length - 15
  for (; rest >= 255; rest -= 255) out[next++] = 255
  out[next++] = rest
  return next
}

const Flag = { blockChecksum: 0x10, contentSize: 0x08, contentChecksum: 0x04, dictionary: 0x01 }

/** Throws RangeError for what is not a frame, or is longer than `bytesMax`. Other writers' settings are understood. */
export function lz4Decompress(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const view = asBuffer(bytes)
  if (view.length < FRAME_HEADER.length || view.readUInt32LE(0) !== 0x184d2204)
    throw damaged('has no LZ4 frame')
  const flags = view[4]!
  if ((flags & Flag.dictionary) !== 0) throw damaged('uses an LZ4 dictionary')
  const blockMax = 1 << (8 + 2 * ((view[5]! >>> 4) & 7))
  const trailer = (flags & Flag.blockChecksum) !== 0 ? 4 : 0
  let at = FRAME_HEADER.length + ((flags & Flag.contentSize) !== 0 ? 8 : 0)
  const out = new Growing(bytesMax)
  for (;;) {
    if (at + 4 > view.length) throw damaged('has an LZ4 frame that ends too early')
    const head = view.readUInt32LE(at)
    if (head === 0) return out.finish()
    const length = head & ~STORED
    const end = at + 4 + length
    if (length > blockMax || end > view.length) throw damaged('has an LZ4 block that is too long')
    const block = view.subarray(at + 4, end)
    out.reserve(blockMax)
    if (head >= STORED) out.append(block)
    else decompressBlock(block, out)
    at = end + trailer
  }
}

/** Output whose blocks may refer to what stands before them (64 KiB back at most). */
class Growing {
  bytes: Buffer = Buffer.allocUnsafe(BLOCK_BYTES)
  at = 0

  constructor(private readonly bytesMax: number) {}

  /** Makes room for one more block: at most `more` bytes are written before the next call. */
  reserve(more: number): void {
    if (this.at > this.bytesMax) throw damaged('is too large')
    if (this.at + more <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.at + more, 2 * this.bytes.length))
    this.bytes.copy(larger, 0, 0, this.at)
    this.bytes = larger
  }

  append(block: Uint8Array): void {
    this.bytes.set(block, this.at)
    this.at += block.length
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }
}

function decompressBlock(block: Uint8Array, out: Growing): void {
  const target = out.bytes
  let { at } = out
  for (let next = 0; next < block.length;) {
    const token = block[next++]!
    let literals = token >>> 4
    if (literals === 15) [literals, next] = readLength(block, next)
    if (next + literals > block.length || at + literals > target.length)
      throw damaged('has a damaged LZ4 block')
    target.set(block.subarray(next, next + literals), at)
    at += literals
    next += literals
    if (next === block.length) break
    const distance = block[next]! | (block[next + 1]! << 8)
    next += 2
    let match = token & 15
    if (match === 15) [match, next] = readLength(block, next)
    match += MATCH_MIN
    if (distance === 0 || distance > at || at + match > target.length)
      throw damaged('has a damaged LZ4 block')
    // Byte by byte: a match may run into what it writes.
    for (const end = at + match; at < end; at++) target[at] = target[at - distance]!
  }
  out.at = at
}

function readLength(block: Uint8Array, at: number): [length: number, next: number] {
  let length = 15
  for (let next = at; ;) {
    const byte = block[next++]
    if (byte === undefined) throw damaged('has a damaged LZ4 block')
    length += byte
    if (byte !== 255) return [length, next]
  }
}

function damaged(what: string): RangeError {
  return new RangeError(`A batch ${what}.`)
}
