/** What goes wrong before there is a request: docs/PROTOCOL.md 4.2, 4.3, rule R5. */
import { afterEach, describe, expect, test } from 'vitest'
import { EVENT } from '../decode/harness.js'
import {
  CHUNKED,
  Client,
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
let client: Client
afterEach(async () => {
  client?.destroy()
  await harness.close()
})

const json = JSON.stringify(EVENT)
const BAD_REQUEST = '{"error":"bad request","status":0}'

async function ask(...parts: (string | Uint8Array)[]) {
  client = await Client.open(harness.port)
  client.write(...parts)
  return client.reply()
}

describe('R5: the answer to what is not HTTP is JSON', () => {
  test.each([
    ['nonsense', 'nonsense\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    ['an invalid header', 'GET /track HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n'],
    ['two lengths', 'POST /track HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['an unknown method', 'FETCH /track HTTP/1.1\r\n\r\n'],
    ['an invalid length', 'POST /track HTTP/1.1\r\nContent-Length: x\r\n\r\n'],
  ])('%s', async (_what, text) => {
    harness = await startIngest()
    const reply = await ask(Buffer.from(text, 'latin1'))
    expect([reply.status, reply.body]).toEqual([400, BAD_REQUEST])
    expect(reply.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      connection: 'close',
    })
    client.socket.end()
    await client.closed()
    expect([...harness.ingest.counts.requests()]).toEqual([{ endpoint: 'other', status: 400, count: 1 }])
  })

  test('what comes behind it neither destroys the answer nor is answered', async () => {
    harness = await startIngest()
    client = await Client.open(harness.port, true)
    for (let n = 0; n < 20; n++) {
      client.write('nonsense\r\n\r\n')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(client.ended).toBe(false)
    expect((await client.reply()).body).toBe(BAD_REQUEST)
    client.socket.end()
    await client.closed()
    expect([client.text, client.error]).toEqual(['', undefined])
  })

  test('a connection that ends inside a head', async () => {
    harness = await startIngest()
    client = await Client.open(harness.port)
    client.socket.end('POST /track HTTP/1.1\r\nHo')
    expect((await client.reply()).body).toBe(BAD_REQUEST)
    await client.closed()
  })
})

describe('heads', () => {
  test('a URL of 64 KiB is read', async () => {
    harness = await startIngest()
    const data = encodeURIComponent(json)
    const reply = await send(harness.port, `/track?_=${'x'.repeat(65_536 - data.length)}&data=${data}`)
    expect([reply.status, reply.body]).toEqual([200, '1'])
  })

  test('a request without Host is served', async () => {
    harness = await startIngest()
    const reply = await ask(`GET /track?data=${encodeURIComponent(json)} HTTP/1.1\r\n\r\n`)
    expect([reply.status, reply.body]).toEqual([200, '1'])
  })

  test.each([90_000, 150_000, 300_000])('R5: a URL of %i bytes is 414', async (length) => {
    harness = await startIngest()
    const reply = await ask(requestBytes(`/track?data=${'x'.repeat(length)}`))
    expect([reply.status, reply.body]).toEqual([414, '{"error":"url too long","status":0}'])
    expect(client.error).toBeUndefined()
  })

  test('P2: thousands of short headers hide none behind them, such as the length of the body', async () => {
    harness = await startIngest()
    const head = `POST /track HTTP/1.1\r\n${'a:b\r\n'.repeat(10_000)}Content-Length: ${json.length}\r\n\r\n`
    expect((await ask(head, json)).body).toBe('1')
    expect(harness.log.values).toHaveLength(1)
  })

  test('R5: headers of more than 80 KiB are 431, one or many', async () => {
    harness = await startIngest()
    const many = Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`X-${n}`, 'y'.repeat(100)]))
    const one = { Cookie: 'a=b; '.repeat(20_000) }
    for (const headers of [many, one]) {
      const reply = await ask(requestBytes('/track', { headers }))
      expect([reply.status, reply.body]).toEqual([
        431,
        '{"error":"request header fields too large","status":0}',
      ])
      client.destroy()
    }
  })

  test('R5: a head that does not arrive in time is 408', async () => {
    harness = await startIngest({ config: { headTimeoutMs: 200 } })
    const reply = await ask('POST /track HTTP/1.1\r\nHost: a\r\n')
    expect([reply.status, reply.body]).toEqual([408, '{"error":"request timeout","status":0}'])
    expect(reply.headers['connection']).toBe('close')
  })

  test('a connection on which nothing was ever asked is closed without a word', async () => {
    harness = await startIngest({ config: { headTimeoutMs: 200 } })
    client = await Client.open(harness.port)
    await client.closed()
    expect(client.text).toBe('')
    expect([...harness.ingest.counts.requests()]).toEqual([])
  })
})

describe('bodies that are not HTTP', () => {
  const broken = requestBytes('/track', {
    method: 'POST',
    headers: CHUNKED,
    body: `5\r\n[    \r\nnonsense`,
  })

  test('R6: the head was read, so the 400 has CORS; memory is given back', async () => {
    harness = await startIngest()
    const reply = await ask(broken)
    expect([reply.status, reply.body]).toEqual([400, BAD_REQUEST])
    expect(reply.headers).toMatchObject({ 'access-control-allow-origin': ORIGIN.Origin, connection: 'close' })
    expect(harness.budget.usedBytes).toBe(0)
    await client.closed()
  })

  test('more nonsense behind it is thrown away', async () => {
    harness = await startIngest()
    const first = ask(broken)
    expect((await first).status).toBe(400)
    for (let n = 0; n < 20 && !client.ended; n++) {
      client.write('more nonsense\r\n')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(client.text).toBe('')
    await client.closed()
  })

  test('R6: a client that shuts its side down inside a body gets 400, at once', async () => {
    harness = await startIngest()
    client = await Client.open(harness.port)
    client.socket.end(requestBytes('/import', { headers: JSON_ORIGIN, body: json }).subarray(0, -1))
    const reply = await client.reply()
    expect([reply.status, reply.body]).toEqual([
      400,
      '{"code":400,"error":"bad request","status":"Bad Request"}',
    ])
    expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
    const startedMs = performance.now()
    await client.closed()
    // It does not linger: that would take two seconds.
    expect(performance.now() - startedMs).toBeLessThan(1900)
  })

  test('requests before the faulty one are answered first', async () => {
    harness = await startIngest()
    harness.log.held = true
    client = await Client.open(harness.port)
    client.write(requestBytes('/track', { headers: JSON_BODY, body: json }), 'nonsense\r\n\r\n')
    await until(() => harness.log.waitingCommits === 1)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(client.text).toBe('')
    harness.log.release()
    expect((await client.reply()).body).toBe('1')
    expect((await client.reply()).body).toBe(BAD_REQUEST)
    client.socket.end()
    await client.closed()
  })
})
