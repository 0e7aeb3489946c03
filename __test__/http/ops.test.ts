import { request, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Budget } from '../../src/budget.js'
import { SluicegateError } from '../../src/errors.js'
import { HEAD_BYTES_MAX } from '../../src/http/app.js'
import { createOps, type Ops, type OpsParts, type Readiness } from '../../src/http/ops.js'
import { hostName, isOwnHost } from '../../src/http/ops-host.js'

const READY: Readiness = { ready: true, accepting: true, reason: '' }

let running: Ops | undefined
afterEach(async () => {
  await running?.close()
  running = undefined
})

function partsWith(parts: Partial<OpsParts>): OpsParts {
  return {
    config: { opsHost: '127.0.0.1', opsPort: 0 },
    version: '1.2.3',
    logger: { error: () => {} },
    ready: () => READY,
    status: () => ({ version: '1.2.3', uptime_s: 7 }),
    metrics: { contentType: 'text/plain; version=0.0.4; charset=utf-8', text: async () => 'a_total 1\n' },
    replay: async ({ records }) =>
      records.map(({ offset }) => {
        return { offset, outcome: 'accepted' as const, accepted: 1, rejected: 0, ignored: 0, problems: [] }
      }),
    budget: new Budget(64 * 1024 * 1024),
    ...parts,
  }
}

async function start(parts: Partial<OpsParts> = {}): Promise<URL> {
  running = createOps(partsWith(parts))
  return new URL(await running.listen())
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: Record<string, unknown>
}

function ask(
  address: URL,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const { method = 'GET', headers = {}, body } = options
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: address.hostname, port: address.port, path, method, headers },
      (reply) => {
        let text = ''
        reply.setEncoding('utf8').on('data', (piece: string) => (text += piece))
        reply.on('end', () => {
          const isJson = String(reply.headers['content-type']).includes('json') && text !== ''
          const json = isJson ? (JSON.parse(text) as Record<string, unknown>) : {}
          resolve({ status: reply.statusCode!, headers: reply.headers, text, json })
        })
      },
    )
    outgoing.on('error', reject).end(body)
  })
}

const JSON_TYPE = { 'content-type': 'application/json' }
const replayOf = (records: unknown[]): string => JSON.stringify({ records })
const RECORD = { offset: 4, endpoint: 'track', raw: '{}' }

describe('reading', () => {
  it('answers /health, /ready, /status, /metrics and an index', async () => {
    const address = await start()
    expect((await ask(address, '/health')).json).toEqual({ status: 'ok', version: '1.2.3' })
    expect(await ask(address, '/ready')).toMatchObject({ status: 200, json: READY })
    expect((await ask(address, '/status')).json).toEqual({ version: '1.2.3', uptime_s: 7 })
    const metrics = await ask(address, '/metrics')
    expect(metrics.text).toBe('a_total 1\n')
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    const index = (await ask(address, '/')).json
    const paths = ['/health', '/ready', '/metrics', '/status', '/rejects/replay']
    expect(Object.keys(index['paths'] as object)).toEqual(paths)
    expect((await ask(address, '/health', { method: 'HEAD' })).status).toBe(200)
  })

  it('/ready is 503 while the server should get no requests, and 200 while the log is full', async () => {
    let readiness: Readiness = { ready: false, accepting: true, reason: 'draining' }
    const address = await start({ ready: () => readiness })
    expect(await ask(address, '/ready')).toMatchObject({ status: 503, json: readiness })
    readiness = { ready: true, accepting: false, reason: 'the log is full' }
    expect(await ask(address, '/ready')).toMatchObject({ status: 200, json: readiness })
  })

  it('is never stored by a cache', async () => {
    expect((await ask(await start(), '/status')).headers['cache-control']).toBe('no-store')
  })
})

describe('errors are JSON', () => {
  it('unknown paths and methods', async () => {
    const address = await start()
    expect(await ask(address, '/nothing?x=1')).toMatchObject({ status: 404, json: { code: 'not_found' } })
    const wrong = await ask(address, '/rejects/replay')
    expect(wrong).toMatchObject({ status: 405, json: { code: 'method_not_allowed' } })
    expect(wrong.headers.allow).toBe('POST')
    const posted = await ask(address, '/status?a=1', { method: 'POST' })
    expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD'])
  })

  it('what nobody foresaw is logged, and told without its details', async () => {
    const error = vi.fn<(...args: unknown[]) => void>()
    const logger = { error } as OpsParts['logger']
    const address = await start({
      logger,
      status: () => {
        throw new Error('secret detail')
      },
    })
    const answer = await ask(address, '/status')
    expect(answer.status).toBe(500)
    expect(answer.json['code']).toBe('internal')
    expect(answer.text).not.toContain('secret')
    expect(error).toHaveBeenCalledOnce()
  })

  it('what the caller can act on is told', async () => {
    const address = await start({
      replay: async () => {
        throw new SluicegateError('replay_note', 'replayed.json cannot be written')
      },
    })
    const answer = await ask(address, '/rejects/replay', {
      method: 'POST',
      headers: JSON_TYPE,
      body: replayOf([RECORD]),
    })
    expect(answer).toMatchObject({
      status: 503,
      json: { code: 'replay_note', error: 'replayed.json cannot be written' },
    })
  })
})

describe('pages in a browser get nothing', () => {
  it.each([
    'evil.example',
    'evil.example:8081',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    'intranet',
    'a b',
    '[::2]',
  ])('under the name %s (DNS rebinding)', async (host) => {
    const answer = await ask(await start(), '/status', { headers: { host } })
    expect(answer).toMatchObject({ status: 403, json: { code: 'host_unknown' } })
  })

  it.each(['localhost', 'LOCALHOST:1', '127.0.0.1:99', '[::1]:8081'])('but %s is ours', async (host) => {
    expect((await ask(await start(), '/status', { headers: { host } })).status).toBe(200)
  })

  it('no CORS headers, whatever the origin, on preflights neither', async () => {
    const address = await start()
    const origin = 'https://evil.example'
    const read = await ask(address, '/status', { headers: { origin } })
    const preflight = await ask(address, '/rejects/replay', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    })
    for (const { headers } of [read, preflight]) {
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    }
    expect(preflight.status).not.toBe(204)
  })

  it('nothing can be posted from another origin, nor as a simple request', async () => {
    const replay = vi.fn<OpsParts['replay']>()
    const address = await start({ replay })
    const foreign = { ...JSON_TYPE, origin: 'https://evil.example' }
    const posted = { method: 'POST', body: replayOf([RECORD]) }
    const answer = await ask(address, '/rejects/replay', { ...posted, headers: foreign })
    expect(answer).toMatchObject({ status: 403, json: { code: 'origin_foreign' } })
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const simple = await ask(address, '/rejects/replay', { ...posted, headers: { 'content-type': type } })
      expect(simple.status).toBe(415)
    }
    expect(replay).not.toHaveBeenCalled()
  })

  it('a listener opened to a network answers to addresses and to names without a dot', () => {
    const own = (host: string | undefined, opsHost: string) => isOwnHost(host, opsHost, '::ffff:172.17.0.2')
    expect(own('172.17.0.2:8081', '0.0.0.0')).toBe(true)
    expect(own('192.168.1.5:8081', '::')).toBe(true)
    expect(own('sluicegate:8081', '0.0.0.0')).toBe(true)
    expect(own('evil.example:8081', '0.0.0.0')).toBe(false)
    expect(own('ops.example:8081', 'ops.example')).toBe(true)
    // HTTP/1.0 of a health check; browsers always send it.
    expect(own(undefined, '127.0.0.1')).toBe(true)
  })

  it('a Host is taken apart', () => {
    const hosts = ['[FE80::1]:80', 'Name.', 'a:b', 'a:123456', '', 'user@host', '::1']
    expect(hosts.map(hostName)).toEqual([
      'fe80::1',
      'name',
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ])
  })
})

describe('POST /rejects/replay', () => {
  const post = (address: URL, body: string, headers: Record<string, string> = {}) =>
    ask(address, '/rejects/replay', { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body })

  it('hands the records on and answers what became of them', async () => {
    const replay = vi.fn<OpsParts['replay']>(partsWith({}).replay)
    const address = await start({ replay })
    const rejected = { v: 1, kind: 'rejected', problem: { code: 'x' }, ...RECORD }
    const body = JSON.stringify({ force: true, strict: true, records: [rejected] })
    const answer = await post(address, body)
    expect(answer.status).toBe(200)
    expect(answer.json['results']).toMatchObject([{ offset: 4, outcome: 'accepted' }])
    expect(replay.mock.calls[0]![0]).toEqual(JSON.parse(body))
  })

  it('P10: takes whatever a head can hold as a token: one such record must not keep others out', async () => {
    const address = await start({})
    const records = [{ ...RECORD, token: 'x'.repeat(HEAD_BYTES_MAX) }, RECORD]
    expect(await post(address, replayOf(records))).toMatchObject({ status: 200 })
  })

  it.each([
    ['no JSON', '{'],
    ['no records', '{}'],
    ['an unknown member', '{"records":[],"forced":true}'],
    ['a negative offset', replayOf([{ ...RECORD, offset: -1 }])],
    ['a time that no date can be', replayOf([{ ...RECORD, received_ms: 8.64e15 + 1 }])],
    ['text for test', replayOf([{ ...RECORD, test: 'yes' }])],
    ['a fraction', replayOf([{ ...RECORD, offset: 1.5 }])],
    ['text as an offset', replayOf([{ ...RECORD, offset: '4' }])],
    ['no offset', replayOf([{ endpoint: 'track', raw: '' }])],
    ['an unknown endpoint', replayOf([{ ...RECORD, endpoint: 'rejected' }])],
    ['no text', replayOf([{ offset: 4, endpoint: 'track' }])],
    ['two texts', replayOf([{ ...RECORD, raw_base64: '' }])],
    ['too many', replayOf(Array.from({ length: 1001 }, () => RECORD))],
  ])('refuses %s', async (_what, body) => {
    const replay = vi.fn<OpsParts['replay']>()
    const answer = await post(await start({ replay }), body)
    expect(answer.status).toBe(400)
    expect(answer.json['error']).toEqual(expect.any(String))
    expect(replay).not.toHaveBeenCalled()
  })

  it('takes the memory of a body from the budget, and gives it back (promise P7)', async () => {
    const body = replayOf([RECORD])
    const budget = new Budget(body.length * 3)
    let during = 0
    const address = await start({
      budget,
      replay: async () => {
        during = budget.usedBytes
        return []
      },
    })
    expect((await post(address, body)).status).toBe(200)
    expect(during).toBe(body.length * 3)
    await vi.waitFor(() => expect(budget.usedBytes).toBe(0))
    const refused = await post(address, replayOf([RECORD, RECORD]))
    expect(refused).toMatchObject({ status: 503, json: { code: 'memory' } })
    expect(refused.headers['retry-after']).toBe('1')
    expect(budget.usedBytes).toBe(0)
  })

  it('gives memory back when the sender goes away in the middle of the body', async () => {
    const budget = new Budget(1_000_000)
    const address = await start({ budget })
    const socket = connect(Number(address.port), address.hostname)
    const head = 'POST /rejects/replay HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json'
    socket.write(`${head}\r\nContent-Length: 1000\r\n\r\n{`)
    await vi.waitFor(() => expect(budget.usedBytes).toBe(3000))
    socket.destroy()
    await vi.waitFor(() => expect(budget.usedBytes).toBe(0))
  })

  it('wants to know the length first, and has a limit', async () => {
    const address = await start()
    expect((await post(address, '{}', { 'transfer-encoding': 'chunked' })).status).toBe(411)
    const large = await ask(address, '/rejects/replay', {
      method: 'POST',
      headers: { ...JSON_TYPE, 'content-length': String(17 * 1024 * 1024), expect: '100-continue' },
    }).catch(() => undefined)
    expect(large?.status).toBe(413)
  })
})
