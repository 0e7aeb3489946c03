/**
 * Text repair (docs/DECODING.md 6): CESU-8 pairs become their four bytes, every other maximal invalid subsequence and
 * every lone surrogate escape becomes U+FFFD.
 */
import { asBuffer } from '../../as-buffer.js'
import { Byte, hexDigit } from './bytes.js'
import { Output } from './output.js'

function continues(byte: number | undefined, low = 0x80, high = 0xbf): boolean {
  return byte !== undefined && byte >= low && byte <= high
}

/** The range that the second byte must lie in, for leads that restrict it (Unicode 15, table 3-7). */
function secondByteFits(lead: number, second: number | undefined): boolean {
  if (lead === 0xe0) return continues(second, 0xa0)
  if (lead === 0xed) return continues(second, 0x80, 0x9f)
  if (lead === 0xf0) return continues(second, 0x90)
  if (lead === 0xf4) return continues(second, 0x80, 0x8f)
  return continues(second)
}

function lengthByLead(lead: number): number {
  if (lead < 0x80) return 1
  if (lead < 0xc2) return 0
  if (lead < 0xe0) return 2
  if (lead < 0xf0) return 3
  return lead < 0xf5 ? 4 : 0
}

/**
 * The UTF-8 sequence at `position`: its length when it is valid, minus the length of the maximal invalid subsequence
 * when it is not. `end` is exclusive.
 */
export function sequence(bytes: Uint8Array, position: number, end: number): number {
  const lead = bytes[position]!
  const length = lengthByLead(lead)
  if (length < 2) return length === 1 ? 1 : -1
  if (position + 1 >= end || !secondByteFits(lead, bytes[position + 1])) return -1
  for (let taken = 2; taken < length; taken++) {
    if (position + taken >= end || !continues(bytes[position + taken])) return -taken
  }
  return length
}

/** The code point of a CESU-8 pair (two surrogates, three bytes each) at `position`; 0 when there is none. */
export function cesuPair(bytes: Uint8Array, position: number, end: number): number {
  if (position + 6 > end || bytes[position] !== 0xed || bytes[position + 3] !== 0xed) return 0
  const [second, third] = [bytes[position + 1]!, bytes[position + 2]!]
  const [fifth, sixth] = [bytes[position + 4]!, bytes[position + 5]!]
  if (!continues(second, 0xa0, 0xaf) || !continues(third)) return 0
  if (!continues(fifth, 0xb0) || !continues(sixth)) return 0
  const high = ((second & 0x0f) << 6) | (third & 0x3f)
  const low = ((fifth & 0x0f) << 6) | (sixth & 0x3f)
  return 0x10000 + (high << 10) + low
}

/** The first byte that is invalid UTF-8 and not part of a CESU-8 pair, -1 for none. */
export function invalidUtf8At(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end) {
    const length = sequence(bytes, position, end)
    if (length > 0) position += length
    else if (cesuPair(bytes, position, end) > 0) position += 6
    else return position
  }
  return -1
}

/** The code unit of the escape whose four hex digits start at `position`; -1 when they are not four. */
export function codeUnit(bytes: Uint8Array, position: number, end: number): number {
  if (position + 4 > end) return -1
  let unit = 0
  for (let i = 0; i < 4; i++) {
    const digit = hexDigit(bytes[position + i])
    if (digit < 0) return -1
    unit = unit * 16 + digit
  }
  return unit
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

/**
 * Bytes of the valid escape at `position` (its backslash) that belong together: 2, 6, or 12 for a surrogate pair;
 * -6 for a lone surrogate.
 */
export function escapeLength(bytes: Uint8Array, position: number, end: number): number {
  if (bytes[position + 1] !== 0x75) return 2
  const unit = codeUnit(bytes, position + 2, end)
  if (isLow(unit)) return -6
  if (!isHigh(unit)) return 6
  const follows = bytes[position + 6] === Byte.backslash && bytes[position + 7] === 0x75
  return follows && isLow(codeUnit(bytes, position + 8, end)) ? 12 : -6
}

const REPLACEMENT = '\ufffd'

/** Writes the inside of a string, repaired; escapes stay as they are written. */
export function repairInto(output: Output, bytes: Uint8Array, start: number, end: number): void {
  let kept = start
  let position = start
  const replace = (length: number, by: string): void => {
    output.copy(bytes, kept, position)
    output.text(by)
    position += length
    kept = position
  }
  while (position < end) {
    if (bytes[position] === Byte.backslash) {
      const length = escapeLength(bytes, position, end)
      if (length < 0) replace(-length, REPLACEMENT)
      else position += length
      continue
    }
    const length = sequence(bytes, position, end)
    if (length > 0) {
      position += length
      continue
    }
    const pair = cesuPair(bytes, position, end)
    if (pair > 0) replace(6, String.fromCodePoint(pair))
    else replace(-length, REPLACEMENT)
  }
  output.copy(bytes, kept, end)
}

function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  for (let position = start; position < end; position++) {
    const byte = bytes[position]!
    if (byte >= 0x80 || byte === Byte.backslash) return false
  }
  return true
}

/** The value of a string whose inside (valid JSON) lies between `start` and `end`: repaired and unescaped. */
export function stringValue(bytes: Uint8Array, start: number, end: number): string {
  if (isPlain(bytes, start, end)) return asBuffer(bytes).toString('latin1', start, end)
  const repaired = new Output(end - start + 16)
  repairInto(repaired, bytes, start, end)
  return JSON.parse(`"${repaired.bytes().toString('utf8')}"`) as string
}
