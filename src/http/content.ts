/** What the head says about the body (docs/PROTOCOL.md 2, steps 1 and 2). */
import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import { Content, type ContentClass } from '../decode/decoder.js'

const CLASSES: ReadonlyMap<string, ContentClass> = new Map([
  ['application/x-www-form-urlencoded', Content.form],
  ['application/json', Content.json],
  ['application/x-ndjson', Content.ndjson],
  ['application/ndjson', Content.ndjson],
  ['application/jsonlines', Content.ndjson],
])

/** How the body is read; undefined for multipart, which is answered 415. */
export function contentClassOf(contentType: string | undefined): ContentClass | undefined {
  if (contentType === undefined) return Content.sniff
  const known = CLASSES.get(contentType)
  if (known !== undefined) return known
  const type = mediaType(contentType)
  if (type.startsWith('multipart/')) return undefined
  return CLASSES.get(type) ?? (type.endsWith('+json') ? Content.json : Content.sniff)
}

/** In lower case and without parameters. */
function mediaType(contentType: string): string {
  const end = contentType.indexOf(';')
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}

/** undefined: a coding that is not undone here (415). */
export function codingOf(contentEncoding: string | undefined): 'identity' | 'gzip' | undefined {
  if (contentEncoding === undefined) return 'identity'
  const coding = contentEncoding.trim().toLowerCase()
  if (coding === '' || coding === 'identity') return 'identity'
  return coding === 'gzip' || coding === 'x-gzip' ? 'gzip' : undefined
}

/** How much text the head of a request holds. */
export function headBytes({ url = '', rawHeaders }: IncomingMessage): number {
  let bytes = url.length
  for (const text of rawHeaders) bytes += text.length
  return bytes
}

/** The body's length in bytes as the head gives it; undefined for a chunked one. Without a body: 0. */
export function declaredLength({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined
  const length = headers['content-length']
  return length === undefined ? 0 : Number(length)
}

const CONTINUE = '100-continue'

/** Tells a client that waits to hear it that its body is wanted. A server that does not take that upon itself has done so. */
export function sendContinue({ request, raw, server }: FastifyReply): void {
  const { expect } = request.raw.headers
  if (expect === undefined || expect.toLowerCase() !== CONTINUE) return
  if (server.server.listenerCount('checkContinue') > 0) raw.writeContinue()
}

/** The raw query, without `?`; '' for none. */
export function queryOf(url: string): string {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at + 1)
}
