/** From a receipt to the reply in the dialect that was asked for (docs/PROTOCOL.md 4.1, 4.4, 5.2). */
import { cutForJson } from '../cut.js'
import { type ContentClass, Param, type Problem } from '../decode/decoder.js'
import { formText, readParam } from '../decode/params.js'
import { ProblemId } from '../decode/problems.js'
import { PROBLEMS_SHOWN_MAX, type Receipt } from '../intake.js'
import type { Endpoint } from '../record.js'
import { type Answer, jsonAnswer, refusalBody } from './answer.js'
import { textOf as textOfId } from '../request-id.js'

/** What was sent: where the texts of `callback` and `redirect` are read again, for they are rare. */
export interface Asked {
  readonly endpoint: Endpoint
  readonly content: ContentClass
  readonly body: Uint8Array
  readonly query: string
}

export interface DialectOptions {
  /** Hosts that `redirect` may lead to, as in a URL: with its port unless that is the scheme's own. */
  readonly redirectHosts: readonly string[]
  /** What a success stands on. */
  readonly durable: string
}

const TEXT = 'text/plain; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'
const VERBOSE_OK = '{"error":null,"status":1}'
const SUCCESS: Answer = { status: 200, type: TEXT, body: '1' }
const FAILURE: Answer = { status: 200, type: TEXT, body: '0' }
const VERBOSE_SUCCESS: Answer = { status: 200, type: 'application/json', body: VERBOSE_OK }
/** Transparent, 1×1. */
const PIXEL: Answer = {
  status: 200,
  type: 'image/gif',
  body: Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'),
}
/** Where a problem's code is explained, from the repository's root. */
const DOCS = 'docs/ERRORS.md'

export function answerOf(receipt: Receipt, asked: Asked, options: DialectOptions): Answer {
  const { params } = receipt
  if (receipt.undecodable && isTooLarge(receipt.problems[0]!, asked.endpoint)) {
    return tooLargeAnswer(receipt, asked.endpoint, options)
  }
  if (params === 0) return succeeded(receipt) ? SUCCESS : FAILURE
  if ((params & Param.strict) !== 0) return strictAnswer(receipt, options)
  if ((params & Param.redirect) !== 0) {
    const location = redirectTarget(textOf('redirect', asked), options.redirectHosts)
    if (location !== undefined) return { status: 302, type: '', body: '', headers: { location } }
  }
  if ((params & Param.img) !== 0) return PIXEL
  if ((params & Param.callback) !== 0) {
    const name = textOf('callback', asked)
    if (isCallback(name)) return scriptAnswer(name, receipt, options)
  }
  if ((params & VERBOSE) === 0) return succeeded(receipt) ? SUCCESS : FAILURE
  const body = verboseBody(receipt, options)
  return body === VERBOSE_OK ? VERBOSE_SUCCESS : { ...VERBOSE_SUCCESS, body }
}

const VERBOSE = Param.verbose1 | Param.verbose2

/** At least one record is good, or was dropped on purpose (docs/PROTOCOL.md 4.2). */
function succeeded(receipt: Receipt): boolean {
  return receipt.accepted + receipt.ignored > 0
}

/**
 * A request that may come back in parts. Of two: one whose records, all of them good, take more than a batch of the log is
 * no bad content, for which 200 would have clients delete it (rule R1, promise P2); more records than the protocol allows is.
 */
function isTooLarge({ id }: Problem, endpoint: Endpoint): boolean {
  return id === ProblemId.outputTooLarge || (id === ProblemId.tooManyRecords && endpoint === 'import')
}

function tooLargeAnswer(receipt: Receipt, endpoint: Endpoint, options: DialectOptions): Answer {
  const body = refusalBody(endpoint, 413, receipt.problems[0]!.message)
  return jsonAnswer(413, { ...body, ...detailsOf(receipt, options) })
}

function textOf(name: 'redirect' | 'callback', { content, body, query }: Asked): string {
  return readParam(name, query, formText(content, body)) ?? ''
}

const CALLBACK = /^[A-Za-z_$][\w$]*(\.[\w$]+|\[\d+\])*$/
const CALLBACK_LENGTH_MAX = 128
/** JS sends it when it wants no answer. */
const NO_CALLBACK = '(function(){})'

/** It is reflected into a script: names only. */
export function isCallback(text: string): boolean {
  return text === NO_CALLBACK || (text.length <= CALLBACK_LENGTH_MAX && CALLBACK.test(text))
}

/** The URL as a browser reads it, if its host is listed; undefined for any other text. */
export function redirectTarget(text: string, hosts: readonly string[]): string | undefined {
  if (hosts.length === 0 || !URL.canParse(text)) return undefined
  const url = new URL(text)
  const web = url.protocol === 'https:' || url.protocol === 'http:'
  return web && hosts.some((host) => host.toLowerCase() === url.host) ? url.href : undefined
}

function scriptAnswer(name: string, receipt: Receipt, options: DialectOptions): Answer {
  const verbose = (receipt.params & VERBOSE) !== 0
  const value = verbose ? verboseBody(receipt, options) : succeeded(receipt) ? '1' : '0'
  const headers = { 'x-content-type-options': 'nosniff' }
  return { status: 200, type: SCRIPT, body: `/**/${name}(${value});`, headers }
}

function verboseBody(receipt: Receipt, options: DialectOptions): string {
  return JSON.stringify({ ...verboseOf(receipt), ...detailsOf(receipt, options) })
}

/** What verbose=2 adds to any report (docs/PROTOCOL.md 4.4). */
function detailsOf(receipt: Receipt, { durable }: DialectOptions): object {
  if ((receipt.params & Param.verbose2) === 0) return {}
  const { accepted, ignored, rejected, requestId, flags, problems } = receipt
  return {
    request_id: textOfId(requestId),
    num_good_events: accepted + ignored,
    num_bad_events: rejected,
    num_ignored_events: ignored,
    durable: accepted > 0 ? durable : null,
    flags,
    problems: problems.slice(0, PROBLEMS_SHOWN_MAX).map(problemDetails),
  }
}

/** Mixpanel's form, which some clients compare as a whole: no key more than needed. */
function verboseOf(receipt: Receipt): object {
  const { accepted, ignored, rejected } = receipt
  if (!succeeded(receipt)) return { error: firstError(receipt), status: 0 }
  if (rejected === 0) return { error: null, status: 1 }
  return {
    error: null,
    status: 1,
    num_good_events: accepted + ignored,
    num_bad_events: rejected,
    first_error: firstError(receipt),
  }
}

function firstError({ problems, received }: Receipt): string {
  const problem = problems[0]
  if (problem === undefined) return ''
  return received > 1 ? `record ${problem.index}: ${problem.message}` : problem.message
}

function problemDetails({ code, index, field, pointer, offset, message, got, hint }: Problem): object {
  return { code, index, field, pointer, offset, message, got, hint, docs: `${DOCS}#${code}` }
}

function strictAnswer(receipt: Receipt, options: DialectOptions): Answer {
  const { accepted, ignored, rejected, undecodable, problems } = receipt
  const imported = accepted + ignored
  const details = detailsOf(receipt, options)
  if (rejected === 0) {
    return jsonAnswer(200, { code: 200, num_records_imported: imported, status: 'OK', ...details })
  }
  return jsonAnswer(400, {
    code: 400,
    error: undecodable ? problems[0]!.message : 'some data points in the request failed validation',
    failed_records: undecodable ? [] : problems.map(failedRecord),
    num_records_imported: imported,
    status: 'Bad Request',
    ...details,
  })
}

/**
 * An $insert_id is at most 36 bytes; a longer one is told apart by its start, and by its record's index. With it an item
 * takes at most some 700 bytes, and the whole report 1.5 MB (docs/PROTOCOL.md 5.2).
 */
const INSERT_ID_BYTES_MAX = 64

/** One item a record, with its first problem; all four members are always there. */
function failedRecord({ index, insertId, field, message }: Problem): object {
  return { index, insert_id: cutForJson(insertId ?? '', INSERT_ID_BYTES_MAX), field, message }
}
