/** Bodies: limits, memory, Content-Encoding, replies to what is refused unread. docs/PROTOCOL.md 2 and 4.2. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/clock.js'
import { LogUnavailable } from '../../src/errors.js'
import { base64, EVENT, IMPORT, NOW_MS } from '../decode/harness.js'
import {
  chunk,
  CHUNKED,
  Client,
  FORM_BODY,
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
afterEach(() => harness?.close())

const json = JSON.stringify(EVENT)
const MiB = 2 ** 20

describe('arriving in pieces', () => {
  test('a body of announced length is put together', async () => {
    harness = await startIngest()
    const client = await Client.open(harness.port)
    const request = requestBytes('/track', { headers: JSON_BODY, body: `[${json},${json}]` })
    for (let at = 0; at < request.length; at += 97) {
      client.write(request.subarray(at, at + 97))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect((await client.reply()).body).toBe('1')
    expect(harness.log.envelopes.map(({ record }) => record)).toEqual([EVENT, EVENT])
    expect(harness.budget.usedBytes).toBe(0)
    client.destroy()
  })

  test('a chunked body is put together', async () => {
    harness = await startIngest()
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { headers: CHUNKED }).toString().replace('GET', 'POST'))
    client.write(chunk(json.slice(0, 20)))
    await until(() => harness.budget.usedBytes > 0)
    client.write(chunk(json.slice(20, 50)), chunk(json.slice(50)), chunk(''))
    expect((await client.reply()).body).toBe('1')
    expect(harness.log.envelopes).toMatchObject([{ record: EVENT }])
    expect(harness.budget.usedBytes).toBe(0)
    client.destroy()
  })

  test('P7: a chunked body in pieces of one byte is put together in bounded memory', async () => {
    harness = await startIngest()
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { method: 'POST', headers: CHUNKED }))
    const body = json + ' '.repeat(100_000 - json.length)
    client.write(Array.from(body, (byte) => chunk(byte)).join(''))
    await until(() => harness.budget.usedBytes > 100_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(harness.budget.usedBytes).toBeLessThan(200_000)
    client.write(chunk(''))
    expect((await client.reply()).body).toBe('1')
    expect(harness.log.envelopes).toMatchObject([{ record: EVENT }])
    expect(harness.budget.usedBytes).toBe(0)
    client.destroy()
  })

  test('Expect: 100-continue is answered before the body is sent', async () => {
    harness = await startIngest()
    const client = await Client.open(harness.port)
    const request = requestBytes('/track', { headers: { ...JSON_BODY, Expect: '100-continue' }, body: json })
    const headEnd = request.indexOf('\r\n\r\n') + 4
    client.write(request.subarray(0, headEnd))
    expect((await client.reply()).status).toBe(100)
    client.write(request.subarray(headEnd))
    expect((await client.reply()).body).toBe('1')
    client.destroy()
  })

  test('Expect: 100-continue is refused by the head alone when the body is too large', async () => {
    harness = await startIngest({ config: { bodyLimitBytes: 2000 } })
    const client = await Client.open(harness.port)
    const headers = { ...JSON_ORIGIN, Expect: '100-continue', 'Content-Length': '2001' }
    client.write(requestBytes('/track', { method: 'POST', headers }))
    expect((await client.reply()).status).toBe(413)
    client.destroy()
  })

  test('an expectation that nobody knows is no reason to refuse', async () => {
    harness = await startIngest()
    const reply = await send(harness.port, '/track', {
      headers: { ...JSON_BODY, Expect: 'wonders' },
      body: json,
    })
    expect(reply.body).toBe('1')
  })
})

describe('the limit', () => {
  const limited = { config: { bodyLimitBytes: 2000 } }
  const atLimit = json.padEnd(2000)

  test('a body of exactly the limit is taken, announced or chunked', async () => {
    harness = await startIngest(limited)
    expect((await send(harness.port, '/track', { headers: JSON_BODY, body: atLimit })).body).toBe('1')
    const chunked = { headers: CHUNKED, body: chunk(atLimit) + chunk('') }
    expect((await send(harness.port, '/track', chunked)).body).toBe('1')
  })

  test('R5, R6: one byte more is 413 with both keys, CORS, and no Retry-After', async () => {
    harness = await startIngest(limited)
    for (const sent of [
      { headers: JSON_ORIGIN, body: `${atLimit} ` },
      { headers: CHUNKED, body: chunk(`${atLimit} `) + chunk('') },
      { headers: CHUNKED, body: chunk(atLimit) + chunk(' ') + chunk('') },
    ]) {
      const reply = await send(harness.port, '/track', sent)
      expect([reply.status, reply.body]).toEqual([
        413,
        '{"error":"body too large: limit 2000 bytes","status":0}',
      ])
      expect(reply.headers).toMatchObject({
        'access-control-allow-origin': ORIGIN.Origin,
        connection: 'close',
      })
      expect(reply.headers['retry-after']).toBeUndefined()
    }
    expect(harness.log.values).toEqual([])
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('on import the coded shape', async () => {
    harness = await startIngest(limited)
    const reply = await send(harness.port, '/import', { headers: JSON_BODY, body: `${atLimit} ` })
    expect(reply.body).toBe(
      '{"code":413,"error":"request exceeds max limit of 2000 bytes","status":"Request Entity Too Large"}',
    )
  })

  test('the reply can be read while the client still sends, and the connection ends then (vector 44)', async () => {
    harness = await startIngest(limited)
    const client = await Client.open(harness.port)
    client.write(
      requestBytes('/track', { method: 'POST', headers: { ...JSON_ORIGIN, 'Content-Length': '9000000' } }),
    )
    const piece = Buffer.alloc(1_000_000, 0x20)
    for (let sent = 0; sent < 9; sent++) await new Promise((resolve) => client.socket.write(piece, resolve))
    expect((await client.reply()).status).toBe(413)
    await client.closed()
    expect(client.error).toBeUndefined()
  })

  test('a client that never ends its body is waited for two seconds, not for the thirty that a busy one gets', async () => {
    harness = await startIngest(limited)
    const client = await Client.open(harness.port)
    client.write(
      requestBytes('/track', { method: 'POST', headers: { ...JSON_ORIGIN, 'Content-Length': '9000000' } }),
    )
    expect((await client.reply()).status).toBe(413)
    const startedMs = performance.now()
    await client.closed()
    expect(performance.now() - startedMs).toBeLessThan(15_000)
  })
})

describe('gzip', () => {
  const inflates = async (body: Buffer, headers: Record<string, string> = GZIP): Promise<void> => {
    const reply = await send(harness.port, '/track', { headers, body })
    expect([reply.status, reply.body]).toEqual([200, '1'])
    expect(harness.budget.usedBytes).toBe(0)
  }

  test.each(['gzip', 'x-gzip', ' GZIP '])('%j is undone', async (coding) => {
    harness = await startIngest()
    await inflates(gzipSync(json), { ...JSON_BODY, 'Content-Encoding': coding })
    const form = `data=${encodeURIComponent(base64(json))}`
    await inflates(gzipSync(form), { ...FORM_BODY, 'Content-Encoding': coding })
    expect(harness.log.envelopes).toMatchObject([{ record: EVENT }, { record: EVENT }])
  })

  test('identity is nothing to undo', async () => {
    harness = await startIngest()
    await inflates(Buffer.from(json), { ...JSON_BODY, 'Content-Encoding': 'identity' })
  })

  test('several members are read one after another, bytes behind the last ignored', async () => {
    harness = await startIngest()
    const members = [gzipSync(json.slice(0, 30)), gzipSync(''), gzipSync(json.slice(30))]
    await inflates(Buffer.concat([...members, Buffer.from('trailing')]))
    expect(harness.log.envelopes).toMatchObject([{ record: EVENT }])
  })

  test('a large body is inflated on the thread pool', async () => {
    harness = await startIngest()
    const many = JSON.stringify(
      Array.from({ length: 2000 }, (_, n) => ({ ...EVENT, n: Math.sin(n), m: Math.cos(n) })),
    )
    const body = gzipSync(many)
    expect(body.length).toBeGreaterThan(0)
    await Promise.all(Array.from({ length: 5 }, () => send(harness.port, '/track', { headers: GZIP, body })))
    expect(harness.log.values.length).toBe(10_000)
    await until(() => harness.budget.usedBytes === 0)
  })

  test('an empty body is an empty payload, not invalid gzip', async () => {
    harness = await startIngest()
    const reply = await send(harness.port, '/track?verbose=1', { headers: GZIP, body: '' })
    expect(reply.body).toBe('{"error":"data, missing or empty","status":0}')
    const packed = await send(harness.port, '/track?verbose=1', { headers: GZIP, body: gzipSync('') })
    expect(packed.body).toBe('{"error":"data, missing or empty","status":0}')
  })

  describe('R2: what is not gzip is bad content', () => {
    const whole = gzipSync(json)
    const wrongSum = Buffer.from(whole)
    wrongSum[wrongSum.length - 8]! ^= 1
    const wrongLength = Buffer.from(whole)
    wrongLength[wrongLength.length - 4]! ^= 1
    test.each([
      ['text', Buffer.from('not gzip')],
      ['one byte', Buffer.from([0x1f])],
      ['a cut body', whole.subarray(0, -20)],
      ['a cut trailer', whole.subarray(0, -1)],
      ['a wrong checksum', wrongSum],
      ['a wrong length', wrongLength],
      ['a broken second member', Buffer.concat([whole, Buffer.from([0x1f, 0x8b, 8, 0])])],
      ['a reserved flag', Buffer.concat([whole.subarray(0, 3), Buffer.from([0x80]), whole.subarray(4)])],
      ['members without end', Buffer.concat(Array.from({ length: 101 }, () => gzipSync('')))],
    ])('%s', async (_what, body) => {
      harness = await startIngest()
      const plain = await send(harness.port, '/track', { headers: GZIP, body })
      const verbose = await send(harness.port, '/engage?verbose=1', { headers: GZIP, body })
      const strict = await send(harness.port, '/import?strict=1', { headers: GZIP, body })
      expect([plain.status, plain.body]).toEqual([200, '0'])
      expect([verbose.status, verbose.body]).toEqual([200, '{"error":"data, invalid gzip","status":0}'])
      expect(strict).toMatchObject({
        status: 400,
        body: '{"code":400,"error":"data, invalid gzip","failed_records":[],"num_records_imported":0,"status":"Bad Request"}',
      })
      expect(harness.ledger.all).toEqual({ received: 3, accepted: 0, rejected: 3, ignored: 0 })
      expect(harness.rejectLog.envelopes).toMatchObject([
        { endpoint: 'track', problem: { code: 'gzip_invalid' } },
        { endpoint: 'engage' },
        { endpoint: 'import' },
      ])
      expect(harness.budget.usedBytes).toBe(0)
    })
  })

  test('P7: a bomb is 413, small or large, and its memory stays within the limit', async () => {
    harness = await startIngest()
    const large = gzipSync(Buffer.alloc(200 * MiB), { level: 1 })
    const small = gzipSync(Buffer.alloc(20 * MiB))
    expect([small.length < 64 * 1024, large.length > 64 * 1024]).toEqual([true, true])
    const before = process.memoryUsage().rss
    for (const body of [small, large]) {
      const reply = await send(harness.port, '/track', { headers: GZIP, body })
      expect([reply.status, reply.body]).toEqual([
        413,
        '{"error":"body too large: limit 10485760 bytes","status":0}',
      ])
      expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * MiB)
    expect(harness.budget.usedBytes).toBe(0)
  })

  test.each([json.length, json.length - 1])(
    'inflated bytes count against the limit: %i',
    async (bodyLimitBytes) => {
      harness = await startIngest({ config: { bodyLimitBytes: Math.max(1024, bodyLimitBytes + 2000) } })
      const body = gzipSync(json.padEnd(json.length + 2000))
      const reply = await send(harness.port, '/track', { headers: GZIP, body })
      expect(reply.status).toBe(bodyLimitBytes === json.length ? 200 : 413)
    },
  )

  test('any other coding is 415 with CORS', async () => {
    harness = await startIngest()
    for (const coding of ['br', 'deflate', 'gzip, gzip', 'zstd']) {
      const headers = { ...JSON_ORIGIN, 'Content-Encoding': coding }
      const reply = await send(harness.port, '/track', { headers, body: json })
      expect([reply.status, reply.body]).toEqual([
        415,
        '{"error":"content-encoding not supported","status":0}',
      ])
      expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
    }
    expect(harness.log.values).toEqual([])
  })
})

describe('too slow', () => {
  test('R6: a body that does not arrive in time is 408 with CORS, then the connection ends', async () => {
    const clock = new ManualClock(NOW_MS)
    harness = await startIngest({ clock, config: { bodyTimeoutMs: 200 } })
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { headers: JSON_ORIGIN, body: json }).subarray(0, -5))
    await until(() => harness.budget.usedBytes > 0)
    clock.advance(199)
    await new Promise((resolve) => setTimeout(resolve, 250))
    expect(client.text).toBe('')
    clock.advance(2)
    const reply = await client.reply()
    expect([reply.status, reply.body]).toEqual([408, '{"error":"request timeout","status":0}'])
    expect(reply.headers).toMatchObject({ 'access-control-allow-origin': ORIGIN.Origin, connection: 'close' })
    expect(harness.budget.usedBytes).toBe(0)
    await client.closed()
    expect(harness.log.values).toEqual([])
  })

  test('a session replay that stops arriving is 408, too', async () => {
    const clock = new ManualClock(NOW_MS)
    harness = await startIngest({ clock, config: { bodyTimeoutMs: 200 } })
    const client = await Client.open(harness.port)
    const headers = { 'Content-Length': '10', Expect: '100-continue' }
    client.write(requestBytes('/record/', { method: 'POST', headers }))
    // From now on its body is timed.
    expect((await client.reply()).status).toBe(100)
    clock.advance(201)
    expect((await client.reply()).status).toBe(408)
    await client.closed()
  })
})

describe('what the log says', () => {
  test.each(['full', 'failed', 'closed'] as const)(
    'R1: a log that is %s is 503 on every endpoint',
    async (state) => {
      harness = await startIngest()
      harness.log.state = state
      for (const path of [
        '/track?img=1',
        '/engage?verbose=1',
        '/groups?strict=1',
        '/import?strict=1',
        '/import',
      ]) {
        const record = path.startsWith('/import') || path.startsWith('/track') ? EVENT : IMPORT
        const reply = await send(harness.port, path, { headers: JSON_ORIGIN, body: JSON.stringify(record) })
        expect([path, reply.status]).toEqual([path, 503])
        expect(reply.headers['retry-after']).toMatch(/^[1-9]\d*$/)
        expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
        expect(JSON.parse(reply.body)).toEqual(
          path.startsWith('/import')
            ? { code: 503, error: 'unavailable, retry later', status: 'Service Unavailable' }
            : { error: 'unavailable, retry later', status: 0 },
        )
      }
      expect(harness.ledger.all.received).toBe(0)
      expect(harness.budget.usedBytes).toBe(0)
    },
  )

  test('R1: success is not said before the log has it, and not at all when it fails', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { headers: JSON_BODY, body: json }))
    await until(() => harness.log.waitingCommits === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(client.text).toBe('')
    harness.log.state = 'failed'
    harness.log.release()
    expect((await client.reply()).status).toBe(503)
    client.destroy()
  })

  test('P3: whatever else is thrown is 500 in JSON with CORS, logged and counted; the next request is served', async () => {
    let calls = 0
    const take = (): never | Promise<never> => {
      calls++
      if (calls === 1) throw new Error('out of the blue')
      return Promise.reject(calls === 2 ? new Error('later') : new LogUnavailable('failed', 'no'))
    }
    harness = await startIngest({ take })
    for (const path of ['/track', '/import']) {
      const reply = await send(harness.port, path, { headers: JSON_ORIGIN, body: json })
      expect(reply.status).toBe(500)
      expect(JSON.parse(reply.body)).toEqual(
        path === '/track'
          ? { error: 'internal error', status: 0 }
          : { code: 500, error: 'internal error', status: 'Internal Server Error' },
      )
      expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
    }
    expect((await send(harness.port, '/track', { headers: JSON_BODY, body: json })).status).toBe(503)
    expect(harness.lines.map(([level]) => level)).toEqual(['error', 'error'])
    expect(harness.ingest.counts.failures).toBe(2)
    expect(harness.budget.usedBytes).toBe(0)
  })
})
