// The fastest JavaScript known to us that makes the same records: JSON.parse, Buffer's base64, one string a record, one
// write. It is a rival in a benchmark, not a decoder for use: /track alone, well-formed UTF-8 alone, and what
// JSON.parse and JSON.stringify do to numbers (2.50 becomes 2.5, long integers lose digits) is left as it is. It does
// less than the native decoder in that: no raw spans, no offsets of problems, no depth limit, no repairs.
//
// What makes it fast: strings that need no escape are found by a regular expression
// and wrapped in quotes by hand; tokens are looked up with their JSON text; base64 is checked by how many bytes came out
// instead of character by character; the four escapes of encodeURIComponent(base64) are replaced without decoding the
// rest; what the records of a request share is one string; a record is one string and one write (a latin1 write of
// ASCII text was no faster).
import { isIP } from 'node:net'

const HEADER_BYTES = 20
const ROW_INTS = 16
const RECORDS_MAX = 2000
const RECORD_BYTES_MAX = 1_048_576
const LATE_MS = 5 * 24 * 3_600_000
const LIB_BYTES_MAX = 256
const TOKEN_NONE = 1
const FLAG_LATE = 1
const FLAG_TIME_INVALID = 2
const FLAG_TIME_FUTURE = 4
const FLAG_TEST = 64
const FLAG_NAMES = new Map([
  [FLAG_LATE, '"late"'],
  [FLAG_TIME_INVALID, '"time_invalid"'],
  [FLAG_TIME_FUTURE, '"time_future"'],
  [FLAG_TEST, '"test"'],
])
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
/** Needs no escape in JSON. */
const PLAIN = /^[\w $:.\-/]*$/

const Problem = { dataMissing: 1, base64Invalid: 2, jsonInvalid: 3, notRecords: 4, tooMany: 5 }
const Rule = { notObject: 20, tooLarge: 21, event: 23, properties: 25, token: 27, distinctId: 29 }

const quote = (text) => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text))

/** The text of a string, number or boolean; undefined for others. */
function scalar(value) {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

const full = (value) => (value === '' ? undefined : scalar(value))
const stringOrNumber = (value) => (typeof value === 'boolean' ? undefined : full(value))

/** `%2B`, `%2F`, `%3D` are all that encodeURIComponent makes of base64; anything else is decoded properly. */
function percentDecode(text) {
  if (!text.includes('%')) return text.includes('+') ? text.replaceAll('+', ' ') : text
  const decoded = text.replace(/%2B/g, '+').replace(/%2F/g, '/').replace(/%3D/g, '=')
  return decoded.includes('%') ? decodeURIComponent(text.replaceAll('+', ' ')) : decoded
}

/** The values of the parameters that count, the first that is not empty of each. */
export function readParameters(text, found) {
  for (let start = 0; start < text.length;) {
    const next = text.indexOf('&', start)
    const end = next < 0 ? text.length : next
    const equals = text.indexOf('=', start)
    if (equals >= 0 && equals + 1 < end) {
      const name = text.slice(start, equals)
      if (name === 'data') found.data ||= text.slice(equals + 1, end)
      else if (name === 'ip') found.ip ||= text.slice(equals + 1, end)
      else if (name === 'verbose') found.verbose ||= text.slice(equals + 1, end)
      else if (name === 'test') found.test ||= text.slice(equals + 1, end)
    }
    start = end + 1
  }
}

function sharedText({ receivedMs, requestId: { head, last } }) {
  return `,"project_id":null,"received_ms":${receivedMs},"request_id":"${head}${last}","index":`
}

export class JavaScriptDecoder {
  table = new Int32Array(64 + ROW_INTS * RECORDS_MAX)
  scratch = Buffer.allocUnsafeSlow(10_485_760)
  /** By token: its id and its JSON text. */
  tokens = new Map()
  rows = 0
  accepted = 0
  rejected = 0
  ignored = 0
  end = 0
  problem = 0

  decode(request, context, room) {
    const { body, content, query } = request
    this.rows = this.accepted = this.rejected = this.ignored = this.problem = 0
    this.end = room.position
    const params = { data: '', ip: '', verbose: '', test: '' }
    if (query !== '') readParameters(query, params)
    const text = content === 2 ? body.utf8Slice(0, body.length) : this.dataText(body, content, params)
    if (text === undefined) return this
    let value
    try {
      value = JSON.parse(text)
    } catch {
      return this.fail(Problem.jsonInvalid)
    }
    this.records(value, text, { context, params, room, shared: sharedText(context) })
    return this
  }

  dataText(body, content, params) {
    if (content === 1) readParameters(body.latin1Slice(0, body.length), params)
    const data = percentDecode(params.data).trim()
    if (data === '') return this.fail(Problem.dataMissing)
    if (data[0] === '{' || data[0] === '[') return Buffer.from(data, 'latin1').utf8Slice()
    return this.base64Text(data)
  }

  /** Buffer skips what is no base64, and takes both alphabets: fewer bytes than expected show a fault. */
  base64Text(data) {
    let length = data.length
    while (length > 0 && data.charCodeAt(length - 1) === 0x3d) length--
    const expected = (length * 3) >> 2
    const written = this.scratch.base64Write(data, 0)
    if (written === expected && (length & 3) !== 1) return this.scratch.utf8Slice(0, written)
    const mended = data
      .replace(/[\r\n\t]/g, '')
      .replaceAll(' ', '+')
      .replace(/=+$/, '')
    if (/[^\w+/-]/.test(mended) || mended.length % 4 === 1) return this.fail(Problem.base64Invalid)
    return this.scratch.utf8Slice(0, this.scratch.base64Write(mended, 0))
  }

  fail(problem) {
    this.problem = problem
    this.rows = this.rejected = 1
    return undefined
  }

  records(value, text, request) {
    if (!Array.isArray(value)) {
      if (typeof value !== 'object' || value === null) return this.fail(Problem.notRecords)
      return this.record(value, text.length, request)
    }
    if (value.length === 0) return this.fail(Problem.dataMissing)
    if (value.length > RECORDS_MAX) return this.fail(Problem.tooMany)
    for (let index = 0; index < value.length; index++) this.record(value[index], 0, request)
  }

  reject(rule) {
    const start = 64 + this.rows++ * ROW_INTS
    this.table.fill(0, start, start + ROW_INTS)
    this.table[start] = 1
    this.table[start + 4] = TOKEN_NONE
    this.table[start + 6] = rule
    this.rejected++
  }

  ignore() {
    const start = 64 + this.rows++ * ROW_INTS
    this.table.fill(0, start, start + ROW_INTS)
    this.table[start] = 2
    this.ignored++
  }

  /** Rules 20 to 29 of /track, then the record. */
  record(item, textLength, request) {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return this.reject(Rule.notObject)
    if (textLength > RECORD_BYTES_MAX) return this.reject(Rule.tooLarge)
    const { event, properties } = item
    if (event === '' || (typeof event !== 'string' && typeof event !== 'number')) {
      return this.reject(Rule.event)
    }
    if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
      return this.reject(Rule.properties)
    }
    const { token, $ignore } = properties
    if (typeof token !== 'string' || token === '') return this.reject(Rule.token)
    if (event === '$create_alias' && full(properties.distinct_id) === undefined) {
      return this.reject(Rule.distinctId)
    }
    if ($ignore === true || (typeof $ignore === 'string' && $ignore !== '')) return this.ignore()
    return this.accept(item, properties, this.token(token), request)
  }

  token(text) {
    let token = this.tokens.get(text)
    if (token === undefined) {
      token = { id: this.tokens.size + 2, text, json: JSON.stringify(text), bytes: Buffer.byteLength(text) }
      this.tokens.set(text, token)
    }
    return token
  }

  /** Milliseconds with the flags of the time in the upper bits of a second number: no object is made. */
  moment(time, receivedMs) {
    this.timeFlags = 0
    if (time === undefined || time === null) return receivedMs
    const isNumber = typeof time === 'number' || (typeof time === 'string' && NUMBER.test(time))
    const value = isNumber ? Number(time) : Number.NaN
    const ms = Math.abs(value) >= 1e11 ? Math.trunc(value) : this.seconds(value)
    if (!(Math.abs(ms) <= 2 ** 53)) {
      this.timeFlags = FLAG_TIME_INVALID
      return receivedMs
    }
    if (ms > receivedMs) {
      this.timeFlags = FLAG_TIME_FUTURE
      return receivedMs
    }
    if (ms < receivedMs - LATE_MS) this.timeFlags = FLAG_LATE
    return ms
  }

  /** A double's shortest decimal form, moved by three digits: 1.001 * 1000 is less than 1001. */
  seconds(value) {
    if (Number.isInteger(value)) return value * 1000
    const rounded = Math.round(value * 1000)
    return rounded / 1000 === value ? rounded : Math.trunc(value * 1000)
  }

  accept(item, properties, token, { context, params, room, shared }) {
    const index = this.rows++
    const ms = this.moment(properties.time, context.receivedMs)
    const flags = this.timeFlags | (params.test === '1' ? FLAG_TEST : 0)
    let insertId = stringOrNumber(properties.$insert_id)
    let insertSource = 'client'
    if (insertId === undefined) {
      insertId = stringOrNumber(item.$mp_metadata?.$mp_event_id)
      insertSource = 'mp_metadata'
    }
    if (insertId === undefined) {
      insertId = `${context.requestId.head}${context.requestId.last}-${index}`
      insertSource = 'generated'
    }
    let distinctId = scalar(properties.distinct_id)
    let distinctSource = 'record'
    if (distinctId === undefined) {
      const device = full(properties.$device_id)
      distinctId = full(properties.$user_id)
      distinctSource = distinctId === undefined ? (device === undefined ? 'none' : 'device_id') : 'user_id'
      distinctId ??= device === undefined ? undefined : `$device:${device}`
    }
    const key = `${token.text}:${distinctId === undefined || distinctId === '' ? insertId : distinctId}`
    const { ip } = properties
    const isRefused = ip === 0 || ip === '0'
    const isAddress = typeof ip === 'string' && isIP(ip) !== 0
    const ipJson = isRefused || params.ip === '0' ? 'null' : context.peer.ipJson
    const geo = isAddress ? 'property' : !isRefused && params.ip === '1' ? 'request' : 'none'
    const text =
      `${key}{"v":1,"kind":"track","token":${token.json}${shared}${index}` +
      `,"ip":${ipJson},"geo":"${geo}","ua":${context.peer.uaJson},"lib":${this.lib(properties)}` +
      `,"insert_id":${quote(insertId)},"insert_id_source":"${insertSource}"` +
      `,"distinct_id":${distinctId === undefined ? 'null' : quote(distinctId)}` +
      `,"distinct_id_source":"${distinctSource}","time_ms":${ms},"flags":[${this.flagNames(flags)}]` +
      `,"record":${JSON.stringify(item)}}`
    this.write(text, key, token, flags, room)
  }

  lib({ mp_lib: name, $lib_version: version }) {
    if (typeof name !== 'string' || name === '') return 'null'
    const text = typeof version === 'string' && version !== '' ? `${name}/${version}` : name
    return quote(text.length * 3 <= LIB_BYTES_MAX ? text : text.slice(0, LIB_BYTES_MAX / 3))
  }

  flagNames(flags) {
    if (flags === 0) return ''
    return Array.from(FLAG_NAMES, ([flag, name]) => (flags & flag ? name : ''))
      .filter(Boolean)
      .join(',')
  }

  write(text, key, token, flags, room) {
    const { bytes } = room
    const start = this.end
    const keyStart = start + HEADER_BYTES
    const written = bytes.utf8Write(text, keyStart)
    // As many bytes as characters: all of it is ASCII.
    const keyLength = written === text.length ? key.length : Buffer.byteLength(key)
    const length = HEADER_BYTES + written
    const hash = murmur2(bytes, keyStart, keyStart + keyLength)
    put32(bytes, start, length)
    bytes[start + 4] = bytes[start + 5] = 0
    bytes[start + 6] = flags
    bytes[start + 7] = flags >> 8
    put32(bytes, start + 8, hash)
    put32(bytes, start + 12, token.bytes)
    put32(bytes, start + 16, keyLength)
    const { table } = this
    const row = 64 + (this.rows - 1) * ROW_INTS
    table.fill(0, row, row + ROW_INTS)
    table[row + 1] = start
    table[row + 2] = length
    table[row + 3] = flags
    table[row + 4] = token.id
    table[row + 5] = hash
    this.end = start + length
    this.accepted++
  }
}

function put32(bytes, at, value) {
  bytes[at] = value
  bytes[at + 1] = value >> 8
  bytes[at + 2] = value >> 16
  bytes[at + 3] = value >> 24
}

/** With Kafka's seed, unmasked. */
function murmur2(bytes, start, end) {
  let hash = 0x9747b28c ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
    const mixed = Math.imul(word, 0x5bd1e995)
    hash = Math.imul(hash, 0x5bd1e995) ^ Math.imul(mixed ^ (mixed >>> 24), 0x5bd1e995)
  }
  if (at < end) {
    if (end - at === 3) hash ^= bytes[at + 2] << 16
    if (end - at >= 2) hash ^= bytes[at + 1] << 8
    hash = Math.imul(hash ^ bytes[at], 0x5bd1e995)
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995)
  return hash ^ (hash >>> 15)
}
