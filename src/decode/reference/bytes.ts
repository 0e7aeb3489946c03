/** Bytes, blanks and trimming: the words that docs/DECODING.md defines first. */

/** ASCII codes that the modules of this folder name. */
export const Byte = {
  tab: 0x09,
  lineFeed: 0x0a,
  carriageReturn: 0x0d,
  space: 0x20,
  quote: 0x22,
  percent: 0x25,
  ampersand: 0x26,
  plus: 0x2b,
  comma: 0x2c,
  minus: 0x2d,
  dot: 0x2e,
  slash: 0x2f,
  zero: 0x30,
  nine: 0x39,
  colon: 0x3a,
  equals: 0x3d,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const

/** A stretch of bytes: `start` inclusive, `end` exclusive. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** 09 to 0D and 20. */
export function isBlank(byte: number | undefined): boolean {
  return byte === Byte.space || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
}

function skipBlanks(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end && isBlank(bytes[position])) position++
  return position
}

function startsWithBom(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf
}

/** Behind the blanks in front, one BOM among them. */
export function trimStart(bytes: Uint8Array, start: number, end: number): number {
  const first = skipBlanks(bytes, start, end)
  return startsWithBom(bytes, first, end) ? skipBlanks(bytes, first + 3, end) : first
}

/** In front of the blanks at the end. */
export function trimEnd(bytes: Uint8Array, start: number, end: number): number {
  let position = end
  while (position > start && isBlank(bytes[position - 1])) position--
  return position
}

/** Without the blanks at both ends. */
export function trimBlanks(bytes: Uint8Array, start: number, end: number): Span {
  const first = skipBlanks(bytes, start, end)
  return { start: first, end: trimEnd(bytes, first, end) }
}

/** Without the blanks at both ends and a BOM in front. */
export function trim(bytes: Uint8Array, start = 0, end = bytes.length): Span {
  const first = trimStart(bytes, start, end)
  return { start: first, end: trimEnd(bytes, first, end) }
}

/** `{` or `[`: what JSON that holds records begins with. */
export function opensJson(byte: number | undefined): boolean {
  return byte === Byte.openBrace || byte === Byte.openBracket
}

const HEX = /* 0-9 A-F a-f, else -1 */ Int8Array.from({ length: 256 }, (_, byte) => {
  const digit = Number.parseInt(String.fromCharCode(byte), 16)
  return Number.isNaN(digit) ? -1 : digit
})

/** The value of a hex digit, -1 for any other byte. */
export function hexDigit(byte: number | undefined): number {
  return byte === undefined ? -1 : HEX[byte]!
}
