// Sends events as clients do, over connections that are kept.
import { Agent, request as httpRequest } from 'node:http'

/** Events of a request in each mode, and the request they make. */
export const MODES = {
  form: {
    events: 1,
    requestOf: ([event]) => ({
      method: 'POST',
      path: '/track?ip=0',
      type: 'application/x-www-form-urlencoded',
      body: `data=${encodeURIComponent(base64(event))}`,
    }),
  },
  json: {
    events: 50,
    requestOf: (events) => ({
      method: 'POST',
      path: '/track?ip=0',
      type: 'application/json',
      body: JSON.stringify(events),
    }),
  },
  get: {
    events: 1,
    requestOf: ([event]) => ({
      method: 'GET',
      path: `/track?ip=0&data=${encodeURIComponent(base64(event))}`,
    }),
  },
}

const TRIES_MAX = 20
const RETRY_MS_DEFAULT = 1000
const REPLY_MS_MAX = 60_000

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64')

export class Sender {
  constructor(url, connections) {
    this.url = new URL(url)
    this.agent = new Agent({ keepAlive: true, maxSockets: connections })
    this.result = { requests: 0, accepted: 0, refused: 0, failed: 0, retries: 0 }
    this.latenciesMs = []
  }

  /**
   * Sends one request until it is answered with something else than 503: that alone says that nothing was kept, so to
   * send again cannot double it. `failed` events had no answer: whether they were kept is not known.
   */
  async send(request, events) {
    for (let tries = 1; ; tries++) {
      const start = performance.now()
      const reply = await this.exchange(request).catch((error) => ({ status: 0, body: error.message }))
      this.result.requests++
      if (reply.status === 503 && tries < TRIES_MAX) {
        this.result.retries++
        await pause(Number(reply.retryAfter) * 1000 || RETRY_MS_DEFAULT)
        continue
      }
      this.latenciesMs.push(performance.now() - start)
      return this.count(reply, events)
    }
  }

  close() {
    this.agent.destroy()
  }

  count({ status, body }, events) {
    if (status === 200 && body === '1') this.result.accepted += events
    else if (status === 0) this.result.failed += events
    else this.result.refused += events
    if (body !== '1') this.result.firstProblem ??= `${status || 'no answer'}: ${body.slice(0, 200)}`
  }

  exchange({ method, path, type, body }) {
    const { hostname, port } = this.url
    const headers =
      body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) }
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        hostname,
        port,
        method,
        path: this.url.pathname.replace(/\/$/, '') + path,
        headers,
        agent: this.agent,
        timeout: REPLY_MS_MAX,
      })
      request.on('error', reject)
      request.on('timeout', () => request.destroy(new Error('no answer in time')))
      request.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (piece) => (text += piece))
        response.on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode, body: text, retryAfter: response.headers['retry-after'] })
        })
      })
      request.end(body)
    })
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
