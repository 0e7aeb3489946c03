// The requests that are measured: events of about 400 bytes, all different, as browsers send them.
import { generator, letters, pick } from '../random.mjs'

/** Of each case this many different requests take turns, so that nothing is decoded twice in a row. */
const REQUESTS = 64
const EVENT_BYTES = 400
const LARGE_EVENT_BYTES = 1_000_000
const LARGE_REQUESTS = 4
export const RECEIVED_MS = 1_795_500_000_000

const NAMES = ['Page Viewed', 'Signed Up', 'Added To Cart', 'Search', 'Video Played', 'Checkout Started']
const PLANS = ['free', 'pro', 'team', 'enterprise']

/** One event as a JSON text of exactly `bytes` bytes. */
export function makeEvent(random, bytes = EVENT_BYTES) {
  const device = `${letters(random, 11)}-${letters(random, 14)}`
  const event = {
    event: pick(random, NAMES),
    properties: {
      $os: pick(random, ['Windows', 'Linux', 'Mac OS X']),
      $browser: pick(random, ['Chrome', 'Firefox', 'Safari']),
      $browser_version: 80 + random(60),
      $screen_height: 1080,
      $screen_width: 1920,
      mp_lib: 'web',
      $lib_version: '2.83.0',
      $insert_id: letters(random, 16),
      time: (RECEIVED_MS - 1000 - random(900_000)) / 1000,
      distinct_id: `$device:${device}`,
      $device_id: device,
      plan: pick(random, PLANS),
      token: `${letters(random, 2)}d41d8cd98f00b204e9800998ecf842`,
      $current_url: 'https://shop.example.com/',
    },
  }
  const missing = bytes - JSON.stringify(event).length
  event.properties.$current_url += letters(random, Math.max(0, missing))
  return JSON.stringify(event)
}

/** Hardly more than what the rules ask for: some 60 bytes. */
export function makeSmallEvent(random) {
  return JSON.stringify({
    event: 'e',
    properties: { token: letters(random, 8), distinct_id: letters(random, 4) },
  })
}

function makeRequests({ events, wrap, make = makeEvent, count = REQUESTS }) {
  const random = generator(events)
  return Array.from({ length: count }, () => {
    const list = Array.from({ length: events }, () => make(random))
    return { endpoint: 'track', ...wrap(events === 1 ? list[0] : `[${list.join(',')}]`) }
  })
}

const encoded = (text) => encodeURIComponent(Buffer.from(text).toString('base64'))
export const json = (text) => ({ content: 2, query: '', body: Buffer.from(text) })
export const form = (text) => ({
  content: 1,
  query: 'verbose=1&ip=1&_=1795499998123',
  body: Buffer.from(`data=${encoded(text)}`),
})
export const get = (text) => ({ content: 4, query: `data=${encoded(text)}&ip=1`, body: Buffer.alloc(0) })

/** The measured cases; `required`: by how much the native decoder has to be faster. */
export const CASES = [
  { name: 'JSON body', events: 1, required: 5, target: 8, wrap: json },
  { name: 'JSON body, 50 events', events: 50, required: 5, target: 8, wrap: json },
  { name: 'base64 form', events: 1, required: 4, target: 8, wrap: form },
  { name: 'base64 form, 50 events', events: 50, required: 4, target: 8, wrap: form },
  { name: 'base64 GET', events: 1, required: 4, target: 8, wrap: get },
  { name: 'JSON body, 60 bytes', events: 1, required: 3, target: 3, wrap: json, make: makeSmallEvent },
  {
    name: 'JSON body, 1 MB',
    events: 1,
    required: 3,
    target: 3,
    wrap: json,
    count: LARGE_REQUESTS,
    make: (random) => makeEvent(random, LARGE_EVENT_BYTES),
  },
].map((testCase) => ({ ...testCase, requests: makeRequests(testCase) }))

export const CONTEXT = {
  receivedMs: RECEIVED_MS,
  requestId: { head: '01KC0ZTJ8GQ4W2P9XB0000000', last: '1' },
  peer: {
    ipJson: '"203.0.113.9"',
    uaJson: '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36"',
  },
  authToken: '',
  projectId: null,
  replayed: false,
}
