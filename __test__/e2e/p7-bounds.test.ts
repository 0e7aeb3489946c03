/** P7: everything is bounded: what bodies grow to, memory of everything under way, replies that nobody reads. */
import { gzipSync } from 'node:zlib'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { exchange, headBytes, RawConnection, type RawRequest, requestBytes } from '../support/http.js'
import { missing } from '../support/require.js'
import { gzipBomb } from './support/bomb.js'
import { event, get, JSON_TYPE, post, postJson } from './support/events.js'
import { inTime, type ServerProcess, startServer, waitFor, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const DECODERS = missing('native') === undefined ? ['native', 'reference'] : ['reference']
const MiB = 1024 * 1024
const ORIGIN = { Origin: 'https://shop.example' }
/** The process itself, code and garbage that is not collected yet, beyond what the budget covers. */
const SLACK_MIB = 120

/** After it has served a little, so that what follows is what the attack costs. */
async function warm(server: ServerProcess): Promise<number> {
  for (let n = 0; n < 20; n++) await expectServed(server)
  return server.memoryMiB().now
}

async function expectServed(server: ServerProcess): Promise<void> {
  const { status, body } = await exchange(server.ingest, postJson('/track', event('good')))
  expect(`${status} ${body.toString()}`).toBe('200 1')
}

async function memoryUnderWay(server: ServerProcess): Promise<number> {
  return (await server.status()).memory['used_bytes']!
}

async function expectGivenBack(server: ServerProcess, before: number): Promise<void> {
  await waitFor(async () => ((await memoryUnderWay(server)) <= before ? true : undefined), 5000)
}

describe('P7: bodies that grow', () => {
  it('a gzip bomb, 1 MB that would be 1 GB, is 413; twenty at once cost bounded memory and no good event', async () => {
    const server = await startServer({ dataDir: workspace() })
    const atRest = await warm(server)
    const before = await memoryUnderWay(server)
    const bomb = gzipBomb(1024)
    expect(bomb.length).toBeLessThan(1.2 * MiB)
    const targets = ['/track', '/engage', '/groups', '/import?strict=1']
    const attack = Array.from({ length: 20 }, (_, n) =>
      exchange(server.ingest, post(targets[n % 4]!, bomb, { 'Content-Encoding': 'gzip', ...ORIGIN })),
    )
    for (let n = 0; n < 10; n++) await expectServed(server)
    for (const { status, headers, body } of await Promise.all(attack)) {
      expect(status).toBe(413)
      expect(headers.get('access-control-allow-origin')).toBe(ORIGIN.Origin)
      expect(headers.has('retry-after')).toBe(false)
      expect(JSON.parse(body.toString())).toHaveProperty('error')
    }
    // Twenty bodies of 1 MB, two inflations of 10 MiB.
    expect(server.memoryMiB().peak - atRest).toBeLessThan(20 + 2 * 10 + SLACK_MIB)
    await expectGivenBack(server, before)
  })

  const many = (make: () => object): string => JSON.stringify(Array.from({ length: 2000 }, make))
  const packed = (target: string, make: () => object, headers: Record<string, string> = {}): RawRequest =>
    post(target, gzipSync(many(make)), { 'Content-Encoding': 'gzip', ...headers })
  const tiny = (): object => ({ event: 'e', properties: { token: 't' } })
  /** Answers: kept, bad content, or too large for one piece of the log. */
  const AMPLIFIERS: readonly [string, '200 1' | '200 0' | '413', RawRequest][] = [
    ['a user agent', '200 1', packed('/track', tiny, { 'User-Agent': 'u'.repeat(60_000) })],
    [
      'a project',
      '200 1',
      packed(`/import?project_id=${'1'.repeat(60_000)}`, () => ({ event: 'e', properties: {} })),
    ],
    // 315 bytes that would be 160 MB if the credential were repeated.
    [
      'a credential',
      '200 1',
      packed('/import', () => ({ event: 'e', properties: {} }), {
        Authorization: `Basic ${Buffer.from(`${'t'.repeat(40_000)}:`).toString('base64')}`,
      }),
    ],
    ['a token', '413', packed('/track', () => event('e', { token: 't'.repeat(5000) }))],
    [
      'a distinct_id that is escaped',
      '413',
      packed('/track', () => event('e', { distinct_id: '\u0001'.repeat(800) })),
    ],
    [
      'a group',
      '413',
      packed('/groups', () => {
        return { $token: 't', $group_key: 'k'.repeat(2400), $group_id: 'i'.repeat(2400), $set: {} }
      }),
    ],
    [
      'a value that is not UTF-8',
      '413',
      post(
        '/track',
        gzipSync(
          Buffer.from(
            `[${Array(2000).fill(JSON.stringify(event('e', { x: '\xff'.repeat(4000) })))}]`,
            'latin1',
          ),
        ),
        { 'Content-Encoding': 'gzip' },
      ),
    ],
    [
      'rejected records',
      '200 0',
      packed('/track', () => ({ event: '', properties: { x: 'x'.repeat(5000) } })),
    ],
    [
      'invalid text',
      '200 0',
      post('/track', gzipSync(Buffer.alloc(9 * MiB, 0xff)), { 'Content-Encoding': 'gzip' }),
    ],
  ]

  it.each(DECODERS)(
    'small bodies of 2000 records that repeat what is large stay within a batch, or are 413, %s',
    async (decoder) => {
      const server = await startServer({ dataDir: workspace(), args: ['--decoder', decoder] })
      const atRest = await warm(server)
      const before = await memoryUnderWay(server)
      for (const [what, expected, request] of AMPLIFIERS) {
        expect(request.body!.length, what).toBeLessThan(40_000)
        const { log: earlier } = await server.status()
        const { status, headers, body } = await exchange(server.ingest, withOrigin(request))
        expect(status === 413 ? '413' : `${status} ${body.toString()}`, what).toBe(expected)
        expect(headers.get('access-control-allow-origin'), what).toBe(ORIGIN.Origin)
        const { log } = await server.status()
        // One batch at most, 16 MiB, and the step of zeroes ahead of it.
        expect(log.bytes - earlier.bytes, what).toBeLessThanOrEqual(18 * MiB)
        expect(log.next_offset - earlier.next_offset, what).toBe(expected === '200 1' ? 2000 : 0)
        await expectServed(server)
      }
      expect(server.memoryMiB().peak - atRest).toBeLessThan(2 * 16 + 2 * 10 + SLACK_MIB)
      await expectGivenBack(server, before)
    },
  )
})

const withOrigin = (request: RawRequest): RawRequest => ({
  ...request,
  headers: { ...request.headers, ...ORIGIN },
})

describe('P7: memory of what is under way', () => {
  const BODY = 4 * MiB
  const LIMITS = [
    '--body-limit-bytes',
    '4MiB',
    '--batch-bytes-max',
    '4MiB',
    '--memory-inflight-bytes',
    '48MiB',
  ]
  const headOf = (length: number): Buffer =>
    headBytes({
      method: 'POST',
      target: '/track',
      headers: { 'Content-Type': JSON_TYPE, 'Content-Length': String(length), ...ORIGIN },
    })

  it('P2: large bodies beyond the budget are 503, by their head or half-way; as many as fit are kept', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: LIMITS })
    const atRest = await warm(server)
    const before = await memoryUnderWay(server)
    const body = Buffer.from(JSON.stringify(event('large', { pad: 'x'.repeat(900_000) })).padEnd(BODY))
    const connections = await Promise.all(Array.from({ length: 40 }, () => RawConnection.open(server.ingest)))
    const replies = connections.map((connection) => {
      connection.write(Buffer.concat([headOf(body.length), body.subarray(0, -1)]))
      return connection.reply().then(({ status, headers }) => {
        return { status, cors: headers.get('access-control-allow-origin'), after: headers.get('retry-after') }
      })
    })
    const refused = new Set<number>()
    for (const [at, reply] of replies.entries()) {
      void reply.then(({ status }) => status === 503 && refused.add(at)).catch(() => {})
    }
    // 48 MiB less two batches: nine bodies of 4 MiB and a little each. Whenever one is refused, less than it wanted is free.
    await waitFor(() => (refused.size >= 31 ? true : undefined))
    await sleep(100)
    expect(refused.size).toBe(31)
    const shortly = await exchange(server.ingest, postJson('/track', event('small')))
    expect([200, 503]).toContain(shortly.status)
    for (const [at, connection] of connections.entries())
      if (!refused.has(at)) connection.write(body.subarray(-1))
    const all = await Promise.all(replies)
    for (const [at, reply] of all.entries()) {
      if (refused.has(at))
        expect(reply).toEqual({ status: 503, cors: ORIGIN.Origin, after: expect.stringMatching(/^\d+$/) })
      else expect(reply.status).toBe(200)
    }
    expect(server.memoryMiB().peak - atRest).toBeLessThan(48 + SLACK_MIB)
    for (const connection of connections) connection.destroy()
    await expectGivenBack(server, before)
    await expectServed(server)
    const lines = await tail(dataDir)
    expect(lines.filter(({ record }) => record.event === 'large')).toHaveLength(9)
    expect((await server.status()).memory['refusals']).toBeGreaterThanOrEqual(31)
  })

  it('bodies that are broken off give their memory back', async () => {
    const server = await startServer({ dataDir: workspace(), args: LIMITS })
    const before = await memoryUnderWay(server)
    for (let round = 0; round < 4; round++) {
      const connections = await Promise.all(
        Array.from({ length: 9 }, () => RawConnection.open(server.ingest)),
      )
      for (const connection of connections)
        connection.write(Buffer.concat([headOf(BODY), Buffer.alloc(MiB, ' ')]))
      await waitFor(async () => ((await memoryUnderWay(server)) > before + 9 * MiB ? true : undefined))
      // By an end, by a reset: the server hears of them in different ways.
      for (const connection of connections) {
        if (round % 2 === 0) connection.destroy()
        else connection.reset()
      }
      await expectGivenBack(server, before)
    }
    await expectServed(server)
  })

  it('clients that never read their replies are dropped, and cost bounded memory meanwhile', async () => {
    const server = await startServer({
      dataDir: workspace(),
      args: ['--memory-inflight-bytes', '64MiB', '--body-timeout-ms', '1500'],
    })
    const atRest = await warm(server)
    const before = await memoryUnderWay(server)
    // 14 KB each, answered with a report of 300 KB.
    const record = { event: '', properties: { token: 't', $insert_id: 'x'.repeat(3000) } }
    const body = gzipSync(JSON.stringify(Array.from({ length: 2000 }, () => record)))
    const request = requestBytes(post('/import?strict=1', body, { 'Content-Encoding': 'gzip' }))
    const silent = await Promise.all(Array.from({ length: 30 }, () => RawConnection.open(server.ingest)))
    for (const connection of silent) {
      connection.pause()
      for (let n = 0; n < 60; n++) connection.write(request)
    }
    await sleep(500)
    await expectServed(server)
    await inTime('all dropped', Promise.all(silent.map((connection) => dropped(connection))), 30_000)
    expect(server.memoryMiB().peak - atRest).toBeLessThan(64 + SLACK_MIB)
    await expectGivenBack(server, before)
    await expectServed(server)
  })
})

/** The server has ended the connection; a socket that is not read from does not hear of it by itself. */
async function dropped(connection: RawConnection): Promise<void> {
  await waitFor(() => {
    connection.write(Buffer.from('x'))
    return connection.error === undefined ? undefined : true
  }, 30_000)
}

describe('P7: heads', () => {
  it('a URL of 64 KiB is served; a head over 80 KiB is 414 or 431, in JSON', async () => {
    const server = await startServer({ dataDir: workspace() })
    const fits = await exchange(server.ingest, get('/track', event('long', { pad: 'x'.repeat(45_000) })))
    expect(`${fits.status} ${fits.body.toString()}`).toBe('200 1')
    const url = await exchange(server.ingest, { method: 'GET', target: `/track?data=${'x'.repeat(100_000)}` })
    expect(url.status).toBe(414)
    const cookies = { Cookie: 'a=b; '.repeat(20_000) }
    const header = await exchange(server.ingest, postJson('/track', event('e'), cookies))
    expect(header.status).toBe(431)
    for (const { body, headers } of [url, header]) {
      expect(headers.get('content-type')).toBe('application/json')
      expect(JSON.parse(body.toString())).toEqual({ error: expect.any(String), status: 0 })
    }
    await expectServed(server)
  })
})
