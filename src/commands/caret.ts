/** Shows a place in bytes to a person: one line of text around it and a caret under the byte at fault. */
import { asBuffer } from '../as-buffer.js'

const BEFORE_BYTES = 60
const AFTER_BYTES = 40
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
const COMBINING = /\p{Mark}|\u200d/u

/**
 * Two lines: the bytes around `offset`, and the caret with the offset's number.
 * Control characters and bytes that are not UTF-8 are shown as `\n`, `\x00`, `\xff`.
 */
export function caretAt(bytes: Uint8Array, offset: number): readonly [string, string] {
  const start = characterStart(bytes, Math.max(0, offset - BEFORE_BYTES))
  const end = Math.min(bytes.length, offset + AFTER_BYTES)
  const left = start > 0 ? '…' : ''
  const right = end < bytes.length ? '…' : ''
  const before = left + visible(bytes.subarray(start, offset))
  const after = visible(bytes.subarray(offset, end)) + right
  const place = offset >= bytes.length ? `byte ${offset}, the end` : `byte ${offset}`
  return [before + after, `${' '.repeat(width(before))}^ ${place}`]
}

/** Not in the middle of a character, as long as the text is UTF-8. */
function characterStart(bytes: Uint8Array, position: number): number {
  let start = position
  while (start > 0 && start > position - 3 && (bytes[start]! & 0xc0) === 0x80) start--
  return start
}

/** Text of bytes, with what cannot be seen spelled out. */
export function visible(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at)
    const byte = bytes[at]!
    text += length === 0 ? hex(byte) : (CONTROL.get(byte) ?? plain(bytes, at, length))
    at += Math.max(1, length)
  }
  return text
}

const CONTROL = new Map([
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
])

const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`

function plain(bytes: Uint8Array, at: number, length: number): string {
  const byte = bytes[at]!
  if (byte < 0x20 || byte === 0x7f) return hex(byte)
  return asBuffer(bytes).toString('utf8', at, at + length)
}

/** Bytes of the UTF-8 sequence that starts here, 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!
  if (byte < 0x80) return 1
  const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 0
  const piece = asBuffer(bytes).subarray(at, at + length)
  return length > 0 && piece.length === length && !piece.toString().includes('\uFFFD') ? length : 0
}

/** Columns that text takes on a terminal. */
function width(text: string): number {
  let columns = 0
  for (const character of text) columns += COMBINING.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  return columns
}
