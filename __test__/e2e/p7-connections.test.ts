/** P7 and P2 for connections: slow ones, too many of them, ones that only sit there. */
import { describe, expect, it } from 'vitest'
import { exchange, headBytes, RawConnection, type Reply, requestBytes } from '../support/http.js'
import { event, get, JSON_TYPE, postJson } from './support/events.js'
import { inTime, type ServerProcess, startServer, waitFor, workspace } from './support/server.js'

const ORIGIN = { Origin: 'https://shop.example' }
const SLOW = 150
const BODY_TIMEOUT_MS = 4000

async function expectServed(server: ServerProcess): Promise<number> {
  const started = performance.now()
  const { status, body } = await exchange(server.ingest, postJson('/track', event('good')))
  expect(`${status} ${body.toString()}`).toBe('200 1')
  return performance.now() - started
}

const openMany = (ingest: string, count: number): Promise<RawConnection[]> =>
  Promise.all(Array.from({ length: count }, () => RawConnection.open(ingest)))

const connectionsOf = async (server: ServerProcess): Promise<number> =>
  (await server.metrics()).get('sluicegate_http_connections')!

/** A byte at a time until the server has had enough. */
async function drip(connection: RawConnection, bytes: Buffer): Promise<Reply> {
  let at = 0
  const timer = setInterval(() => connection.write(bytes.subarray(at, ++at)), 100)
  try {
    return await connection.reply()
  } finally {
    clearInterval(timer)
  }
}

describe('P7: slow clients', () => {
  it(`${SLOW} heads and ${SLOW} bodies, a byte at a time, are 408 and closed; good events are served meanwhile`, async () => {
    const server = await startServer({
      dataDir: workspace(),
      args: ['--head-timeout-ms', '1500', '--body-timeout-ms', String(BODY_TIMEOUT_MS)],
    })
    await expectServed(server)
    const before = (await server.status()).memory['used_bytes']!
    const heads = await openMany(server.ingest, SLOW)
    const bodies = await openMany(server.ingest, SLOW)
    const head = headBytes({ method: 'POST', target: '/track', headers: ORIGIN })
    const withBody = headBytes({
      method: 'POST',
      target: '/track',
      headers: { ...ORIGIN, 'Content-Type': JSON_TYPE, 'Content-Length': '10000' },
    })
    const slowHeads = heads.map((connection) => drip(connection, head))
    for (const connection of bodies) connection.write(withBody)
    const started = performance.now()
    const slowBodies = bodies.map((connection) => drip(connection, Buffer.alloc(9999, ' ')))
    const latencies: number[] = []
    for (let n = 0; n < 20; n++) latencies.push(await expectServed(server))

    const [headReplies, bodyReplies] = await inTime(
      'all answered',
      Promise.all([Promise.all(slowHeads), Promise.all(slowBodies)]),
      15_000,
    )
    // Not only by the time limit that node:http has for whole requests, 1.5 s + 2 * 4 s.
    expect(performance.now() - started).toBeLessThan(2 * BODY_TIMEOUT_MS)
    for (const reply of [...headReplies, ...bodyReplies]) {
      expect(reply.status).toBe(408)
      expect(reply.headers.get('connection')).toBe('close')
      expect(JSON.parse(reply.body.toString())).toEqual({ error: 'request timeout', status: 0 })
    }
    // A body's head was understood: its refusal has CORS (R6).
    for (const { headers } of bodyReplies) {
      expect(headers.get('access-control-allow-origin')).toBe(ORIGIN.Origin)
    }
    await inTime('all closed', Promise.all([...heads, ...bodies].map(({ closed }) => closed)), 10_000)
    const given = async () => ((await server.status()).memory['used_bytes']! <= before ? true : undefined)
    await waitFor(given)
    await waitFor(async () => ((await connectionsOf(server)) === 0 ? true : undefined))
    expect(latencies.toSorted((a, b) => a - b)[10]).toBeLessThan(BODY_TIMEOUT_MS / 2)
  })
})

describe('P2, P7: the connection limit', () => {
  const LIMIT = 40
  const args = ['--connections-max', String(LIMIT)]

  it('whoever comes beyond it reads a 503 with Retry-After and CORS; who is in is served; room is found again', async () => {
    const server = await startServer({ dataDir: workspace(), args })
    const inside = await openMany(server.ingest, LIMIT)
    for (const connection of inside) {
      connection.write(requestBytes(get('/track', event('first'))))
      expect((await connection.reply()).status).toBe(200)
    }
    for (const path of ['/track', '/engage', '/groups', '/import?strict=1', '/import']) {
      const reply = await exchange(server.ingest, postJson(path, event('beyond'), ORIGIN))
      expect(reply.status, path).toBe(503)
      expect(reply.headers.get('retry-after'), path).toMatch(/^[1-9]\d*$/)
      expect(reply.headers.get('access-control-allow-origin'), path).toBe(ORIGIN.Origin)
      const body = JSON.parse(reply.body.toString()) as Record<string, unknown>
      expect(body['error'], path).toBe('unavailable, retry later')
      expect(body['code'], path).toBe(path.startsWith('/import') ? 503 : undefined)
    }
    // A body that is still coming does not destroy the answer.
    const large = await exchange(
      server.ingest,
      postJson('/track', event('large', { pad: 'x'.repeat(2_000_000) })),
    )
    expect(large.status).toBe(503)
    for (const connection of inside) {
      connection.write(requestBytes(get('/track', event('second'))))
      expect((await connection.reply()).status).toBe(200)
    }
    inside.pop()!.destroy()
    await waitFor(async () => ((await connectionsOf(server)) < LIMIT ? true : undefined))
    await expectServed(server)
    expect((await server.metrics()).get('sluicegate_http_connections_refused_total')).toBe(6)
    for (const connection of inside) connection.destroy()
    const { ledger } = await server.status()
    expect(ledger).toEqual({ received: 2 * LIMIT + 1, accepted: 2 * LIMIT + 1, rejected: 0, ignored: 0 })
  })

  it('those that only sit there are ended by their time limit, and make room', async () => {
    const server = await startServer({
      dataDir: workspace(),
      args: [...args, '--head-timeout-ms', '1000', '--keep-alive-timeout-ms', '1000'],
    })
    const sitting = await openMany(server.ingest, LIMIT)
    for (const connection of sitting.slice(0, LIMIT / 2)) {
      connection.write(requestBytes(get('/track', event('once'))))
      expect((await connection.reply()).status).toBe(200)
    }
    expect((await exchange(server.ingest, postJson('/track', event('beyond')))).status).toBe(503)
    await inTime('all ended', Promise.all(sitting.map(({ closed }) => closed)), 8000)
    await waitFor(async () => ((await connectionsOf(server)) === 0 ? true : undefined))
    await expectServed(server)
  })
})
