/** Connections: pipelining, keep-alive, the limit, peers that do not read, draining, closing. docs/PROTOCOL.md 4.3. */
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/clock.js'
import { SLACK_CONNECTIONS } from '../../src/http/connections.js'
import { EVENT, NOW_MS } from '../decode/harness.js'
import {
  chunk,
  CHUNKED,
  Client,
  GZIP,
  type Harness,
  JSON_BODY,
  JSON_ORIGIN,
  ORIGIN,
  requestBytes,
  send,
  startIngest,
  until,
} from './support.js'

let harness: Harness
const clients: Client[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await harness.close()
})

async function open(): Promise<Client> {
  const client = await Client.open(harness.port)
  clients.push(client)
  return client
}

const json = JSON.stringify(EVENT)
const post = (path = '/track', body = json): Buffer => requestBytes(path, { headers: JSON_ORIGIN, body })
const UNAVAILABLE = '{"error":"unavailable, retry later","status":0}'

describe('pipelining (R10)', () => {
  test('a hundred requests in one packet get a hundred replies in their order', async () => {
    harness = await startIngest()
    const client = await open()
    const requests = Array.from({ length: 100 }, (_, n) =>
      n % 3 === 0
        ? post('/track?verbose=1', JSON.stringify({ ...EVENT, n }))
        : n % 3 === 1
          ? requestBytes(`/track?data=${encodeURIComponent(JSON.stringify({ ...EVENT, n }))}`)
          : post('/track?verbose=1', JSON.stringify([{ n }])),
    )
    client.write(...requests)
    for (let n = 0; n < 100; n++) {
      const expected = ['{"error":null,"status":1}', '1', '{"error":"event, missing","status":0}'][n % 3]
      expect([n, (await client.reply()).body]).toEqual([n, expected])
    }
    const kept = harness.log.envelopes.map(({ record }) => (record as { n: number }).n)
    for (const kind of [0, 1]) {
      const sent = Array.from({ length: 100 }, (_, n) => n).filter((n) => n % 3 === kind)
      expect(kept.filter((n) => n % 3 === kind)).toEqual(sent)
    }
  })

  test('a reply that is ready early waits for the one before it', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await open()
    client.write(post(), requestBytes('/nope'))
    await until(() => harness.log.waitingCommits === 1)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(client.text).toBe('')
    harness.log.release()
    expect([(await client.reply()).status, (await client.reply()).status]).toEqual([200, 404])
  })
})

describe('keep-alive', () => {
  test('R10: an idle connection is kept for 80 s by default, and says so', async () => {
    harness = await startIngest()
    const client = await open()
    client.write(post())
    expect((await client.reply()).headers).toMatchObject({
      connection: 'keep-alive',
      'keep-alive': 'timeout=80',
    })
  })

  test('a refusal that read its request leaves the connection open', async () => {
    harness = await startIngest()
    const client = await open()
    harness.log.state = 'full'
    client.write(post())
    expect((await client.reply()).status).toBe(503)
    harness.log.state = 'writable'
    client.write(post())
    expect((await client.reply()).body).toBe('1')
  })

  test('a client that shuts its side down after the request still gets the reply (P2)', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await open()
    client.socket.end(post())
    await until(() => harness.log.waitingCommits === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    harness.log.release()
    expect((await client.reply()).body).toBe('1')
    await client.closed()
  })
})

describe('the connection limit (P2)', () => {
  test('a connection beyond it is answered 503 with Retry-After and CORS, then closed', async () => {
    harness = await startIngest({ config: { connectionsMax: 2 } })
    const [first, second] = [await open(), await open()]
    const third = await open()
    third.write(post())
    const refused = await third.reply()
    expect([refused.status, refused.body]).toEqual([503, UNAVAILABLE])
    expect(refused.headers['retry-after']).toMatch(/^\d+$/)
    expect(refused.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN.Origin,
      connection: 'close',
    })
    await third.closed()
    expect(third.error).toBeUndefined()

    const fourth = await open()
    fourth.write(post('/import'))
    expect((await fourth.reply()).body).toBe(
      '{"code":503,"error":"unavailable, retry later","status":"Service Unavailable"}',
    )
    for (const client of [first, second]) {
      client!.write(post())
      expect((await client!.reply()).body).toBe('1')
    }
    expect(harness.ingest.counts.refusedConnections).toBe(2)
    expect(harness.log.values.length).toBe(2)
  })

  test('its body is read before the connection ends, so that the reply survives', async () => {
    harness = await startIngest({ config: { connectionsMax: 1 } })
    await open()
    const beyond = await open()
    const request = post('/track', json.padEnd(3_000_000))
    for (let at = 0; at < request.length; at += 1_000_000) {
      await new Promise((resolve) => beyond.socket.write(request.subarray(at, at + 1_000_000), resolve))
    }
    expect((await beyond.reply()).status).toBe(503)
    await beyond.closed()
    expect(beyond.error).toBeUndefined()
  })

  test('when others leave there is room again, whatever the refused ones do', async () => {
    harness = await startIngest({ config: { connectionsMax: 1 } })
    const first = await open()
    await open()
    await open()
    await until(() => harness.ingest.counts.connections === 3)
    first.destroy()
    await until(() => harness.ingest.counts.connections === 2)
    const next = await open()
    next.write(post())
    expect((await next.reply()).body).toBe('1')
  })

  test('P7: those waiting to be refused are bounded, too: of more at once the last are closed', async () => {
    harness = await startIngest({ config: { connectionsMax: 1 } })
    const all = await Promise.all(Array.from({ length: SLACK_CONNECTIONS + 3 }, () => open()))
    await until(() => harness.ingest.counts.droppedConnections === 2)
    await until(() => all.filter(({ ended }) => ended).length === 2)
    expect(harness.ingest.counts.connections).toBe(SLACK_CONNECTIONS + 1)
    expect(harness.ingest.counts.refusedConnections).toBe(SLACK_CONNECTIONS)
  })

  test('P2: those that say nothing give way after a second: whoever asks then is answered 503', async () => {
    const clock = new ManualClock(NOW_MS)
    harness = await startIngest({ config: { connectionsMax: 1 }, clock })
    const asking = [await open()]
    asking.push(await open())
    await until(() => harness.ingest.counts.connections === 2)
    // It has begun to ask: its head is not whole yet.
    asking[1]!.write('POST /track HTTP/1.1\r\n')
    const silent = await Promise.all(Array.from({ length: SLACK_CONNECTIONS - 1 }, () => open()))
    await until(() => harness.ingest.counts.connections === SLACK_CONNECTIONS + 1)
    clock.advance(1000)
    for (let n = 0; n < 3; n++) {
      const reply = await send(harness.port, '/track', { headers: JSON_ORIGIN, body: json })
      expect([reply.status, reply.headers['access-control-allow-origin']]).toEqual([503, ORIGIN.Origin])
    }
    await until(() => silent.some(({ ended }) => ended))
    asking[1]!.write(post().subarray('POST /track HTTP/1.1\r\n'.length))
    expect((await asking[1]!.reply()).status).toBe(503)
    asking[0]!.write(post())
    expect((await asking[0]!.reply()).body).toBe('1')
    expect(harness.ingest.counts.droppedConnections).toBe(0)
  })
})

describe('a peer that does not read (P7)', () => {
  test('is not listened to any longer, and dropped after a while; its memory is given back', async () => {
    harness = await startIngest({ config: { bodyTimeoutMs: 200 }, clock: ticking() })
    const client = await open()
    client.socket.pause()
    // Each reply is some 180 kB, each request four.
    const request = post('/import?strict=1', `[${Array.from({ length: 2000 }, () => '1').join(',')}]`)
    for (let n = 0; n < 400; n++) client.socket.write(request)
    await until(() => harness.budget.usedBytes > 100_000)
    // The kernel holds some replies, and node:http hears of it only after some pieces of input: those were taken, and no more.
    expect(harness.ledger.all.received).toBeLessThan(100 * 2000)
    await until(() => harness.ingest.counts.connections === 0, 10_000)
    expect(harness.budget.usedBytes).toBe(0)
    expect((await send(harness.port, '/track', { headers: JSON_BODY, body: json })).body).toBe('1')
  })

  test('what waits for it is taken from the budget; when there is none left it is dropped', async () => {
    harness = await startIngest({ budgetBytes: 100_000 })
    const client = await open()
    client.socket.pause()
    const request = post('/import?strict=1', `[${Array.from({ length: 2000 }, () => '1').join(',')}]`)
    for (let n = 0; n < 100; n++) client.socket.write(request)
    await until(() => harness.ingest.counts.connections === 0, 10_000)
    expect(harness.budget.usedBytes).toBe(0)
  })
})

/** A clock that goes on by itself. */
function ticking() {
  return { nowMs: () => 1_795_500_000_000, monoMs: () => performance.now() }
}

describe('draining', () => {
  test('every reply closes its connection: good, bad, refused', async () => {
    harness = await startIngest()
    const kept = await open()
    kept.write(post())
    expect((await kept.reply()).headers['connection']).toBe('keep-alive')
    harness.ingest.drain()
    kept.write(post())
    expect(await kept.reply()).toMatchObject({ status: 200, body: '1', headers: { connection: 'close' } })
    await kept.closed()
    for (const request of [
      requestBytes('/nope'),
      requestBytes('/track', { method: 'PUT' }),
      post('/flags'),
    ]) {
      const client = await open()
      client.write(request)
      expect((await client.reply()).headers['connection']).toBe('close')
      await client.closed()
    }
  })
})

describe('draining with requests pipelined behind a reply that is ready while they are parsed', () => {
  test.each([
    ['gzip that is invalid', requestBytes('/track', { headers: GZIP, body: 'no gzip' })],
    ['a small endpoint', requestBytes('/flags')],
    ['a preflight', requestBytes('/track', { method: 'OPTIONS', headers: ORIGIN })],
    ['a method that is not allowed', requestBytes('/track', { method: 'PUT' })],
  ])('%s: all are answered, and the last reply closes the connection', async (_name, first) => {
    harness = await startIngest()
    harness.ingest.drain()
    const client = await open()
    client.write(Buffer.concat([first, post(), post()]))
    const replies = [await client.reply(), await client.reply(), await client.reply()]
    expect(replies.map(({ headers }) => headers['connection'])).toEqual(['keep-alive', 'keep-alive', 'close'])
    expect(replies.slice(1).map(({ body }) => body)).toEqual(['1', '1'])
    await client.closed()
    expect(harness.log.envelopes).toHaveLength(2)
  })
})

/** node:http ends the process when a reply is given behind one that has closed the connection. */
describe('behind a reply that closes the connection', () => {
  const refused = requestBytes('/track', { headers: { 'Content-Type': 'multipart/form-data' }, body: 'abc' })

  test('requests in the same packet are neither kept nor answered', async () => {
    harness = await startIngest()
    const client = await open()
    client.write(Buffer.concat([post(), refused, post(), post()]))
    expect((await client.reply()).body).toBe('1')
    expect(await client.reply()).toMatchObject({ status: 415, headers: { connection: 'close' } })
    await client.closed()
    expect(harness.log.envelopes).toHaveLength(1)
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('nor are those that come while its own body is read away', async () => {
    harness = await startIngest()
    const client = await open()
    client.write(refused.subarray(0, -1))
    expect((await client.reply()).status).toBe(415)
    client.write(Buffer.concat([refused.subarray(-1), post('/track', '1'.repeat(200_000)), post()]))
    await client.closed()
    expect(harness.log.envelopes).toHaveLength(0)
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('nor are those that come while it waits for replies before it', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await open()
    client.write(Buffer.concat([post(), refused]))
    await until(() => harness.log.waitingCommits === 1)
    client.write(post())
    await until(() => harness.ingest.counts.connections === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    harness.log.release()
    expect((await client.reply()).body).toBe('1')
    expect((await client.reply()).status).toBe(415)
    await client.closed()
    expect(harness.log.envelopes).toHaveLength(1)
  })

  test.each<[string, boolean, Buffer]>([
    ['is refused', false, refused],
    ['is the last while draining', true, post()],
  ])('P7: nothing more is read while one that %s waits for replies before it', async (_, drains, last) => {
    harness = await startIngest()
    harness.log.held = true
    const client = await open()
    client.write(post())
    await until(() => harness.log.waitingCommits === 1)
    if (drains) harness.ingest.drain()
    client.write(last)
    await new Promise((resolve) => setTimeout(resolve, 50))
    // What a second one waits for is not the log.
    if (drains) client.write(requestBytes('/flags'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const more = requestBytes('/flags', { headers: { 'X-Long': 'x'.repeat(4000) } })
    for (let n = 0; n < 32; n++) client.write(Buffer.concat(Array.from({ length: 256 }, () => more)))
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(client.socket.writableLength).toBeGreaterThan(8 * 2 ** 20)
    harness.log.release()
    expect((await client.reply()).body).toBe('1')
    client.destroy()
  })

  const tooLarge = Buffer.concat([
    requestBytes('/track', { method: 'POST', headers: CHUNKED }),
    Buffer.from(chunk('x'.repeat(2000)) + chunk('')),
  ])
  const lasts = [
    requestBytes('/track'),
    requestBytes('/flags'),
    requestBytes('/track', { method: 'POST', headers: { ...JSON_BODY, 'Content-Length': '0' } }),
  ]
  test.each([
    ['an unknown path', 404, post('/nope')],
    [
      'a method that is not allowed',
      405,
      requestBytes('/track', { method: 'PUT', headers: JSON_BODY, body: json }),
    ],
    ['a type that is not read', 415, refused],
    ['a body that is too large', 413, tooLarge],
  ])('%s (%i): whatever follows, the server lives', async (_name, status, first) => {
    harness = await startIngest({ config: { bodyLimitBytes: 1024 } })
    for (const second of [
      post(),
      post('/record'),
      requestBytes('/track', { headers: GZIP, body: 'no gzip' }),
    ]) {
      for (const last of lasts) {
        const client = await open()
        client.write(Buffer.concat([first, second, last, last]))
        expect((await client.reply()).status).toBe(status)
        await client.closed()
        expect(client.text).toBe('')
      }
    }
    expect((await send(harness.port, '/track', { headers: JSON_BODY, body: json })).body).toBe('1')
    expect(harness.log.envelopes).toHaveLength(1)
  })

  test('many connections with more on its way in each turn: the server lives', async () => {
    harness = await startIngest()
    const one = async (): Promise<void> => {
      for (let connection = 0; connection < 20; connection++) {
        const client = await Client.open(harness.port)
        client.write(Buffer.concat([refused, post(), post()]))
        for (let n = 0; n < 12; n++) {
          await new Promise(setImmediate)
          client.write(post('/track', '[]'))
        }
        await client.closed()
      }
    }
    await Promise.all(Array.from({ length: 16 }, one))
    expect((await send(harness.port, '/track', { headers: JSON_BODY, body: json })).body).toBe('1')
  })
})

describe('closing', () => {
  test('what is in flight is answered, idle and unused connections are closed, new ones refused', async () => {
    harness = await startIngest()
    const [idle, unused, busy, late] = [await open(), await open(), await open(), await open()]
    const later = await open()
    idle!.write(post())
    await idle!.reply()
    harness.log.held = true
    busy!.write(post())
    late!.write(post().subarray(0, -10))
    later.write(post().subarray(0, 20))
    await until(() => harness.log.waitingCommits === 1)
    const closing = harness.close()
    await Promise.all([idle!.closed(), unused!.closed()])
    await expect(Client.open(harness.port)).rejects.toThrow('ECONNREFUSED')
    harness.log.release()
    expect(await busy!.reply()).toMatchObject({ status: 200, body: '1', headers: { connection: 'close' } })
    late!.write(post().subarray(-10))
    expect(await late!.reply()).toMatchObject({ status: 200, body: '1', headers: { connection: 'close' } })
    later.write(post().subarray(20))
    expect(await later.reply()).toMatchObject({ status: 200, body: '1', headers: { connection: 'close' } })
    await closing
    await until(() => harness.ingest.counts.connections === 0)
  })

  test('P2: a body that never ends is answered 503 with CORS before its connection is closed', async () => {
    harness = await startIngest({ closeMsMax: 200 })
    const client = await open()
    const small = await open()
    client.write(post().subarray(0, -10))
    small.write('POST /record HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc')
    await until(() => harness.ingest.counts.connections === 2 && harness.budget.usedBytes > 0)
    const closing = harness.close()
    expect(await client.reply()).toMatchObject({
      status: 503,
      headers: { 'retry-after': '5', 'access-control-allow-origin': ORIGIN.Origin },
      body: UNAVAILABLE,
    })
    expect((await small.reply()).status).toBe(503)
    await Promise.all([client.closed(), small.closed()])
    await closing
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('what never ends is destroyed after a while', async () => {
    harness = await startIngest({ closeMsMax: 300 })
    harness.log.held = true
    const client = await open()
    client.write(post())
    await until(() => harness.log.waitingCommits === 1)
    const startedMs = performance.now()
    await harness.close()
    expect(performance.now() - startedMs).toBeGreaterThan(250)
    await client.closed()
    harness.log.release()
    await until(() => harness.budget.usedBytes === 0)
    expect(harness.lines).toEqual([])
  })
})
