/**
 * Snappy, read only: brokers write it when a topic's `compression.type` says so, in the framing of the Java library
 * (magic `\x82SNAPPY\0`, two versions, then blocks with their length) or bare.
 *
 * A block is its inflated length and elements: literals, or copies of 1 to 64 bytes from up to 4 GiB back.
 */
import { asBuffer } from '../../as-buffer.js'

const JAVA_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
const JAVA_HEADER_BYTES = 16

/** Throws RangeError for what is damaged, or longer than `bytesMax`. */
export function snappyDecompress(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const view = asBuffer(bytes)
  if (!JAVA_MAGIC.every((byte, index) => view[index] === byte)) return decompressBlock(view, bytesMax)
  const blocks: Uint8Array[] = []
  let left = bytesMax
  for (let at = JAVA_HEADER_BYTES; at < view.length;) {
    if (at + 4 > view.length) throw damaged()
    const end = at + 4 + view.readUInt32BE(at)
    if (end > view.length) throw damaged()
    const block = decompressBlock(view.subarray(at + 4, end), left)
    left -= block.length
    blocks.push(block)
    at = end
  }
  return Buffer.concat(blocks)
}

function decompressBlock(block: Buffer, bytesMax: number): Uint8Array {
  const [length, start] = readUvarint(block)
  if (length > bytesMax) throw damaged()
  const out = Buffer.allocUnsafe(length)
  let at = 0
  let next = start
  while (next < block.length) {
    const tag = block[next++]!
    const more = moreBytes(tag)
    if (next + more > block.length) throw damaged()
    const extra = more === 0 ? 0 : block.readUIntLE(next, more)
    next += more
    if ((tag & 3) === 0) {
      const literals = (more === 0 ? tag >>> 2 : extra) + 1
      if (next + literals > block.length || at + literals > length) throw damaged()
      out.set(block.subarray(next, next + literals), at)
      next += literals
      at += literals
    } else at = copyBack(out, at, copyLength(tag), copyDistance(tag, extra))
  }
  if (at !== length) throw damaged()
  return out
}

/** Bytes that follow a tag before literals do. */
function moreBytes(tag: number): number {
  if ((tag & 3) === 0) return Math.max(0, (tag >>> 2) - 59)
  return [0, 1, 2, 4][tag & 3]!
}

function copyLength(tag: number): number {
  return (tag & 3) === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2)
}

function copyDistance(tag: number, extra: number): number {
  return (tag & 3) === 1 ? ((tag >>> 5) << 8) | extra : extra
}

function copyBack(out: Buffer, at: number, length: number, distance: number): number {
  const end = at + length
  if (distance === 0 || distance > at || end > out.length) throw damaged()
  // Byte by byte: a copy may run into what it writes.
  for (let next = at; next < end; next++) out[next] = out[next - distance]!
  return end
}

function readUvarint(bytes: Uint8Array): [value: number, next: number] {
  let value = 0
  for (let index = 0; index < 5; index++) {
    const byte = bytes[index]
    if (byte === undefined) throw damaged()
    value += (byte & 127) * 2 ** (7 * index)
    if (byte < 128) return [value, index + 1]
  }
  throw damaged()
}

function damaged(): RangeError {
  return new RangeError('A batch is damaged: its snappy block cannot be read.')
}
