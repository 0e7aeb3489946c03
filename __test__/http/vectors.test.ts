/** The golden vectors and the recorded requests of SDKs, over raw sockets: reply, headers, and the bytes in the log. */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NOW_MS } from '../decode/harness.js'
import { expectedRecords, type Surroundings } from '../vectors/expected.js'
import {
  bytesOf,
  casesOf,
  type ExpectedRecord,
  type ExpectedReply,
  type HeaderRule,
  type Send,
  type SetupName,
} from '../vectors/golden.js'
import { SETUPS } from '../vectors/setups.js'
import { captureExpectations, captures } from '../vectors/wire-captures.js'
import { Client, type Harness, type Reply, startIngest } from './support.js'

const ORIGIN = 'https://vectors.example'

function surroundings(value: string | undefined, userAgent: string | undefined): Surroundings {
  return {
    receivedMs: NOW_MS,
    requestId: value === undefined ? '' : (JSON.parse(value) as { request_id: string }).request_id,
    ipJson: '"127.0.0.1"',
    uaJson: JSON.stringify(userAgent ?? null),
  }
}

/** Head and body apart: with `expect` the body waits to be asked for. */
function wire(send: Send): { head: Buffer; body: Buffer } {
  const plain = bytesOf(send.body ?? '')
  const bare = send.gzip ? gzipSync(plain) : plain
  const headers: Record<string, string> = { Host: 'vectors', Origin: ORIGIN, ...send.headers }
  const chunked = send.framing === 'chunked' || (send.framing === 'unfinished' && send.declared === undefined)
  if (send.gzip) headers['Content-Encoding'] ??= 'gzip'
  if (send.framing === 'expect') headers['Expect'] = '100-continue'
  if (chunked) headers['Transfer-Encoding'] = 'chunked'
  else if (send.body !== undefined) headers['Content-Length'] = String(send.declared ?? bare.length)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const target = bytesOf(send.target)
  const head = Buffer.concat([
    Buffer.from(`${send.method} `),
    target,
    Buffer.from(` HTTP/1.1\r\n${lines.join('')}\r\n`),
  ])
  if (!chunked) return { head, body: bare }
  const piece = Buffer.concat([Buffer.from(`${bare.length.toString(16)}\r\n`), bare, Buffer.from('\r\n')])
  const last = send.framing === 'chunked' ? '0\r\n\r\n' : ''
  return { head, body: Buffer.concat([bare.length > 0 ? piece : Buffer.alloc(0), Buffer.from(last)]) }
}

function expectHeader(actual: string | undefined, rule: HeaderRule): void {
  if (rule === null) expect(actual).toBeUndefined()
  else if (typeof rule === 'string') expect(actual).toBe(rule)
  else if ('matches' in rule) expect(actual).toMatch(new RegExp(rule.matches))
  else for (const word of rule.includes) expect(actual?.toLowerCase()).toContain(word)
}

function expectReply(reply: Reply, expected: ExpectedReply, origin: string | undefined): void {
  expect([reply.status, expected.body === undefined ? undefined : reply.body]).toEqual([
    expected.status,
    expected.body,
  ])
  if (expected.type !== undefined) expect(reply.headers['content-type']).toBe(expected.type)
  if (expected.shape === 'error') {
    expect(JSON.parse(reply.body)).toMatchObject({ error: expect.any(String), status: expect.anything() })
  }
  if (expected.shape === 'gif_1x1') {
    expect(reply.bytes.toString('latin1', 0, 10)).toBe('GIF89a\x01\0\x01\0')
  }
  for (const [name, rule] of Object.entries(expected.headers ?? {})) expectHeader(reply.headers[name], rule)
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.headers['access-control-allow-origin']).toBe(origin)
  expect(reply.headers['access-control-allow-credentials']).toBe(origin && 'true')
  expect(reply.headers['vary']).toBe(origin && 'Origin')
}

function expectQueue(values: string[], expected: readonly ExpectedRecord[], userAgent?: string): void {
  const about = surroundings(values[0], userAgent)
  expect(values).toEqual(expectedRecords(expected, about).map(({ value }) => value))
}

const CASES = casesOf('http')

describe.each(Object.keys(SETUPS) as SetupName[])('golden vectors, set-up %s', (setup) => {
  let harness: Harness
  beforeAll(async () => {
    harness = await startIngest({ config: SETUPS[setup], budgetBytes: 2 ** 28 })
    if (setup === 'full') harness.log.state = 'full'
  })
  beforeEach(() => void harness.log.values.splice(0))
  afterAll(() => harness.close())

  const cases = CASES.filter((one) => one.setup === setup && one.vector.pipelined === undefined)
  test.each(cases.map((one) => [one.name, one.exchange] as const))('%s', async (_name, exchange) => {
    const { send, reply: expected, queue = [] } = exchange
    const client = await Client.open(harness.port)
    const { head, body } = wire(send)
    client.write(head)
    if (send.framing === 'expect') expect((await client.reply()).status).toBe(100)
    client.write(body)
    const reply = await client.reply(send.method)
    client.destroy()
    expectReply(reply, expected, send.headers?.['Origin'] ?? ORIGIN)
    expectQueue(harness.log.values, queue, send.headers?.['User-Agent'])
    expect(harness.budget.usedBytes).toBe(0)
  })

  const pipelined = new Set(
    CASES.filter((one) => one.setup === setup && one.vector.pipelined).map(({ vector }) => vector),
  )
  test.each([...pipelined].map((vector) => [vector.id, vector] as const))(
    '%i, in one piece',
    async (_id, vector) => {
      const client = await Client.open(harness.port)
      client.write(...vector.exchanges!.flatMap(({ send }) => Object.values(wire(send))))
      for (const { send, reply } of vector.exchanges!) {
        expectReply(await client.reply(send.method), reply, send.headers?.['Origin'] ?? ORIGIN)
      }
      client.destroy()
      const values = [...harness.log.values]
      for (const { queue = [] } of vector.exchanges!) expectQueue(values.splice(0, queue.length), queue)
      expect(values).toEqual([])
    },
  )
})

describe('recorded requests of SDKs', () => {
  let harness: Harness
  beforeAll(async () => {
    harness = await startIngest()
  })
  afterAll(() => harness.close())
  const expectations = new Map(captureExpectations().map((one) => [one.id, one]))

  test.each(captures().map((capture) => [capture.name, capture] as const))('%s', async (name, capture) => {
    harness.log.values.splice(0)
    const { reply, queue } = expectations.get(name)!
    const client = await Client.open(harness.port)
    client.write(capture.bytes)
    expectReply(await client.reply(capture.method), reply, capture.headers.get('origin'))
    client.destroy()
    expectQueue(harness.log.values, queue, capture.headers.get('user-agent'))
  })
})
