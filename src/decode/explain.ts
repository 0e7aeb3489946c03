/**
 * How a payload is understood, step by step: form → base64 → text → JSON → rules. Made by the modules of the reference
 * decoder and by the decoder itself, so that an explanation can never say something else than the server does.
 */
import { asBuffer } from '../as-buffer.js'
import { FLAGS, type Flag } from '../record.js'
import {
  type DecodedBatch,
  type DecodeRequest,
  type DecoderOptions,
  type EventView,
  Outcome,
  Param,
  type Problem,
  type RequestContext,
  type Room,
  Row,
  Status,
} from './decoder.js'
import { Byte } from './reference/bytes.js'
import { createReferenceDecoder } from './reference/decoder.js'
import { openRequest, type Payload } from './reference/payload.js'
import { type FoundRecord, RecordFinder } from './reference/records.js'
import { sharedBytes } from '../shared-bytes.js'

/** One step of the way. `repairs` are sentences about what was mended; `failed` when the way ends here. */
export interface Step {
  readonly name: 'form' | 'base64' | 'text' | 'json' | 'rules'
  readonly found: string
  readonly repairs: readonly string[]
  readonly failed: boolean
}

/** What became of one record. */
export interface ExplainedRecord {
  readonly index: number
  readonly outcome: 'accepted' | 'rejected' | 'ignored'
  /** The record's bytes in the payload. */
  readonly start: number
  readonly length: number
  readonly flags: readonly Flag[]
  /** Partition key and envelope of an accepted record. */
  readonly key?: string
  readonly envelope?: string
  readonly problem?: Problem
}

export interface Explanation {
  readonly steps: readonly Step[]
  /** The bytes that offsets count in: after form and base64, before text repair. */
  readonly payload: Uint8Array
  /** What is wrong with the payload as a whole. */
  readonly problem?: Problem
  readonly records: readonly ExplainedRecord[]
}

const SOURCES = {
  body: 'the body',
  form: 'the parameter `data` of the form',
  query: 'the parameter `data` of the query',
  nowhere: 'nowhere: there is no `data`',
} as const

const plural = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`

const PARAM_NAMES = Object.entries(Param)

function formStep({ trace, bytes }: Payload, params: number): Step {
  const names = PARAM_NAMES.filter(([, bit]) => (params & bit) !== 0).map(([name]) => name)
  const said = names.length > 0 ? `; parameters: ${names.join(', ')}` : ''
  const failed = trace.source === 'nowhere' || (trace.base64 === undefined && bytes.length === 0)
  return { name: 'form', found: `payload from ${SOURCES[trace.source]}${said}`, repairs: [], failed }
}

function count(bytes: Uint8Array, wanted: readonly number[]): number {
  let found = 0
  for (const byte of bytes) if (wanted.includes(byte)) found++
  return found
}

function base64Repairs(text: Uint8Array, percentTwice: boolean): string[] {
  const spaces = count(text, [Byte.space])
  const urlSafe = count(text, [Byte.minus, 0x5f])
  const dropped = count(text, [Byte.carriageReturn, Byte.lineFeed, Byte.tab])
  const repairs: string[] = []
  if (percentTwice) repairs.push('percent-decoded a second time')
  if (spaces > 0) repairs.push(`${plural(spaces, 'space')} read as +`)
  if (urlSafe > 0) repairs.push(`${plural(urlSafe, 'letter')} of the URL-safe alphabet`)
  if (dropped > 0) repairs.push(`${plural(dropped, 'line break or tab')} left out`)
  return repairs
}

function base64Step({ trace, bytes, problem }: Payload): Step {
  const { base64, percentTwice } = trace
  if (base64 === undefined) {
    const repairs = percentTwice ? ['percent-decoded a second time'] : []
    return { name: 'base64', found: 'none: plain JSON', repairs, failed: false }
  }
  const repairs = base64Repairs(base64, percentTwice)
  if (problem !== undefined) return { name: 'base64', found: 'not base64', repairs, failed: true }
  const found = `${base64.length} characters, ${plural(bytes.length, 'byte')}`
  return { name: 'base64', found, repairs, failed: bytes.length === 0 }
}

function textStep(payload: Payload, records: readonly FoundRecord[]): Step {
  const repairs: string[] = []
  const repaired = (what: string, needs: (record: FoundRecord) => boolean): void => {
    const affected = records.filter(needs).length
    if (affected > 0) repairs.push(`${what} in ${plural(affected, 'record')}`)
  }
  repaired('CESU-8 or invalid UTF-8', (record) => record.utf8Broken)
  repaired('lone surrogate escapes', (record) => record.surrogateBroken)
  repaired('NaN or Infinity', (record) => record.nanFound)
  return { name: 'text', found: plural(payload.bytes.length, 'byte'), repairs, failed: false }
}

function jsonStep(payload: Payload, batch: DecodedBatch): Step {
  const shape = payload.shape === 'lines' ? 'lines' : isList(payload.bytes) ? 'a list' : 'one value'
  const problem = batch.undecodable ? batch.problem(0) : undefined
  const found = problem ? problem.message : `${shape}: ${plural(batch.rows, 'record')}`
  return { name: 'json', found, repairs: [], failed: problem !== undefined }
}

function isList(bytes: Uint8Array): boolean {
  return asBuffer(bytes).toString('latin1', 0, 64).trimStart().startsWith('[')
}

function rulesStep(batch: DecodedBatch): Step {
  const { accepted, rejected, ignored } = batch
  const found = `${accepted} accepted, ${rejected} rejected, ${ignored} ignored`
  return { name: 'rules', found, repairs: [], failed: rejected > 0 }
}

const OUTCOMES = Object.entries(Outcome) as [ExplainedRecord['outcome'], number][]

function explainedRecord(batch: DecodedBatch, index: number): ExplainedRecord {
  const [outcome] = OUTCOMES.find(([, value]) => value === batch.row(index, Row.outcome))!
  const flags = batch.row(index, Row.flags)
  const event: EventView | undefined = outcome === 'accepted' ? batch.event(index) : undefined
  const problem = batch.problem(index)
  return {
    index,
    outcome,
    start: batch.row(index, Row.rawStart),
    length: batch.row(index, Row.rawLength),
    flags: FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0),
    ...(event && { key: event.key, envelope: event.envelope }),
    ...(problem && { problem }),
  }
}

/** The reference decoder's batch, in a room that is as large as it needs to be. */
function decode(request: DecodeRequest, context: RequestContext, options: DecoderOptions): DecodedBatch {
  const decoder = createReferenceDecoder(options)
  const room = (bytes: number): Room => ({ bytes: sharedBytes(bytes), position: 0, end: bytes })
  const batch = decoder.decode(request, context, room(0))
  return batch.status === Status.needsRoom ? decoder.decode(request, context, room(batch.bytesNeeded)) : batch
}

/** Explains one request; `options` and `context` as the server has them. */
export function explain(
  request: DecodeRequest,
  context: RequestContext,
  options: DecoderOptions,
): Explanation {
  const { params, payload } = openRequest(request)
  const batch = decode(request, context, options)
  const finder = new RecordFinder(options.recordsMax)
  finder.find(payload, (params.bits & Param.strict) === 0)
  const form = formStep(payload, params.bits)
  const base64 = base64Step(payload)
  const steps = [form, base64, textStep(payload, finder.records), jsonStep(payload, batch), rulesStep(batch)]
  const last = steps.findIndex((step) => step.failed)
  const ends = batch.undecodable && last >= 0
  const problem = batch.undecodable ? batch.problem(0) : undefined
  return {
    steps: ends ? steps.slice(0, last + 1) : steps,
    payload: payload.bytes,
    ...(problem && { problem }),
    records: batch.undecodable ? [] : Array.from({ length: batch.rows }, (_, i) => explainedRecord(batch, i)),
  }
}
