/** What a request may cost: memory, room in the log, the length of its reply (P7). docs/PROTOCOL.md 4.2, 5.2, 7.1. */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import type { Receipt } from '../../src/intake.js'
import { EVENT } from '../decode/harness.js'
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
afterEach(() => harness?.close())

const json = JSON.stringify(EVENT)
const MiB = 2 ** 20
const RECEIPT: Receipt = {
  requestId: { head: '', last: '' },
  received: 1,
  accepted: 1,
  rejected: 0,
  ignored: 0,
  params: 0,
  problems: [],
  undecodable: false,
  flags: [],
}

describe('reports (P7)', () => {
  test('2000 failed records with the longest names and ids there may be: each is listed, in 1.5 MB', async () => {
    harness = await startIngest()
    // What takes six bytes in JSON, in a name whose value is not UTF-8; $merge may have any insert id.
    const name = '\\u0001'.repeat(300)
    const record = `{"event":"$merge","properties":{"$insert_id":"${name}","${name}":"\xff"}}`
    const body = gzipSync(Buffer.from(`[${Array<string>(2000).fill(record).join(',')}]`, 'latin1'))
    expect(body.length).toBeLessThan(30_000)
    const reply = await send(harness.port, '/import?strict=1', { headers: GZIP, body })
    expect([reply.status, reply.headers['content-type']]).toEqual([400, 'application/json'])
    const { failed_records: failed } = JSON.parse(reply.body) as { failed_records: Record<string, unknown>[] }
    expect(failed.map(({ index }) => index)).toEqual(Array.from({ length: 2000 }, (_, index) => index))
    expect(failed[0]).toMatchObject({
      insert_id: `${'\u0001'.repeat(10)}…`,
      message: `properties.${'\u0001'.repeat(42)}… is invalid: string should be valid utf8`,
    })
    expect(reply.bytes.length).toBeLessThan(1_500_000)
    expect(reply.bytes.length).toBeGreaterThan(1_250_000)
  })
})

describe('R1, P2: records that take more than a batch', () => {
  const events = Array.from({ length: 40 }, (_, n) => ({ ...EVENT, n }))
  const recordBytes = async (): Promise<number> => {
    harness = await startIngest()
    await send(harness.port, '/track', { headers: JSON_BODY, body: JSON.stringify(events) })
    await harness.close()
    return harness.log.bytes
  }

  test('what fits to the byte is kept', async () => {
    harness = await startIngest({ decoder: { outputBytesMax: await recordBytes() } })
    const body = JSON.stringify(events)
    expect(await send(harness.port, '/track', { headers: JSON_BODY, body })).toMatchObject({ body: '1' })
    expect(harness.log.values).toHaveLength(40)
  })

  test('one byte more is 413 with CORS, nothing of it is kept, and its halves are', async () => {
    harness = await startIngest({ decoder: { outputBytesMax: (await recordBytes()) - 1 } })
    for (const target of ['/track', '/track?verbose=1', '/track?img=1']) {
      const reply = await send(harness.port, target, { headers: JSON_ORIGIN, body: JSON.stringify(events) })
      expect(reply.status, target).toBe(413)
      expect(reply.headers).toMatchObject({ 'access-control-allow-origin': ORIGIN.Origin })
      expect(reply.headers).not.toHaveProperty('retry-after')
      expect(JSON.parse(reply.body)).toMatchObject({
        error: expect.stringContaining('too large once decoded'),
      })
    }
    expect(harness.log.values).toEqual([])
    // As mixpanel-browser does at a 413.
    for (const half of [events.slice(0, 20), events.slice(20)]) {
      const body = JSON.stringify(half)
      expect((await send(harness.port, '/track', { headers: JSON_BODY, body })).body).toBe('1')
    }
    expect(harness.log.envelopes.map(({ record }) => record)).toEqual(events)
    expect(harness.ledger.all).toEqual({ received: 43, accepted: 40, rejected: 3, ignored: 0 })
  })
})

describe('the memory budget (P7)', () => {
  test('P2: bodies that are announced and never come keep nobody else out', async () => {
    harness = await startIngest({ budgetBytes: 2 * MiB })
    const head = requestBytes('/track', {
      method: 'POST',
      headers: { ...JSON_BODY, 'Content-Length': '1000000' },
    })
    const senders = await Promise.all(Array.from({ length: 40 }, () => Client.open(harness.port)))
    for (const sender of senders) sender.write(head)
    await until(() => harness.budget.usedBytes > 40 * 4096)
    expect(harness.budget.usedBytes).toBeLessThan(40 * 5000)
    const body = JSON.stringify(Array.from({ length: 1000 }, () => EVENT))
    expect((await send(harness.port, '/track', { headers: JSON_BODY, body })).body).toBe('1')
    for (const sender of senders) sender.destroy()
    await until(() => harness.budget.usedBytes === 0)
  })

  test('P2, R9: what does not fit is 503 with Retry-After and CORS before it is sent', async () => {
    harness = await startIngest({ budgetBytes: 1 * MiB })
    const head = { ...JSON_ORIGIN, 'Content-Length': String(2 * MiB) }
    for (const [path, body] of [
      ['/track', '{"error":"unavailable, retry later","status":0}'],
      ['/import?strict=1', '{"code":503,"error":"unavailable, retry later","status":"Service Unavailable"}'],
    ] as const) {
      const client = await Client.open(harness.port)
      client.write(requestBytes(path, { method: 'POST', headers: head }))
      const reply = await client.reply()
      expect([reply.status, reply.body]).toEqual([503, body])
      expect(reply.headers['retry-after']).toMatch(/^\d+$/)
      expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
      client.destroy()
    }
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('P2: a body that no longer fits half-way is 503 with Retry-After and CORS, readable while the rest is sent', async () => {
    harness = await startIngest({ budgetBytes: 4 * MiB })
    const client = await Client.open(harness.port)
    const head = { ...JSON_ORIGIN, 'Content-Length': String(2 * MiB) }
    client.write(requestBytes('/track', { method: 'POST', headers: head }), '['.repeat(MiB))
    await until(() => harness.budget.usedBytes > MiB)
    // Others took what was free when it was admitted.
    const others = harness.budget.bytesMax - harness.budget.usedBytes
    expect(harness.budget.take(others)).toBe(true)
    client.write('['.repeat(MiB - 1))
    const reply = await client.reply()
    expect([reply.status, reply.body]).toEqual([503, '{"error":"unavailable, retry later","status":0}'])
    expect(reply.headers).toMatchObject({
      'retry-after': '2',
      'access-control-allow-origin': ORIGIN.Origin,
      connection: 'close',
    })
    expect(harness.budget.usedBytes).toBe(others)
    client.write('[')
    await client.closed()
    expect(client.error).toBeUndefined()
  })

  test('an announced body is taken from it as it comes, and given back when the client leaves', async () => {
    harness = await startIngest()
    const client = await Client.open(harness.port)
    client.write(
      requestBytes('/track', { method: 'POST', headers: { ...JSON_BODY, 'Content-Length': '500000' } }),
    )
    await until(() => harness.budget.usedBytes > 4096)
    expect(harness.budget.usedBytes).toBeLessThan(5000)
    client.write('[')
    await until(() => harness.budget.usedBytes > 16_384)
    expect(harness.budget.usedBytes).toBeLessThan(22_000)
    client.write('['.repeat(299_999))
    await until(() => harness.budget.usedBytes > 300_000)
    client.destroy()
    await until(() => harness.budget.usedBytes === 0)
  })

  test('it is given back when the connection is reset inside the body', async () => {
    harness = await startIngest()
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { method: 'POST', headers: CHUNKED }), chunk(json))
    await until(() => harness.budget.usedBytes > 0)
    client.socket.resetAndDestroy()
    await until(() => harness.budget.usedBytes === 0)
    expect([...harness.ingest.counts.requests()]).toEqual([])
  })

  test('heads count: many large ones that wait are refused in time', async () => {
    harness = await startIngest({ budgetBytes: 100_000 })
    harness.log.held = true
    const client = await Client.open(harness.port)
    const request = requestBytes(`/track?data=${encodeURIComponent(json)}`, {
      headers: { Cookie: 'x'.repeat(30_000) },
    })
    client.write(request, request)
    await until(() => harness.log.waitingCommits === 2)
    expect(harness.budget.usedBytes).toBeGreaterThan(60_000)
    const third = await Client.open(harness.port)
    third.write(request, request)
    expect((await third.reply()).status).toBe(503)
    client.destroy()
    third.destroy()
    harness.log.release()
    await until(() => harness.budget.usedBytes === 0)
  })

  test('a chunked body is taken step by step, and refused when it no longer fits', async () => {
    harness = await startIngest({ budgetBytes: 100_000 })
    const body = chunk(' '.repeat(50_000)) + chunk(' '.repeat(60_000)) + chunk('')
    const reply = await send(harness.port, '/track', { headers: CHUNKED, body })
    expect(reply.status).toBe(503)
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('inflated bytes count', async () => {
    harness = await startIngest({ budgetBytes: 300_000 })
    const body = gzipSync(json.padEnd(600_000))
    const reply = await send(harness.port, '/track', { headers: GZIP, body })
    expect([reply.status, reply.headers['access-control-allow-origin']]).toEqual([503, ORIGIN.Origin])
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('what inflating might have taken and did not is given back before the request waits', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { headers: GZIP, body: gzipSync(json.padEnd(5000)) }))
    await until(() => harness.log.waitingCommits === 1)
    expect(harness.budget.usedBytes).toBeGreaterThan(5000)
    expect(harness.budget.usedBytes).toBeLessThan(15_000)
    harness.log.release()
    expect((await client.reply()).body).toBe('1')
    client.destroy()
  })

  test('a waiting request holds its memory until it is answered, and the client need not stay', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', { headers: JSON_BODY, body: json }))
    await until(() => harness.log.waitingCommits === 1)
    expect(harness.budget.usedBytes).toBeGreaterThan(json.length)
    client.destroy()
    await client.closed()
    expect(harness.budget.usedBytes).toBeGreaterThan(json.length)
    harness.log.release()
    await until(() => harness.budget.usedBytes === 0)
    expect(harness.lines).toEqual([])
  })

  const large = Buffer.from(json.padEnd(200_000))
  const whole = requestBytes('/track', { headers: JSON_BODY, body: large })
  const deflated = requestBytes('/track', { headers: GZIP, body: gzipSync(large) })
  test.each([
    ['one piece', [whole]],
    ['several pieces', [whole.subarray(0, 1000), whole.subarray(1000, 100_000), whole.subarray(100_000)]],
    ['gzip', [deflated]],
  ])('a connection that is idle keeps nothing of its last body: %s', async (_, pieces) => {
    const bodies: WeakRef<ArrayBufferLike>[] = []
    harness = await startIngest({
      take: ({ body }) => {
        bodies.push(new WeakRef(body.buffer))
        return Promise.resolve(RECEIPT)
      },
    })
    const client = await Client.open(harness.port)
    for (const piece of pieces) {
      client.write(piece)
      await sleep(10)
    }
    expect((await client.reply()).body).toBe('1')
    expect(bodies).toHaveLength(1)
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    for (let turn = 0; turn < 20 && bodies[0]!.deref() !== undefined; turn++) {
      await sleep(10)
      gc()
    }
    expect([bodies[0]!.deref(), client.ended]).toEqual([undefined, false])
    client.destroy()
  })
})
