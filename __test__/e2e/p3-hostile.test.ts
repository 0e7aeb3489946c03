/** P3: one bad event never harms its neighbours; a bad request never harms the process. */
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { random } from '../log/support/random.js'
import { exchange, RawConnection, requestBytes } from '../support/http.js'
import { describeWith, missing } from '../support/require.js'
import { event, FORM, get, JSON_TYPE, post, postForm, postJson } from './support/events.js'
import { ROOT, type ServerProcess, startServer, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const PANIC = ['--import', join(ROOT, '__test__/e2e/support/panic.mjs')]
const DECODERS = missing('native') === undefined ? ['native', 'reference'] : ['reference']
const MILLION = 1_000_000

const nested = (open: string, close: string): string => open.repeat(MILLION) + close.repeat(MILLION)

/** Bodies that break parsers, each a whole request. */
const HOSTILE: readonly [string, Buffer | string][] = [
  ['a million open brackets', '['.repeat(MILLION)],
  ['a million nested lists', nested('[', ']')],
  ['a million nested objects', `${'{"a":'.repeat(MILLION)}1${'}'.repeat(MILLION)}`],
  [
    'a million nested lists in a property',
    `{"event":"e","properties":{"token":"t0k","x":${nested('[', ']')}}}`,
  ],
  ['a string that never ends', `{"event":"${'x'.repeat(MILLION)}`],
  ['a million escapes', `{"event":"e","properties":{"token":"t0k","x":"${'\\u0000'.repeat(MILLION)}"}}`],
  [
    'a number of a million digits',
    `{"event":"e","properties":{"token":"t0k","time":${'9'.repeat(MILLION)}}}`,
  ],
  ['a huge exponent', '{"event":"e","properties":{"token":"t0k","time":1e999999999999999999999}}'],
  ['a million commas', `[${','.repeat(MILLION)}]`],
  ['zeroes', Buffer.alloc(MILLION)],
  ['0xff', Buffer.alloc(MILLION, 0xff)],
  ['percent signs', `data=${'%'.repeat(MILLION)}`],
  [
    'a million equal keys',
    `{${'"__proto__":1,'.repeat(MILLION / 20)}"event":"e","properties":{"token":"t0k"}}`,
  ],
]

/** Good events before, between and behind; the process is the same one at the end. */
async function expectUnharmed(
  server: ServerProcess,
  name: string,
  attack: () => Promise<void>,
): Promise<void> {
  const before = await exchange(server.ingest, postJson('/track', event(`before ${name}`)))
  await attack()
  const after = await exchange(server.ingest, postForm('/track', event(`after ${name}`)))
  expect(
    [before, after].map(({ status, body }) => `${status} ${body.toString()}`),
    name,
  ).toEqual(['200 1', '200 1'])
}

describe.each(DECODERS)('P3: hostile requests, %s decoder', (decoder) => {
  it('leave the process alive and every good event in the log', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: ['--decoder', decoder] })
    for (const [name, body] of HOSTILE) {
      await expectUnharmed(server, name, async () => {
        for (const type of [JSON_TYPE, FORM]) {
          const reply = await exchange(
            server.ingest,
            post('/track?verbose=1', body, { 'Content-Type': type }),
          )
          expect(reply.status, `${name}, ${type}`).toBe(200)
        }
      })
    }
    const status = await server.status()
    expect(status.decoder_panics).toBe(0)
    expect(server.process.exit).toBeUndefined()
    const good = (await tail(dataDir)).filter(({ record }) => record.event?.match(/^(before|after) /))
    expect(good).toHaveLength(2 * HOSTILE.length)
  })

  it('random bytes, and good requests with random changes, are answered one and all', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: ['--decoder', decoder] })
    const numbers = random(decoder.length)
    const byte = (): number => Math.floor(numbers() * 256)
    const good = requestBytes(postJson('/track', [event('a', { x: 'é€😀' }), event('b')]))
    const bodyAt = good.indexOf('\r\n\r\n') + 4
    const connection = await RawConnection.open(server.ingest)
    for (let round = 0; round < 300; round++) {
      const noise = Buffer.from(Array.from({ length: 1 + Math.floor(numbers() * 300) }, byte))
      const type = [JSON_TYPE, FORM, 'text/plain', 'application/x-ndjson'][round % 4]!
      const coding: Record<string, string> = round % 5 === 0 ? { 'Content-Encoding': 'gzip' } : {}
      const body = round % 10 === 0 ? gzipSync(noise) : noise
      const mutated = Buffer.from(good)
      for (let change = 0; change <= round % 4; change++) {
        mutated[bodyAt + Math.floor(numbers() * (good.length - bodyAt))] = byte()
      }
      for (const request of [
        requestBytes(post('/track', body, { 'Content-Type': type, ...coding })),
        mutated,
      ]) {
        connection.write(request)
        expect((await connection.reply()).status).toBe(200)
      }
    }
    connection.write(requestBytes(get('/track', event('last'))))
    expect((await connection.reply()).body.toString()).toBe('1')
    connection.destroy()
    const { ledger, decoder_panics: panics } = await server.status()
    expect(ledger.received).toBe(ledger.accepted + ledger.rejected + ledger.ignored)
    expect(ledger.received).toBeGreaterThan(600)
    expect(panics).toBe(0)
  })

  it('bytes that are not HTTP get an answer in JSON or a closed connection, and harm nobody', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: ['--decoder', decoder] })
    const numbers = random(7)
    await expectUnharmed(server, 'noise', async () => {
      for (let round = 0; round < 60; round++) {
        const connection = await RawConnection.open(server.ingest)
        const bytes = Array.from({ length: 1 + Math.floor(numbers() * 2000) }, () =>
          Math.floor(numbers() * 256),
        )
        connection.write(Buffer.from(bytes))
        connection.end()
        const reply = await connection.reply().catch(() => undefined)
        if (reply !== undefined) {
          expect(reply.status).toBe(400)
          expect(JSON.parse(reply.body.toString())).toMatchObject({ status: 0 })
        }
        connection.destroy()
      }
    })
    expect(server.process.exit).toBeUndefined()
  })
})

describeWith('native', 'P3: a panic in the native decoder', () => {
  it('is counted, the same request is kept all the same, neighbours are unharmed', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, nodeArgs: PANIC, args: ['--decoder', 'native'] })
    const events = ['a', 'b', 'c'].map((name) => event(name, { x: 'PANIC_ON' }))
    await expectUnharmed(server, 'panic', async () => {
      const requests = [postJson('/track', [events[0], { event: 7 }, events[1]]), get('/track', events[2])]
      const concurrent = Array.from({ length: 20 }, (_, n) => postJson('/track', event('other', { n })))
      const replies = await Promise.all(
        [...requests, ...concurrent].map((one) => exchange(server.ingest, one)),
      )
      expect(new Set(replies.map(({ status, body }) => `${status} ${body.toString()}`))).toEqual(
        new Set(['200 1']),
      )
    })
    const status = await server.status()
    expect(status.decoder).toBe('native')
    // A GET's base64 hides the marker.
    expect(status.decoder_panics).toBeGreaterThan(0)
    expect((await server.metrics()).get('sluicegate_decoder_panics_total')).toBe(status.decoder_panics)
    expect(status.ledger).toEqual({ received: 26, accepted: 25, rejected: 1, ignored: 0 })
    const names = (await tail(dataDir)).map(({ record }) => record.event!)
    expect(names.toSorted()).toEqual(
      ['after panic', 'a', 'b', 'before panic', 'c', ...Array<string>(20).fill('other')].toSorted(),
    )
  })
})
