/** Parameters of query strings and forms (docs/DECODING.md 1), byte for byte. */
import { asBuffer, Byte, hexDigit, opensJson, trim, trimStart } from './reference/bytes.js'
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

/** Reads the wanted parameters of one `a=b&c=d` text. */
export function readParameters(source: Uint8Array, wanted: ReadonlySet<string>): Parameters {
  const found = new Map<string, Uint8Array>()
  const nameBytesMax = Math.max(...Array.from(wanted, (name) => name.length)) * PERCENT_BYTES
  for (let start = 0; start < source.length;) {
    const next = source.indexOf(Byte.ampersand, start)
    const end = next < 0 ? source.length : next
    const part = source.subarray(start, end)
    start = end + 1
    const nameEnd = part.indexOf(Byte.equals)
    if (nameEnd < 0 || nameEnd + 1 === part.length || nameEnd > nameBytesMax) continue
    const name = asBuffer(percentDecode(part.subarray(0, nameEnd), true)).toString('latin1')
    if (wanted.has(name) && !found.has(name)) found.set(name, percentDecode(part.subarray(nameEnd + 1), true))
  }
  return found
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
