// Events as browsers send them, all different, of exactly the size that is asked for; those of one request have one
// token and one device, as what an SDK has queued. Seeded: every run has the same bytes but for the time, which lies in
// the last minutes before the run.

import { letters, pick } from '../random.mjs'

const NAMES = ['Page Viewed', 'Signed Up', 'Added To Cart', 'Search', 'Video Played', 'Checkout Started']
const PLANS = ['free', 'pro', 'team', 'enterprise']
const SYSTEMS = ['Windows', 'Linux', 'Mac OS X']
const BROWSERS = ['Chrome', 'Firefox', 'Safari']
/** A quarter of an hour: younger than any limit, and never in the future. */
const AGE_S_MAX = 900

/** Who sends a request. */
export function makeSender(random) {
  return {
    token: `${letters(random, 2)}d41d8cd98f00b204e9800998ecf842`,
    device: `${letters(random, 11)}-${letters(random, 14)}`,
  }
}

/** Hardly more than what the rules ask for. */
function small(random, { token }) {
  return {
    event: 'e',
    properties: { token: token.slice(0, 8), $insert_id: letters(random, 8), distinct_id: '' },
  }
}

function usual(random, nowS, { token, device }) {
  return {
    event: pick(random, NAMES),
    properties: {
      $os: pick(random, SYSTEMS),
      $browser: pick(random, BROWSERS),
      $browser_version: 80 + random(60),
      $screen_height: 1080,
      $screen_width: 1920,
      mp_lib: 'web',
      $lib_version: '2.83.0',
      $insert_id: letters(random, 16),
      time: nowS - 1 - random(AGE_S_MAX),
      $device_id: device,
      plan: pick(random, PLANS),
      token,
      distinct_id: `$device:${device}`,
      $current_url: 'https://shop.example.com/',
    },
  }
}

const USUAL_BYTES_MIN = 390

/** One event as JSON text of `bytes` bytes (or the few more that its members need). */
export function makeEvent(random, nowS, bytes, sender) {
  const event = bytes < USUAL_BYTES_MIN ? small(random, sender) : usual(random, nowS, sender)
  const { properties } = event
  const grows = bytes < USUAL_BYTES_MIN ? 'distinct_id' : '$current_url'
  const missing = Math.max(1, bytes - Buffer.byteLength(JSON.stringify(event)))
  properties[grows] += letters(random, missing)
  return JSON.stringify(event)
}
