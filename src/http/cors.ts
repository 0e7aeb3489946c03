/**
 * CORS (docs/PROTOCOL.md 4.3, rule R6). It belongs on every reply to a request with an Origin, errors included: a browser
 * that may not read an answer reports status 0, and the JavaScript SDK then deletes its batch.
 *
 * Reflecting the origin with credentials is safe here: no cookie is ever set and nothing is granted by one.
 */
import type { IncomingHttpHeaders } from 'node:http'

const ALLOWED_METHODS = 'GET, POST, OPTIONS'
const ALLOWED_HEADERS = 'Content-Type, Content-Encoding, Authorization, X-Requested-With, traceparent'
const MAX_AGE_S = '86400'
/** A list of header names; anything else is not repeated. */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/
const HEADER_NAMES_LENGTH_MAX = 1024

export type Headers = Record<string, string>

/** Adds what every reply to a request from `origin` carries; nothing without one. */
export function addCors(headers: Headers, origin: string | undefined): void {
  if (origin === undefined) return
  headers['access-control-allow-origin'] = origin
  headers['access-control-allow-credentials'] = 'true'
  headers['access-control-expose-headers'] = 'Retry-After'
  headers['vary'] = 'Origin'
}

/** What a preflight asks for: the headers it names are allowed, whatever they are. */
export function preflightHeaders(request: IncomingHttpHeaders): Headers {
  const asked = request['access-control-request-headers']
  const repeatable =
    asked !== undefined && asked.length <= HEADER_NAMES_LENGTH_MAX && HEADER_NAMES.test(asked)
  return {
    'access-control-allow-methods': ALLOWED_METHODS,
    'access-control-allow-headers': repeatable ? asked : ALLOWED_HEADERS,
    'access-control-max-age': MAX_AGE_S,
  }
}
