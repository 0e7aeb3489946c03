/** What a request is answered with, and the shapes that refusals have (docs/PROTOCOL.md 4.2, 5.2, rule R5). */
import { STATUS_CODES } from 'node:http'
import type { Endpoint } from '../record.js'
import type { Headers } from './cors.js'

export interface Answer {
  readonly status: number
  /** Content-Type; '' for an empty body. */
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Headers
}

/** Until another process serves in place of this one. */
const RETRY_STOPPING_S = 5

export const JSON_TYPE = 'application/json'

/** The phrase in coded replies; Node's own for 413 is a newer one. */
const PHRASES: Readonly<Record<number, string>> = { 413: 'Request Entity Too Large' }

export function phrase(status: number): string {
  return PHRASES[status] ?? STATUS_CODES[status] ?? 'Error'
}

export function jsonAnswer(status: number, body: object, headers?: Headers): Answer {
  const answer = { status, type: JSON_TYPE, body: JSON.stringify(body) }
  return headers === undefined ? answer : { ...answer, headers }
}

/** `{"error","status":0}`; on /import the coded shape. undefined stands for anything that is no ingest endpoint. */
export function refusal(
  endpoint: Endpoint | undefined,
  status: number,
  error: string,
  headers?: Headers,
): Answer {
  return jsonAnswer(status, refusalBody(endpoint, status, error), headers)
}

export function refusalBody(endpoint: Endpoint | undefined, status: number, error: string): object {
  return endpoint === 'import' ? { code: status, error, status: phrase(status) } : { error, status: 0 }
}

/** Rules R1 and R9. Whole seconds: mobile SDKs read nothing else. */
export function unavailable(endpoint: Endpoint | undefined, retryAfterS: number): Answer {
  return refusal(endpoint, 503, 'unavailable, retry later', { 'retry-after': String(retryAfterS) })
}

/** A body that never came to its end: it was not HTTP (400), took too long (408), or there is no time for it left (503). */
export function brokenBody(endpoint: Endpoint | undefined, status: 400 | 408 | 503): Answer {
  if (status === 503) return unavailable(endpoint, RETRY_STOPPING_S)
  return refusal(endpoint, status, status === 408 ? 'request timeout' : 'bad request')
}

/** No Retry-After: urllib3 would then repeat the very same request. */
export function bodyTooLarge(endpoint: Endpoint | undefined, limitBytes: number): Answer {
  const text =
    endpoint === 'import'
      ? `request exceeds max limit of ${limitBytes} bytes`
      : `body too large: limit ${limitBytes} bytes`
  return refusal(endpoint, 413, text)
}

export const ALLOW_INGEST = 'GET, POST, OPTIONS'
