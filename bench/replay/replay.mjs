// Replays a web server's access log as events:
//
//   node bench/replay/replay.mjs --url http://127.0.0.1:8080 --file access.log.gz
//     [--mode form|json|get] [--lines N] [--connections 25] [--token replay] [--json]
//
// form: base64 in forms, one event a request; json: 50 events a request; get: base64 in the query. `--json` prints the
// summary for programs. Exit code 1 when an event was not accepted.
import { parseArgs } from 'node:util'
import { eventOf, readLines } from './lines.mjs'
import { MODES, Sender } from './send.mjs'

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    file: { type: 'string' },
    mode: { type: 'string', default: 'form' },
    lines: { type: 'string', default: 'Infinity' },
    connections: { type: 'string', default: '25' },
    token: { type: 'string', default: 'replay' },
    json: { type: 'boolean', default: false },
  },
})
const mode = MODES[values.mode]
const linesMax = Number(values.lines)
const connections = Number(values.connections)
if (
  values.url === undefined ||
  values.file === undefined ||
  mode === undefined ||
  !(linesMax >= 1 && connections >= 1)
) {
  console.error(
    'usage: node bench/replay/replay.mjs --url URL --file LOG [--mode form|json|get] [--lines N] [--connections N] [--token T] [--json]',
  )
  process.exit(2)
}

const PROGRESS_MS = 1000
const sender = new Sender(values.url, connections)
const counts = { lines: 0, skipped: 0, events: 0 }
const start = performance.now()
const progress = setInterval(() => {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r${counts.lines} lines read, ${sender.result.accepted} events accepted`)
}, PROGRESS_MS)

/** As many requests under way as there are connections; the log is read no faster than it is sent. */
async function replay() {
  const underWay = new Set()
  for await (const events of groups()) {
    const sent = sender.send(mode.requestOf(events), events.length).finally(() => underWay.delete(sent))
    underWay.add(sent)
    if (underWay.size >= connections) await Promise.race(underWay)
  }
  await Promise.all(underWay)
}

async function* groups() {
  let group = []
  for await (const line of readLines(values.file, linesMax)) {
    counts.lines++
    const event = eventOf(line, values.token)
    if (event === undefined) {
      counts.skipped++
      continue
    }
    counts.events++
    group.push(event)
    if (group.length < mode.events) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

function summaryOf(seconds) {
  const sorted = sender.latenciesMs.toSorted((one, other) => one - other)
  const at = (share) => Number((sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(2))
  return {
    mode: values.mode,
    ...counts,
    ...sender.result,
    seconds: Number(seconds.toFixed(2)),
    eventsPerSecond: Math.round(counts.events / seconds),
    latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
  }
}

function show({ latencyMs, ...summary }) {
  console.log(`${summary.mode}: ${summary.lines} lines, ${summary.skipped} of them no log lines`)
  console.log(
    `${summary.events} events in ${summary.requests} requests, ${summary.seconds} s: ${summary.eventsPerSecond} events/s`,
  )
  console.log(
    `accepted ${summary.accepted}, refused ${summary.refused}, without an answer ${summary.failed}, sent again after 503 ${summary.retries}`,
  )
  console.log(
    `a request took ${latencyMs.p50} ms (median), ${latencyMs.p99} ms (p99), ${latencyMs.max} ms (most)`,
  )
  if (summary.firstProblem !== undefined) console.log(`first problem: ${summary.firstProblem}`)
}

await replay()
clearInterval(progress)
sender.close()
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
const summary = summaryOf((performance.now() - start) / 1000)
if (values.json) console.log(JSON.stringify(summary))
else show(summary)
process.exitCode = summary.accepted === summary.events ? 0 : 1
