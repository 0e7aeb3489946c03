/** Events and the requests that carry them. */
import { gzipSync } from 'node:zlib'
import type { RawRequest } from '../../support/http.js'

export const FORM = 'application/x-www-form-urlencoded'
export const JSON_TYPE = 'application/json'

export type Properties = Readonly<Record<string, unknown>>

/** A good event of token `t0k`. */
export function event(name: string, properties: Properties = {}): object {
  return { event: name, properties: { token: 't0k', distinct_id: 'u1', ...properties } }
}

/** One that is good under `strict=1`, too. */
export function importable(name: string, insertId: string, properties: Properties = {}): object {
  return event(name, { time: Math.floor(Date.now() / 1000), $insert_id: insertId, ...properties })
}

export function post(
  target: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): RawRequest {
  return {
    method: 'POST',
    target,
    headers: { 'Content-Type': JSON_TYPE, ...headers },
    body: Buffer.from(body as string),
  }
}

export function postJson(target: string, value: unknown, headers: Record<string, string> = {}): RawRequest {
  return post(target, JSON.stringify(value), headers)
}

export function postGzip(target: string, body: string | Buffer): RawRequest {
  return post(target, gzipSync(body), { 'Content-Encoding': 'gzip' })
}

/** Base64 in a form, as most clients send it. */
export function postForm(target: string, value: unknown): RawRequest {
  const data = encodeURIComponent(Buffer.from(JSON.stringify(value)).toString('base64'))
  return post(target, `data=${data}`, { 'Content-Type': FORM })
}

export function get(target: string, value: unknown): RawRequest {
  const data = encodeURIComponent(Buffer.from(JSON.stringify(value)).toString('base64'))
  return { method: 'GET', target: `${target}${target.includes('?') ? '&' : '?'}data=${data}` }
}
