/** Random requests: records, put into a payload, bent, wrapped in one of the ways that clients use, and bent again. */
import { Content, type ContentClass, type RequestContext } from '../../../src/decode/decoder.js'
import { type Endpoint, KINDS } from '../../../src/record.js'
import { type Input, latin1, NOW_MS } from '../harness.js'
import type { Choices } from './choices.js'
import { record } from './records.js'
import { filler, list, scalar, space } from './values.js'
import { requestId } from '../../../src/request-id.js'

const NASTY = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '0',
  '-',
  '.',
  'e',
  'u',
  'n',
  '\xff',
  '\x80',
  '\xed',
  '\x00',
  '\n',
].concat([
  '\r',
  '\x0b',
  '%',
  '&',
  '=',
  '+',
  '/',
  '_',
  ' ',
  '\xef\xbb\xbf',
  'NaN',
  'Infinity',
  '\\u',
  '\\ud800',
  'null',
])

/** One to three changes of single places. */
export function mutated(bytes: string, choices: Choices): string {
  let result = bytes
  for (let count = 1 + choices.next(3); count > 0; count--) {
    const at = choices.next(Math.min(65_536, result.length + 1))
    const length = 1 + choices.next(4)
    const [head, tail] = [result.slice(0, at), result.slice(at)]
    const kind = choices.next(5)
    if (kind === 0) result = head + tail.slice(length)
    else if (kind === 1) result = head + choices.pick(NASTY) + tail
    else if (kind === 2) result = head + choices.pick(NASTY) + tail.slice(1)
    else if (kind === 3) result = head
    else result = head + result.slice(at, at + 20 * length) + tail
  }
  return result
}

export const BLANKS = ['', ' ', '\n', '\xef\xbb\xbf', '\t\v\f\r', ' \xef\xbb\xbf ']

function payload(endpoint: Endpoint, choices: Choices, receivedMs: number): string {
  const one = (): string => record(endpoint, choices, receivedMs)
  const shape = choices.next(8)
  if (shape < 3) return one()
  if (shape < 7) return list(choices.list(1, 4, one), choices)
  return choices.pick(['', '[]', scalar(choices), list(Array(5).fill(one()), choices)])
}

function lines(endpoint: Endpoint, choices: Choices, receivedMs: number): string {
  const separator = choices.pick(['\n', '\r\n', '\n\n \n', ' \n\t', '\n\v'])
  return choices.list(1, 4, () => record(endpoint, choices, receivedMs)).join(separator)
}

const base64 = (bytes: string): string => latin1(bytes).toString('base64')
/** encodeURIComponent for byte strings. */
const percent = (bytes: string): string =>
  bytes.replace(/[^A-Za-z0-9_.!~*'()-]/g, (one) => `%${one.charCodeAt(0).toString(16).padStart(2, '0')}`)

const ENCODINGS: readonly ((bytes: string, choices: Choices) => string)[] = [
  (bytes) => percent(base64(bytes)),
  (bytes) => base64(bytes),
  (bytes) => base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''),
  (bytes) => percent(bytes),
  (bytes) => percent(percent(base64(bytes))),
  (bytes) => percent(percent(bytes)),
  (bytes) => base64(bytes).replaceAll('+', '%20'),
  (bytes, choices) => base64(bytes).replace(/.{19}/g, `$&${choices.pick(['\r\n', '%0A', '\t', '+', '='])}`),
  (bytes, choices) =>
    choices.pick(BLANKS) + base64(bytes) + choices.pick(['', '=', '==', '%3D%20', ' ', '*']),
]

const PARAMETERS = [
  'verbose=1',
  'verbose=2',
  'verbose=',
  'ip=0',
  'ip=1',
  'ip=2',
  'test=1',
  'test=0',
  'img=1',
  'callback=f',
].concat([
  'redirect=u',
  '%69p=1',
  'strict=1',
  'strict=0',
  'data=',
  'data',
  '&',
  'x=%zz',
  'verbose=%31',
  'data=%20',
])

function parameters(choices: Choices, endpoint: Endpoint): string[] {
  const some = choices.list(0, 3, () =>
    choices.next(6) === 5 ? `${filler(choices)}=${filler(choices)}` : choices.pick(PARAMETERS),
  )
  return endpoint !== 'track' && choices.once(2) ? ['strict=1', ...some] : some
}

function wrapped(bytes: string, choices: Choices, more: string[]): [ContentClass, string, string] {
  const data = (): string => `data=${choices.pick(ENCODINGS)(bytes, choices)}`
  const blank = choices.pick(BLANKS)
  const query = more.join('&')
  const form = (): string => (choices.once(2) ? [data(), ...more] : [...more, data()]).join('&')
  const kinds: readonly (() => [ContentClass, string, string])[] = [
    () => [Content.json, bytes, query],
    () => [Content.ndjson, blank + bytes, query],
    () => [Content.sniff, blank + bytes, query],
    () => [Content.form, form(), ''],
    () => [Content.form, blank + data(), query],
    () => [Content.none, '', form()],
    () => [Content.sniff, form(), query],
    () => [
      choices.pick([Content.sniff, Content.json, Content.form]),
      choices.pick(ENCODINGS)(bytes, choices),
      query,
    ],
    () => [choices.pick([Content.json, Content.ndjson, Content.form]), blank + form(), query],
    () => [choices.pick([Content.form, Content.ndjson, Content.none]), blank + bytes, form()],
  ]
  return choices.pick(kinds)()
}

export function request(choices: Choices, receivedMs: number): Input {
  choices.calm = choices.pick([4, 1, 4])
  const endpoint = KINDS[choices.pick([0, 3, 1, 2, 0, 3])] as Endpoint
  const isLines = choices.next(6) === 5
  choices.isOneLine = isLines
  const make = isLines ? lines : payload
  const clean = space(choices) + make(endpoint, choices, receivedMs) + space(choices)
  const inner = choices.once(3) ? mutated(clean, choices) : clean
  const more = parameters(choices, endpoint)
  const [content, outer, query] =
    isLines && !choices.once(4)
      ? ([choices.pick([Content.ndjson, Content.sniff]), inner, more.join('&')] as const)
      : wrapped(inner, choices, more)
  const body = choices.once(8) ? mutated(outer, choices) : outer
  return { endpoint, content, body: latin1(body), query: choices.once(16) ? mutated(query, choices) : query }
}

const PEERS = [
  { ipJson: '"203.0.113.9"', uaJson: '"curl/8"' },
  { ipJson: 'null', uaJson: 'null' },
  { ipJson: '"2001:db8::1"', uaJson: JSON.stringify('Mözilla "5" \n😀') },
]
const RECEIVED_MS = [NOW_MS, NOW_MS + 1, 0, 432_000_000, 253_402_300_799_999, 99_999_999_999, 100_000_000_000]

export function context(choices: Choices): RequestContext {
  return {
    receivedMs: choices.pick(RECEIVED_MS),
    requestId: requestId(
      choices.pick(['req7', '01JD0000000000000000000000', '01JD0000000000000000000001', 'a']),
    ),
    peer: choices.pick(PEERS),
    authToken: choices.pick(['', 't', 'good', 'é"', 'x'.repeat(257)]),
    projectId: choices.pick([null, '7', 'a"\\é\u2028']),
    replayed: choices.once(4),
  }
}
