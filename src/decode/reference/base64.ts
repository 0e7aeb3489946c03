/** Base64 as clients really send it (docs/DECODING.md 2): both alphabets, wrapped lines, lost padding, spaces for plus. */
import { Byte } from './bytes.js'

const INVALID = -1
const DROPPED = -2

/** By byte: the six bits it stands for, or what is done with it. */
const SEXTETS = (() => {
  const table = new Int8Array(256).fill(INVALID)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  for (let value = 0; value < 64; value++) table[alphabet.charCodeAt(value)] = value
  table[Byte.space] = table[Byte.minus] = 62
  table['_'.charCodeAt(0)] = 63
  table[Byte.carriageReturn] = table[Byte.lineFeed] = table[Byte.tab] = DROPPED
  return table
})()

/** In front of the trailing `=`; CR, LF and TAB between them do not count. */
function withoutPadding(text: Uint8Array): number {
  let end = text.length
  while (end > 0 && (text[end - 1] === Byte.equals || SEXTETS[text[end - 1]!] === DROPPED)) end--
  return end
}

/**
 * Decodes `text` (trimmed, percent signs undone) into bytes, or gives the offset of what is wrong: the first byte outside
 * the alphabet, or the text's length when one character is left over. Left-over bits are ignored.
 */
export function decodeBase64(text: Uint8Array): Buffer | number {
  const end = withoutPadding(text)
  const bytes = Buffer.allocUnsafeSlow(Math.ceil((end * 3) / 4))
  let length = 0
  let characters = 0
  let bits = 0
  for (let position = 0; position < end; position++) {
    const sextet = SEXTETS[text[position]!]!
    if (sextet >= 0) {
      bits = (bits << 6) | sextet
      // Of every four characters all but the first complete a byte.
      const left = (3 - (characters++ & 3)) * 2
      if (left < 6) bytes[length++] = bits >> left
    } else if (sextet === INVALID) return position
  }
  return (characters & 3) === 1 ? text.length : bytes.subarray(0, length)
}
