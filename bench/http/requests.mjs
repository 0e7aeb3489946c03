// The requests that are sent: whole, as bytes, so that every load generator sends the very same ones.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { generator } from '../random.mjs'
import { makeEvent, makeSender } from './events.mjs'

/** Of each shape this many different requests take turns. */
const REQUESTS = 64
/** Of large ones fewer: all of a shape fit into some megabytes. */
const SHAPE_BYTES_MAX = 8_000_000
export const EVENT_BYTES = 400

const USER_AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36'
const TYPES = { json: 'application/json', form: 'application/x-www-form-urlencoded' }

/**
 * @typedef {{name: string, wrap: 'json' | 'form', events: number, bytes: number, requests?: Request[]}} Shape `bytes` of JSON an event
 * @typedef {{wrap: string, path: string, headers: Record<string, string>, body: Buffer, events: string[], raw: Buffer}} Request
 */

/** What the figures are about. */
export const SHAPES = [
  { name: 'form', title: 'single event, base64 form', wrap: 'form', events: 1, bytes: EVENT_BYTES },
  { name: 'json', title: 'single event, JSON', wrap: 'json', events: 1, bytes: EVENT_BYTES },
  { name: 'batch', title: '50 events, JSON', wrap: 'json', events: 50, bytes: EVENT_BYTES },
]

export function requestOf(wrap, payload, events = []) {
  const body = Buffer.from(
    wrap === 'form' ? `data=${encodeURIComponent(Buffer.from(payload).toString('base64'))}` : payload,
  )
  const path = '/track/?ip=1&_=1795499998123'
  const headers = {
    host: '127.0.0.1',
    'user-agent': USER_AGENT,
    accept: '*/*',
    'content-type': TYPES[wrap],
    'content-length': String(body.length),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const raw = Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), body])
  return { wrap, path, headers, body, events, raw }
}

/** @returns {Request[]} of a shape, different ones; a shape may bring its own */
export function requestsOf({ wrap, events, bytes, requests }, nowS) {
  if (requests !== undefined) return requests
  const random = generator(events * 31 + bytes)
  const count = Math.max(2, Math.min(REQUESTS, Math.floor(SHAPE_BYTES_MAX / (events * bytes))))
  return Array.from({ length: count }, () => {
    const sender = makeSender(random)
    const texts = Array.from({ length: events }, () => makeEvent(random, nowS, bytes, sender))
    return requestOf(wrap, events === 1 ? texts[0] : `[${texts.join(',')}]`, texts)
  })
}

/** For the load generators: each request's length as a line of its own, then its bytes. */
export function writeRequests(path, requests) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, Buffer.concat(requests.flatMap(({ raw }) => [Buffer.from(`${raw.length}\n`), raw])))
}

/** What must be refused with `0`, by everybody who looks at events at all. */
export function refusedRequests() {
  const payloads = [
    '{"event":"e"}',
    '{"event":"e","properties":{}}',
    '{"properties":{"token":"t"}}',
    '{"event"',
  ]
  return payloads.flatMap((payload) => [requestOf('form', payload), requestOf('json', payload)])
}
