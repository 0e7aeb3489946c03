/** From the request to the payload: the bytes that hold the JSON text (docs/DECODING.md 1 and 2). */
import { asBuffer } from '../../as-buffer.js'
import { type DecodeRequest, Param } from '../decoder.js'
import { type BodyForm, bodyForm, type Parameters, percentDecode, readParameters } from '../params.js'
import { ProblemId } from '../problems.js'
import { decodeBase64 } from './base64.js'
import { Byte, opensJson, trim, trimStart } from './bytes.js'

const NOTHING = new Uint8Array()
const NAMES = new Set(['data', 'verbose', 'strict', 'img', 'callback', 'redirect', 'ip', 'test'])
const NO_PARAMETERS: Parameters = new Map()

/** What the request's parameters say. */
export interface RequestParams {
  /** Bits of Param. */
  readonly bits: number
  readonly ip: '0' | '1' | undefined
  readonly test: boolean
}

/** What is wrong with a payload as a whole. */
export interface PayloadProblem {
  readonly problem: number
  readonly offset: number
  readonly recordCount: number
}

/** The payload, or what was found in its place when it could not be taken out of its wrapping. */
export interface Payload {
  readonly bytes: Uint8Array
  readonly shape: 'json' | 'lines' | 'json or lines'
  readonly problem?: PayloadProblem
  /** Where it came from and what it was wrapped in; for `explain`. */
  readonly trace: PayloadTrace
}

export interface PayloadTrace {
  readonly bodyForm: BodyForm
  readonly source: 'body' | 'form' | 'query' | 'nowhere'
  /** The base64 text as it was decoded; undefined for plain JSON. */
  readonly base64?: Uint8Array
  /** A second round of percent-decoding was needed. */
  readonly percentTwice: boolean
}

export const problemAt = (problem: number, offset = -1, recordCount = 0): PayloadProblem => ({
  problem,
  offset,
  recordCount,
})

type Trace = { -readonly [K in keyof PayloadTrace]: PayloadTrace[K] }

function fromBase64(text: Uint8Array, trace: Trace): Payload {
  trace.base64 = text
  const decoded = decodeBase64(text)
  if (typeof decoded === 'number') {
    return { bytes: text, shape: 'json', problem: problemAt(ProblemId.base64Invalid, decoded), trace }
  }
  return { bytes: decoded, shape: 'json', trace }
}

function fromCandidate(candidate: Uint8Array, trace: Trace): Payload {
  if (!candidate.includes(Byte.percent)) return fromBase64(candidate, trace)
  trace.percentTwice = true
  const once = percentDecode(candidate, false)
  const { start, end } = trim(once)
  const text = once.subarray(start, end)
  return opensJson(text[0]) ? { bytes: text, shape: 'json', trace } : fromBase64(text, trace)
}

/** A value that is JSON as it stands, or base64, or nothing. */
function unwrap(value: Uint8Array, trace: Trace): Payload {
  const { start, end } = trim(value)
  if (start === end) return { bytes: NOTHING, shape: 'json', trace }
  if (opensJson(value[start])) return { bytes: value, shape: 'json', trace }
  return fromCandidate(value.subarray(start, end), trace)
}

/** All that the parameters and the body's wrapping say. */
export interface Opened {
  readonly params: RequestParams
  readonly payload: Payload
}

function bitsOf(value: (name: string) => string, endpoint: string): number {
  const verbose = value('verbose')
  let bits = verbose === '1' ? Param.verbose1 : verbose === '2' ? Param.verbose2 : 0
  if (endpoint !== 'track' && value('strict') === '1') bits |= Param.strict
  if (value('img') === '1') bits |= Param.img
  if (value('callback') !== '') bits |= Param.callback
  if (value('redirect') !== '') bits |= Param.redirect
  return bits
}

function requestParams(query: Parameters, form: Parameters, endpoint: string): RequestParams {
  const value = (name: string): string => {
    const bytes = query.get(name) ?? form.get(name)
    return bytes === undefined ? '' : asBuffer(bytes).toString('latin1')
  }
  const ip = value('ip')
  return {
    bits: bitsOf(value, endpoint),
    ip: ip === '0' || ip === '1' ? ip : undefined,
    test: value('test') === '1',
  }
}

/** Reads the parameters and takes the payload out of body, form or query. */
export function openRequest(request: DecodeRequest): Opened {
  const { body, content, endpoint } = request
  const found = bodyForm(content, body)
  const query = readParameters(Buffer.from(request.query, 'latin1'), NAMES)
  const form =
    found === 'form' ? readParameters(body.subarray(trimStart(body, 0, body.length)), NAMES) : NO_PARAMETERS
  const params = requestParams(query, form, endpoint)
  const trace: Trace = { bodyForm: found, source: 'body', percentTwice: false }
  if (found === 'json' || found === 'lines' || found === 'json or lines') {
    return { params, payload: { bytes: body, shape: found, trace } }
  }
  if (found === 'base64') return { params, payload: unwrap(body, trace) }
  const data = form.get('data') ?? query.get('data')
  trace.source = form.has('data') ? 'form' : data === undefined ? 'nowhere' : 'query'
  return { params, payload: unwrap(data ?? NOTHING, trace) }
}
