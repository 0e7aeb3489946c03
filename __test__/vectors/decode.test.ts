/** The golden vectors that concern decoding, against both decoders (P8). native/core/tests/vectors.rs runs them in Rust. */
import { describe, expect, it } from 'vitest'
import {
  Content,
  type ContentClass,
  type DecodedBatch,
  type Decoder,
  type DecoderOptions,
  Outcome,
  Row,
  StoreIp,
} from '../../src/decode/decoder.js'
import { createNativeDecoder } from '../../src/decode/native.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { FLAGS } from '../../src/record.js'
import { describeWith } from '../support/require.js'
import { endpointOf, expectedRecords } from './expected.js'
import {
  bytesOf,
  casesOf,
  type Exchange,
  type ExpectedRecord,
  type ExpectedReject,
  type SetupName,
} from './golden.js'
import { type Capture, captureExpectations, captures } from './wire-captures.js'
import { sharedBytes } from '../../src/shared-bytes.js'
import { requestId as requestIdOf } from '../../src/request-id.js'

const ABOUT = {
  receivedMs: 1_795_500_000_000,
  requestId: 'req7',
  ipJson: '"203.0.113.9"',
  uaJson: '"curl/8"',
}
const ROOM_BYTES = 4 * 2 ** 20
/** Of a longer text only the start is kept with the reject (docs/PROTOCOL.md 9.4). */
const RAW_BYTES_MAX = 64 * 1024

const options = (setup: SetupName): DecoderOptions => ({
  recordsMax: 2000,
  recordBytesMax: 1_048_576,
  payloadBytesMax: 10_485_760,
  outputBytesMax: 16 * 2 ** 20,
  storeIp: StoreIp.unlessRefused,
  dropLate: setup === 'late_drop',
  tokensAllowed: setup === 'tokens' ? ['t0k'] : undefined,
  tokensMax: 65_536,
})

const CONTENT: Readonly<Record<string, ContentClass>> = {
  'application/x-www-form-urlencoded': Content.form,
  'application/json': Content.json,
  'application/x-ndjson': Content.ndjson,
}

/** What the server would hand to the decoder. */
interface Input {
  readonly method: string
  readonly target: string
  readonly type: string | undefined
  readonly body: Buffer
  readonly authToken: string
  readonly projectId: string | null
}

function decode(decoder: Decoder, { method, target, type, body, authToken, projectId }: Input): DecodedBatch {
  const content = method === 'GET' ? Content.none : (CONTENT[type?.split(';', 1)[0] ?? ''] ?? Content.sniff)
  const query = target.split('?').slice(1).join('?')
  const request = { endpoint: endpointOf(target)!, content, body, query }
  const { receivedMs } = ABOUT
  const requestId = requestIdOf(ABOUT.requestId)
  const context = { receivedMs, requestId, peer: ABOUT, authToken, projectId, replayed: false }
  return decoder.decode(request, context, { bytes: sharedBytes(ROOM_BYTES), position: 0, end: ROOM_BYTES })
}

const inputOf = ({ send, context }: Exchange): Input => ({
  method: send.method,
  target: bytesOf(send.target).toString('latin1'),
  type: send.headers?.['Content-Type'],
  body: bytesOf(send.body ?? ''),
  authToken: context?.auth_token ?? '',
  projectId: context?.project_id ?? null,
})

function checkAccepted(batch: DecodedBatch, queue: readonly ExpectedRecord[]): number {
  const accepted = rowsOf(batch).filter((row) => batch.row(row, Row.outcome) === Outcome.accepted)
  const events = accepted.map((row) => batch.event(row))
  const expected = expectedRecords(queue, ABOUT)
  expect(events.map(({ key, envelope }) => ({ key, value: envelope }))).toEqual(expected)
  // The record's header says the same as its text.
  const flags = events.map((event) => FLAGS.filter((_, bit) => (event.flags & (1 << bit)) !== 0))
  expect(flags).toEqual(expected.map(({ value }) => (JSON.parse(value) as { flags: string[] }).flags))
  return expected.length
}

function checkRejected(batch: DecodedBatch, rejects: readonly ExpectedReject[]): void {
  const problems = rowsOf(batch).flatMap((row) => batch.problem(row) ?? [])
  const wanted = rejects.map(({ index, code, field, pointer, offset, message }) => {
    return { index, code, field, pointer, offset, message }
  })
  expect(problems).toMatchObject(wanted)
  expect(problems).toHaveLength(wanted.length)
  for (const [at, { index }] of problems.entries()) expect(raw(batch, index)).toEqual(wantedRaw(rejects[at]!))
}

function check(decoder: Decoder, exchange: Exchange): void {
  const { queue = [], rejects = [], ignored = 0 } = exchange
  const batch = decode(decoder, inputOf(exchange))
  const accepted = checkAccepted(batch, queue)
  checkRejected(batch, rejects)
  expect([batch.accepted, batch.rejected, batch.ignored]).toEqual([accepted, rejects.length, ignored])
  expect(batch.received).toBe(accepted + rejects.length + ignored)
}

function checkCapture(decoder: Decoder, capture: Capture, queue: readonly ExpectedRecord[]): void {
  const { method, target, headers, body } = capture
  const projectId = new URLSearchParams(target.split('?')[1]).get('project_id')
  const batch = decode(decoder, {
    method,
    target,
    type: headers.get('content-type'),
    body,
    authToken: '',
    projectId,
  })
  expect(checkAccepted(batch, queue)).toBe(batch.received)
}

const rowsOf = (batch: DecodedBatch): number[] => Array.from({ length: batch.rows }, (_, row) => row)

function raw(batch: DecodedBatch, row: number): Buffer {
  const start = batch.row(row, Row.rawStart)
  return Buffer.from(batch.payload().subarray(start, start + batch.row(row, Row.rawLength))).subarray(
    0,
    RAW_BYTES_MAX,
  )
}

function wantedRaw({ raw: text, raw_base64: encoded }: ExpectedReject): Buffer {
  return encoded === undefined ? bytesOf(text!) : Buffer.from(bytesOf(encoded).toString(), 'base64')
}

function suite(create: (options: DecoderOptions) => Decoder): void {
  const decoders = new Map<SetupName, Decoder>()
  it.each(casesOf('decode').map((one) => [one.name, one] as const))('%s', (_, one) => {
    const decoder = decoders.get(one.setup) ?? create(options(one.setup))
    decoders.set(one.setup, decoder)
    check(decoder, one.exchange)
  })

  const expectations = captureExpectations()
  it.each(captures().map((capture, at) => [capture.name, capture, expectations[at]!] as const))(
    'recorded request %s',
    (name, capture, expectation) => {
      expect(expectation.id).toBe(name)
      checkCapture(create(options('open')), capture, expectation.queue)
    },
  )
}

describe('P8: golden vectors, reference decoder', () => suite(createReferenceDecoder))
describeWith('native', 'P8: golden vectors, native decoder', () => suite(createNativeDecoder))
