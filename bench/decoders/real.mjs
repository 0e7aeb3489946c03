// Payloads that were not made for a benchmark: the lines of a web server's access log as events, and what real SDKs sent.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { eventOf, readLines } from '../replay/lines.mjs'

const vectors = (name) => fileURLToPath(new URL(`../../__test__/vectors/${name}`, import.meta.url))
/** An excerpt of 200 lines; SLUICEGATE_REPLAY_FILE names a whole log. */
const ACCESS_LOG = process.env.SLUICEGATE_REPLAY_FILE ?? vectors('access.log')
const LINES_MAX = 10_000
const TOKEN = 'd41d8cd98f00b204e9800998ecf8427e'

/** @returns {Promise<string[]>} the events' JSON texts */
export async function accessLogEvents() {
  const events = []
  for await (const line of readLines(ACCESS_LOG, LINES_MAX)) {
    const event = eventOf(line, TOKEN)
    if (event !== undefined) events.push(JSON.stringify(event))
  }
  return events
}

const CONTENT = { 'application/x-www-form-urlencoded': 1, 'application/json': 2 }
/** A heading between clients, framed in `=`; a line of `=` alone (__test__/vectors/wire-captures.ts). */
const DECORATION = /^=+(?: .*)?$/gm
const GZIP = /^\[gzip \d+ bytes\] /

function captureOf(part) {
  const headEnd = part.indexOf('\n\n')
  const [requestLine, ...headers] = part.slice(part.indexOf('\n') + 1, headEnd).split('\n')
  const [path, query = ''] = requestLine.split(' ')[1].split('?')
  const type = headers.map((line) => /^content-type: ([^;]+)/i.exec(line)?.[1]).find(Boolean)
  const body = Buffer.from(part.slice(headEnd).trim().replace(GZIP, ''))
  const content = body.length === 0 ? 4 : CONTENT[type]
  const id = part.slice(0, part.indexOf('\n'))
  return { id, endpoint: path.replaceAll('/', ''), content, query, body }
}

/** Ids of those whose text has to be mended, which our rivals do not. */
function repairedIds() {
  const lines = readFileSync(vectors('wire-captures.jsonl'), 'utf8').trim().split('\n')
  const isRepaired = ({ queue }) =>
    queue.some(({ flags }) => flags.some((flag) => flag.endsWith('_repaired')))
  return lines.map((line) => JSON.parse(line)).flatMap((one) => (isRepaired(one) ? [one.id] : []))
}

/** Requests to /track of the JavaScript, Python, PHP, Ruby and Go SDKs, inflated where they were compressed. */
export function recordedRequests() {
  const text = readFileSync(vectors('wire-captures.txt'), 'utf8').replaceAll(DECORATION, '')
  const requests = text.split(/^--- /m).slice(1).map(captureOf)
  const repaired = repairedIds()
  const isFit = ({ id, endpoint, content }) =>
    endpoint === 'track' && content !== undefined && !repaired.includes(id)
  return requests.filter(isFit)
}
