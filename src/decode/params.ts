/** Parameters of query strings and forms (docs/DECODING.md 1), byte for byte. */
import { asBuffer } from '../as-buffer.js'
import { Byte, hexDigit, opensJson, trim, trimStart } from './reference/bytes.js'
import { Content, type ContentClass } from './decoder.js'

const NOTHING = new Uint8Array()
const PERCENT_BYTES = 3

/** Where section 2 of docs/DECODING.md finds the payload: in the body as it stands, in a form, or not in the body. */
export type BodyForm = 'none' | 'form' | 'json' | 'lines' | 'json or lines' | 'base64'

function startsWith(body: Uint8Array, start: number, text: string): boolean {
  return asBuffer(body).toString('latin1', start, start + text.length) === text
}

function sniff(body: Uint8Array, first: number): BodyForm {
  if (opensJson(body[first])) return 'json or lines'
  return asBuffer(body).includes('&data=', 0, 'latin1') ? 'form' : 'base64'
}

/** What a body is, by its media type and its first bytes. */
export function bodyForm(content: ContentClass, body: Uint8Array): BodyForm {
  const { start, end } = trim(body)
  if (content === Content.none || start === end) return 'none'
  if (content === Content.form) return opensJson(body[start]) ? 'json' : 'form'
  if (startsWith(body, start, 'data=')) return 'form'
  if (content === Content.ndjson) return 'lines'
  if (content === Content.json) return opensJson(body[start]) ? 'json' : 'base64'
  return sniff(body, start)
}

/** The form's text: the body behind its leading blanks; undefined when the body is no form. */
export function formText(content: ContentClass, body: Uint8Array): Uint8Array | undefined {
  if (bodyForm(content, body) !== 'form') return undefined
  return body.subarray(trimStart(body, 0, body.length))
}

function escapedByte(source: Uint8Array, position: number, end: number): number {
  if (position + 2 >= end) return -1
  const [high, low] = [hexDigit(source[position + 1]), hexDigit(source[position + 2])]
  return high < 0 || low < 0 ? -1 : high * 16 + low
}

/** `%XX` becomes a byte, an incomplete `%` stays; `+` becomes a space if `plusIsSpace`. Copies only what changes. */
export function percentDecode(source: Uint8Array, plusIsSpace: boolean): Uint8Array {
  const escaped = source.includes(Byte.percent) || (plusIsSpace && source.includes(Byte.plus))
  if (!escaped) return source
  const decoded = Buffer.allocUnsafeSlow(source.length)
  let length = 0
  for (let position = 0; position < source.length; position++) {
    const byte = source[position]!
    const value = byte === Byte.percent ? escapedByte(source, position, source.length) : -1
    if (value >= 0) position += 2
    decoded[length++] = value >= 0 ? value : byte === Byte.plus && plusIsSpace ? Byte.space : byte
  }
  return decoded.subarray(0, length)
}

/** Percent-decoded values by name: of each wanted name the first value that is not empty. */
export type Parameters = ReadonlyMap<string, Uint8Array>

/**
 * Reads the wanted parameters of one `a=b&c=d` text. Nothing is made of what is not wanted: a form may be ten million
 * ampersands.
 */
export function readParameters(source: Uint8Array, wanted: ReadonlySet<string>): Parameters {
  const found = new Map<string, Uint8Array>()
  const missing = [...wanted]
  const name = new Uint8Array(Math.max(...missing.map(({ length }) => length)) * PERCENT_BYTES)
  for (let start = 0, end = 0; start < source.length && missing.length > 0; start = end + 1) {
    end = firstAmpersand(source, start)
    const equals = firstEquals(source, start, Math.min(end, start + name.length + 1))
    // A name without a value counts no more than one that is too long.
    if (equals < 0 || equals + 1 === end) continue
    const length = decodeName(source, start, equals, name)
    const index = missing.findIndex((text) => isText(name, length, text))
    if (index < 0) continue
    found.set(missing[index]!, percentDecode(source.subarray(equals + 1, end), true))
    missing.splice(index, 1)
  }
  return found
}

/** Bytes that are looked at one by one before the search is left to a call, which costs as much as looking at dozens. */
const NEAR_BYTES = 32

function firstAmpersand(source: Uint8Array, start: number): number {
  const near = Math.min(source.length, start + NEAR_BYTES)
  for (let at = start; at < near; at++) if (source[at] === Byte.ampersand) return at
  const far = near === source.length ? -1 : source.indexOf(Byte.ampersand, near)
  return far < 0 ? source.length : far
}

function firstEquals(source: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) if (source[at] === Byte.equals) return at
  return -1
}

/** Percent-decodes `source[start..end]` into `target`, which is long enough; the bytes written. */
function decodeName(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let length = 0
  for (let at = start; at < end; at++) {
    const byte = source[at]!
    const value = byte === Byte.percent ? escapedByte(source, at, end) : -1
    if (value >= 0) at += 2
    target[length++] = value >= 0 ? value : byte === Byte.plus ? Byte.space : byte
  }
  return length
}

function isText(bytes: Uint8Array, length: number, text: string): boolean {
  if (length !== text.length) return false
  for (let at = 0; at < length; at++) if (bytes[at] !== text.charCodeAt(at)) return false
  return true
}

/**
 * The first non-empty value of a parameter, in the query (raw, latin1, without `?`) or else in the form (see `formText`).
 * Bytes that are not UTF-8 become U+FFFD. undefined when there is none.
 */
export function readParam(name: string, query: string, form: Uint8Array | undefined): string | undefined {
  const wanted = new Set([name])
  const value =
    readParameters(Buffer.from(query, 'latin1'), wanted).get(name) ??
    readParameters(form ?? NOTHING, wanted).get(name)
  return value && asBuffer(value).toString('utf8')
}
