// What is decoded: every form of a payload, from events of 60 bytes to one of 1 MB, from one event a request to 2000, and
// payloads that were not made for this.
import { gzipSync } from 'node:zlib'
import { generator } from '../random.mjs'
import { form, get, json, makeEvent, makeSmallEvent } from './events.mjs'
import { accessLogEvents, recordedRequests } from './real.mjs'

/** Of each shape up to this many different requests take turns; of large ones fewer. */
const REQUESTS = 64
const SHAPE_BYTES_MAX = 4_000_000
const EVENT_BYTES = 400
const SMALL_BYTES = 60

const gzip = (text) => {
  const request = json(text)
  return { ...request, body: gzipSync(request.body), isGzip: true }
}

const SIZES = [SMALL_BYTES, EVENT_BYTES, 4000, 64_000, 1_000_000]
/** [form of the payload, bytes of an event's JSON]; a query is a part of the head, which has its own limit. */
const SINGLE = [
  ['JSON', json, SIZES],
  ['base64 form', form, SIZES],
  ['base64 GET', get, [SMALL_BYTES, EVENT_BYTES, 4000, 40_000]],
  ['gzip JSON', gzip, SIZES.slice(1)],
]
const BATCHES = [
  ['JSON', json, [10, 50, 200, 1000, 2000]],
  ['base64 form', form, [50, 2000]],
  ['gzip JSON', gzip, [50, 2000]],
]

function made(wrap, bytes, events) {
  const random = generator(bytes * 31 + events)
  const make = () => (bytes <= SMALL_BYTES ? makeSmallEvent(random) : makeEvent(random, bytes))
  const count = Math.max(2, Math.min(REQUESTS, Math.floor(SHAPE_BYTES_MAX / (bytes * events))))
  return Array.from({ length: count }, () => {
    const texts = Array.from({ length: events }, make)
    return { endpoint: 'track', ...wrap(events === 1 ? texts[0] : `[${texts.join(',')}]`) }
  })
}

const track = (request) => ({ endpoint: 'track', ...request })

async function real() {
  const lines = await accessLogEvents()
  const groups = Array.from({ length: Math.floor(lines.length / 50) }, (_, index) =>
    lines.slice(index * 50, (index + 1) * 50),
  )
  return [
    { wrap: 'JSON', payload: 'access log', events: 1, requests: lines.map((line) => track(json(line))) },
    {
      wrap: 'base64 form',
      payload: 'access log',
      events: 1,
      requests: lines.map((line) => track(form(line))),
    },
    {
      wrap: 'JSON',
      payload: 'access log',
      events: 50,
      requests: groups.map((group) => track(json(`[${group.join(',')}]`))),
    },
    { wrap: 'as sent', payload: 'requests of SDKs', requests: recordedRequests(), isRespelled: true },
  ]
}

/** @returns {Promise<{wrap: string, payload: string, events?: number, requests: object[], isRespelled?: boolean}[]>} */
export async function payloads(isQuick) {
  const single = SINGLE.flatMap(([name, wrap, sizes]) =>
    sizes.map((bytes) => ({
      wrap: name,
      payload: `${bytes} bytes`,
      events: 1,
      requests: made(wrap, bytes, 1),
    })),
  )
  const batches = BATCHES.flatMap(([name, wrap, counts]) =>
    counts.map((events) => ({
      wrap: name,
      payload: `${EVENT_BYTES} bytes`,
      events,
      requests: made(wrap, EVENT_BYTES, events),
    })),
  )
  const all = [...single, ...batches, ...(await real())]
  return isQuick ? all.filter(isInQuick).map(shortened) : all
}

/** Every form of a payload and the real ones, but not every size. */
const isInQuick = ({ payload, events = 0 }) =>
  events <= 50 && !['4000 bytes', '64000 bytes', '1000000 bytes'].includes(payload)

const QUICK_REQUESTS = 16
const shortened = (cell) => ({ ...cell, requests: cell.requests.slice(0, QUICK_REQUESTS) })
