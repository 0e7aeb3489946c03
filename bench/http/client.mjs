// A load generator of our own for what wrk does not give: a constant rate, and figures over time.
//
//   node client.mjs '{"port","connections","seconds","file","windowMs","rate"?}'
//
// Raw sockets, one request a connection under way. Without `rate` a closed loop: the next request leaves when the answer
// is here. With it an open loop: request i is meant to leave at start + i / rate, whatever the server does; when no
// connection is free it waits here, and its latency is counted from the time at which it was meant to leave (what wrk2
// calls corrected for coordinated omission). The open loop spins on its core, because timers are right to a millisecond
// only. Prints one line of JSON, whose latencies are counts of classes (histogram.mjs): load.mjs adds them up.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { Histogram } from './histogram.mjs'

const { port, connections, seconds, file, windowMs, rate } = JSON.parse(process.argv[2])
/** The open loop waits this long for answers that are under way at its end. */
const DRAIN_MS = 2000
const HEAD_END = '\r\n\r\n'

function readRequests(path) {
  const bytes = readFileSync(path)
  const requests = []
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf(10, at)
    const length = Number(bytes.latin1Slice(at, lineEnd))
    requests.push(bytes.subarray(lineEnd + 1, lineEnd + 1 + length))
    at = lineEnd + 1 + length
  }
  return requests
}

const requests = readRequests(file)
const all = new Histogram()
const windows = []
let next = 0
let errors = 0
let startMs = 0
let stopped = false

/** Answered at `nowMs`; latency from `sinceMs`. */
function note(nowMs, sinceMs) {
  const us = (nowMs - sinceMs) * 1000
  all.record(us)
  const index = Math.floor((nowMs - startMs) / windowMs)
  const window = (windows[index] ??= new Histogram())
  window.record(us)
}

class Connection {
  /** Bytes of one answer; answers of one server to good requests are all of one length. */
  #answerBytes = 0
  #received = []
  #receivedBytes = 0
  /** When the request under way was meant to leave, 0 for none. */
  sinceMs = 0

  constructor(onFree) {
    this.onFree = onFree
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (chunk) => this.#data(chunk))
    this.socket.on('error', () => errors++)
    this.opened = new Promise((resolve) => this.socket.once('connect', resolve))
  }

  send(sinceMs) {
    this.sinceMs = sinceMs
    this.socket.write(requests[next++ % requests.length])
  }

  #data(chunk) {
    if (this.#receivedBytes === 0 && chunk.length === this.#answerBytes) return this.#answered(chunk)
    this.#received.push(chunk)
    this.#receivedBytes += chunk.length
    const bytes = Buffer.concat(this.#received)
    const head = bytes.indexOf(HEAD_END)
    if (head < 0) return
    const length = /\r\ncontent-length: (\d+)/i.exec(bytes.latin1Slice(0, head + 2))
    if (length === null) throw new Error(`an answer without Content-Length: ${bytes.latin1Slice(0, head)}`)
    const whole = head + HEAD_END.length + Number(length[1])
    if (bytes.length < whole) return
    this.#received = []
    this.#receivedBytes = 0
    this.#answerBytes = whole
    this.#answered(bytes)
  }

  #answered(bytes) {
    // `HTTP/1.1 200`
    if (bytes[9] !== 0x32) errors++
    if (!stopped) note(performance.now(), this.sinceMs)
    this.sinceMs = 0
    this.onFree(this)
  }
}

function closedLoop(pool) {
  for (const connection of pool) {
    connection.onFree = () => {
      if (!stopped) connection.send(performance.now())
    }
    connection.onFree()
  }
  setTimeout(finish, seconds * 1000)
}

function openLoop(pool) {
  const free = [...pool]
  const total = Math.floor(rate * seconds)
  let sent = 0
  for (const connection of pool) connection.onFree = () => free.push(connection)
  const turn = () => {
    const nowMs = performance.now()
    while (sent < total && free.length > 0) {
      const dueMs = startMs + (sent / rate) * 1000
      if (dueMs > nowMs) break
      sent++
      free.pop().send(dueMs)
    }
    const isDrained = sent === total && free.length === pool.length
    if (isDrained || nowMs > startMs + seconds * 1000 + DRAIN_MS) return finish(total - all.total)
    setImmediate(turn)
  }
  turn()
}

/** @param unanswered of an open loop: requests that were due and have no answer */
function finish(unanswered = 0) {
  stopped = true
  const figures = {
    errors,
    unanswered,
    duration_us: Math.round((performance.now() - startMs) * 1000),
    all: all.sparse(),
    windows: Array.from(windows, (window) => window?.sparse() ?? []),
  }
  process.stdout.write(JSON.stringify(figures), () => process.exit(0))
}

const opened = Array.from({ length: connections }, () => new Connection(() => {}))
await Promise.all(opened.map((connection) => connection.opened))
startMs = performance.now()
if (rate === undefined) closedLoop(opened)
else openLoop(opened)
