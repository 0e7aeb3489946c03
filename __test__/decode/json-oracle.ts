/** The engine's own JSON.parse as the oracle of what is JSON and what it means. */
import { latin1 } from './harness.js'

const CESU_PAIR = /\xed([\xa0-\xaf][\x80-\xbf])\xed([\xb0-\xbf][\x80-\xbf])/g

/** CESU-8 pairs, then all other invalid sequences: as docs/DECODING.md 6 wants it, by means of WHATWG's decoder. */
export function decodedText(bytes: string): string {
  const units = (two: string): number => ((two.charCodeAt(0) & 0x3f) << 6) | (two.charCodeAt(1) & 0x3f)
  const joined = bytes.replace(CESU_PAIR, (_, high: string, low: string) => {
    const pair = String.fromCharCode(0xd000 | units(high), 0xd000 | units(low))
    return Buffer.from(pair).toString('latin1')
  })
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(latin1(joined))
}

/** docs/DECODING.md, "Trimmed". */
export const trimmed = (text: string): string =>
  text.replace(/^[\t\n\v\f\r ]*\ufeff?[\t\n\v\f\r ]*/, '').replace(/[\t\n\v\f\r ]+$/, '')

const STRING = '"(?:[^"\\\\]|\\\\[^])*"'
const ESCAPE =
  /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|[^])/g
const NOT_A_NUMBER = new RegExp(`${STRING}|-?Infinity|NaN`, 'g')
const SPACE = new RegExp(`${STRING}|[\\t\\n\\r ]+`, 'g')

/** Lone surrogate escapes become U+FFFD, NaN and its like null. */
export function repaired(text: string, nan: boolean): string {
  const paired = text.replace(ESCAPE, (escape, lone?: string) => (lone === undefined ? escape : '\ufffd'))
  return nan ? paired.replace(NOT_A_NUMBER, (token) => (token.startsWith('"') ? token : 'null')) : paired
}

/** Without white space outside strings. */
export const compact = (text: string): string =>
  text.replace(SPACE, (token) => (token.startsWith('"') ? token : ''))

/** undefined when it is no JSON. */
export function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}
