// A web server's access log as events: the combined format of Apache and nginx, one line one event.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'

// address, identity, user, [time], "request", status, bytes, "referrer", "user agent"; `\"` stays inside quotes. Real logs
// hold lines cut off in their last field, and the common format has no last two.
const TEXT = '((?:[^"\\\\]|\\\\.)*)'
const COMBINED = new RegExp(
  `^(\\S+) \\S+ (\\S+) \\[([^\\]]+)\\] "${TEXT}" (\\d{3}) (\\d+|-)(?: "${TEXT}"(?: "${TEXT}"?)?)?`,
)
const TIME = /^(\d{2})\/(\w{3})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})$/
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
// The first that matches: Chrome calls itself Safari, and everything calls itself Mozilla.
const BROWSERS = [
  ['bot', /bot|crawl|spider|slurp|feed|monitor/i],
  ['Opera', /\bOPR\/|\bOpera\b/],
  ['Edge', /\bEdge?\//],
  ['Internet Explorer', /\bMSIE |\bTrident\//],
  ['Firefox', /\bFirefox\//],
  ['Chrome', /\bChrom(?:e|ium)\//],
  ['Safari', /\bSafari\//],
]

/** Lines of a log, with their numbers from 1; `.gz` is inflated. */
export async function* readLines(path, linesMax) {
  const file = createReadStream(path)
  const text = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  let number = 0
  for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
    if (number === linesMax) break
    yield { number: ++number, line }
  }
  file.destroy()
}

/** The same line at the same place is the same event, however often it is sent. */
export function insertId(number, line) {
  return createHash('sha256').update(`${number}\n${line}`).digest('hex').slice(0, 32)
}

/** undefined: not a line of the combined format. */
export function eventOf({ number, line }, token) {
  const match = COMBINED.exec(line)
  if (match === null) return undefined
  const [, address, user, time, request, status, bytes, referrer = '-', userAgent = ''] = match
  const [method, page] = request.split(' ')
  return {
    event: 'Page Requested',
    properties: {
      token,
      distinct_id: user === '-' ? address : user,
      $insert_id: insertId(number, line),
      time: secondsOf(time),
      page: page ?? request,
      method: page === undefined ? undefined : method,
      status: Number(status),
      bytes: bytes === '-' ? 0 : Number(bytes),
      $referrer: referrer === '-' ? undefined : referrer,
      $browser: browserOf(userAgent),
    },
  }
}

function browserOf(userAgent) {
  return BROWSERS.find(([, pattern]) => pattern.test(userAgent))?.[0] ?? 'other'
}

/** `17/May/2015:10:05:03 +0000` → seconds since 1970; undefined when it is no time. */
function secondsOf(text) {
  const [, day, month, year, clock, hours, minutes] = TIME.exec(text) ?? []
  if (day === undefined) return undefined
  const number = String(MONTHS.indexOf(month) + 1).padStart(2, '0')
  const ms = Date.parse(`${year}-${number}-${day}T${clock}${hours}:${minutes}`)
  return Number.isNaN(ms) ? undefined : ms / 1000
}
