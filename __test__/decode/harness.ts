/** What the decoder tests share: a request in one line, and a result that can be compared as a whole. */
import { asBuffer } from '../../src/as-buffer.js'
import {
  Content,
  type ContentClass,
  type DecodedBatch,
  type Decoder,
  type DecoderOptions,
  type Problem,
  type RequestContext,
  Row,
  Status,
  StoreIp,
} from '../../src/decode/decoder.js'
import { type Endpoint, FLAGS, RECORD_HEADER_BYTES } from '../../src/record.js'
import { sharedBytes } from '../../src/shared-bytes.js'
import { requestId } from '../../src/request-id.js'

/** Receipt time of the golden vectors. */
export const NOW_MS = 1_795_500_000_000

export const OPTIONS: DecoderOptions = {
  recordsMax: 2000,
  recordBytesMax: 1_048_576,
  payloadBytesMax: 10_485_760,
  outputBytesMax: 32 * 1024 * 1024,
  storeIp: StoreIp.unlessRefused,
  dropLate: false,
  tokensAllowed: undefined,
  tokensMax: 65_536,
}

export const CONTEXT: RequestContext = {
  receivedMs: NOW_MS,
  requestId: requestId('req7'),
  peer: { ipJson: '"203.0.113.9"', uaJson: '"curl/8"' },
  authToken: '',
  projectId: null,
  replayed: false,
}

export interface Input {
  readonly endpoint: Endpoint
  readonly content: ContentClass
  readonly body: Uint8Array
  readonly query: string
}

/** Text as UTF-8; bytes as they are. */
export type Body = string | Uint8Array

export const bytesOf = (body: Body): Uint8Array => (typeof body === 'string' ? Buffer.from(body) : body)
/** One character a byte. */
export const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
export const base64 = (body: Body): string => asBuffer(bytesOf(body)).toString('base64')

const input =
  (content: ContentClass) =>
  (body: Body, query = '', endpoint: Endpoint = 'track'): Input => ({
    endpoint,
    content,
    body: bytesOf(body),
    query,
  })

export const json = input(Content.json)
export const form = input(Content.form)
export const ndjson = input(Content.ndjson)
export const sniff = input(Content.sniff)
export const get = (query: string, endpoint: Endpoint = 'track'): Input =>
  input(Content.none)('', query, endpoint)

/** JSON posted to an endpoint; objects are made into text. */
export const post = (endpoint: Endpoint, body: unknown, query = ''): Input =>
  json(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body), query, endpoint)
export const track = (body: unknown, query = ''): Input => post('track', body, query)
export const engage = (body: unknown, query = ''): Input => post('engage', body, query)
export const groups = (body: unknown, query = ''): Input => post('groups', body, query)
export const lenientImport = (body: unknown, query = ''): Input => post('import', body, query)
export const strictImport = (body: unknown): Input => post('import', body, 'strict=1')

/** The events of the golden vectors (docs/PROTOCOL.md 12). */
export const EVENT = {
  event: 'Signup',
  properties: { token: 't0k', distinct_id: 'u1', time: 1700000000, $insert_id: 'abc-1' },
}
export const PROFILE = { $token: 't0k', $distinct_id: 'u1', $set: { plan: 'pro' } }
export const GROUP = { $token: 't0k', $group_key: 'company', $group_id: 'acme', $set: { x: 1 } }
export const IMPORT = {
  event: 'Signup',
  properties: {
    time: 1618716477000,
    distinct_id: 'u1',
    $insert_id: '29fc2962-6d9c-455d-95ad-95b84f09b9e4',
  },
}
/** An event whose properties are EVENT's with `more` over them. */
export const eventWith = (more: object): object => ({
  ...EVENT,
  properties: { ...EVENT.properties, ...more },
})
export const importWith = (more: object): object => ({
  ...IMPORT,
  properties: { ...IMPORT.properties, ...more },
})

export interface DecodedRow {
  readonly outcome: 'accepted' | 'rejected' | 'ignored'
  readonly key?: string
  readonly flags?: readonly string[]
  /** The envelope, parsed; its text; the record's text inside it. */
  readonly envelope?: Record<string, unknown>
  readonly envelopeText?: string
  readonly record?: string
  readonly problem?: Problem
  readonly token: string | undefined
  readonly numbers: readonly number[]
}

export interface Decoded {
  readonly batch: DecodedBatch
  readonly rows: readonly DecodedRow[]
  readonly payload: string
  /** The records, back to back. */
  readonly bytes: Buffer
}

const OUTCOMES = ['accepted', 'rejected', 'ignored'] as const
const ROW_FIELDS = Object.values(Row)

function readRow(decoder: Decoder, batch: DecodedBatch, index: number): DecodedRow {
  const numbers = ROW_FIELDS.map((field) => batch.row(index, field))
  const outcome = OUTCOMES[batch.row(index, Row.outcome)]!
  const token = decoder.tokens.name(batch.row(index, Row.tokenId))
  const problem = batch.problem(index)
  if (outcome !== 'accepted') return { outcome, token, numbers, ...(problem && { problem }) }
  const event = batch.event(index)
  const envelopeText = event.envelope
  return {
    outcome,
    token,
    numbers,
    key: event.key,
    flags: FLAGS.filter((_, bit) => (event.flags & (1 << bit)) !== 0),
    envelope: JSON.parse(envelopeText),
    envelopeText,
    record: envelopeText.slice(envelopeText.indexOf(',"record":') + 10, -1),
  }
}

/** Decodes with as much room as it takes, after checking that too little room is answered exactly. */
export function decode(decoder: Decoder, request: Input, context: Partial<RequestContext> = {}): Decoded {
  const full = { ...CONTEXT, ...context }
  const measured = decoder.decode(request, full, { bytes: sharedBytes(0), position: 0, end: 0 })
  const needed = measured.bytesNeeded
  if (measured.status === Status.needsRoom && needed < RECORD_HEADER_BYTES) {
    throw new Error(`needs room, but for ${needed} bytes only`)
  }
  const bytes = sharedBytes(needed)
  const batch = decoder.decode(request, full, { bytes, position: 0, end: needed })
  if (batch.status !== Status.ok) throw new Error(`status ${batch.status} with ${needed} bytes`)
  return {
    batch,
    rows: Array.from({ length: batch.rows }, (_, index) => readRow(decoder, batch, index)),
    payload: asBuffer(batch.payload()).toString('latin1'),
    bytes: asBuffer(bytes),
  }
}
