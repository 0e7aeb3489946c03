/** P4: the ledger, the metrics and the log say exactly what the clients were told. */
import { describe, expect, it } from 'vitest'
import { random } from '../log/support/random.js'
import { RawConnection, type RawRequest, type Reply, requestBytes } from '../support/http.js'
import { type Endpoint, ENDPOINTS } from '../../src/record.js'
import { missing } from '../support/require.js'
import { event, FORM, get, importable, post, postForm, postGzip, postJson } from './support/events.js'
import { type Counts, type ServerProcess, startServer, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const DECODERS = missing('native') === undefined ? ['native', 'reference'] : ['reference']
const BODY_LIMIT = 1024 * 1024
const ARGS = ['--log-max-bytes', '16MiB', '--log-segment-bytes', '1MiB', '--batch-bytes-max', '1MiB']

/** A request, and what its records become if it is answered 200 or, by strict rules, 400. */
interface Case {
  readonly kind: Endpoint
  readonly request: RawRequest
  /** accepted, rejected, ignored */
  readonly becomes: readonly [number, number, number]
  /** The body of the answer says so. */
  readonly tells: (body: string) => boolean
  /** Refused by the request's own size or form, before anything is counted. */
  readonly refused?: number
}

const isOne = (body: string): boolean => body === '1'
const isZero = (body: string): boolean => body === '0'
const verbose =
  (good: number, bad: number) =>
  (body: string): boolean => {
    const {
      status,
      num_good_events: told,
      num_bad_events: bads,
    } = JSON.parse(body) as Record<string, unknown>
    return status === (good > 0 ? 1 : 0) && (bad === 0 || good === 0 || (told === good && bads === bad))
  }
const strict =
  (good: number, bad: number) =>
  (body: string): boolean => {
    const { num_records_imported: told, failed_records: failed } = JSON.parse(body) as Record<string, unknown>
    return told === good && ((failed as unknown[] | undefined) ?? []).length === bad
  }

const profile = (more: object = { $set: { a: 1 } }): object => ({
  $token: 't0k',
  $distinct_id: 'u1',
  ...more,
})
const group = (more: object = { $set: { a: 1 } }): object => {
  return { $token: 't0k', $group_key: 'company', $group_id: 'acme', ...more }
}
const many = (count: number, make: (n: number) => object): object[] =>
  Array.from({ length: count }, (_, n) => make(n))

function casesOf(numbers: () => number): Case[] {
  const n = 1 + Math.floor(numbers() * 30)
  const good = many(n, (at) => event('e', { at, token: `t${at % 5}` }))
  const bad = { properties: {} }
  const ignored = event('e', { $ignore: true })
  const id = (at: number): string => `id-${Math.floor(numbers() * 1e9)}-${at}`
  return [
    { kind: 'track', request: postJson('/track', good), becomes: [n, 0, 0], tells: isOne },
    { kind: 'track', request: postForm('/track', [...good, bad, ignored]), becomes: [n, 1, 1], tells: isOne },
    {
      kind: 'track',
      request: postJson('/track?verbose=1', [bad, ...good, ignored, bad]),
      becomes: [n, 2, 1],
      tells: verbose(n + 1, 2),
    },
    { kind: 'track', request: get('/track', bad), becomes: [0, 1, 0], tells: isZero },
    { kind: 'track', request: get('/track', ignored), becomes: [0, 0, 1], tells: isOne },
    { kind: 'track', request: post('/track', '{"event":'), becomes: [0, 1, 0], tells: isZero },
    { kind: 'track', request: post('/track', ''), becomes: [0, 1, 0], tells: isZero },
    {
      kind: 'track',
      request: postJson(
        '/track',
        many(2001, () => event('e')),
      ),
      becomes: [0, 1, 0],
      tells: isZero,
    },
    {
      kind: 'track',
      request: post('/track', 'data=!!!', { 'Content-Type': FORM }),
      becomes: [0, 1, 0],
      tells: isZero,
    },
    {
      kind: 'engage',
      request: post('/engage', 'no gzip', { 'Content-Encoding': 'gzip' }),
      becomes: [0, 1, 0],
      tells: isZero,
    },
    {
      kind: 'engage',
      request: postGzip('/engage', JSON.stringify([profile(), profile({ $add: { a: 'x' } }), profile()])),
      becomes: [2, 1, 0],
      tells: isOne,
    },
    {
      kind: 'engage',
      request: postJson('/engage?strict=1', [profile(), profile({}), profile({ $unset: [] })]),
      becomes: [1, 2, 0],
      tells: strict(1, 2),
    },
    {
      kind: 'groups',
      request: postJson('/groups', [group(), group({ $distinct_id: 'x', $set: {} })]),
      becomes: [1, 1, 0],
      tells: isOne,
    },
    { kind: 'groups', request: postForm('/groups', group()), becomes: [1, 0, 0], tells: isOne },
    {
      kind: 'import',
      request: postJson('/import?strict=1', [...many(n, (at) => importable('e', id(at))), event('e')]),
      becomes: [n, 1, 0],
      tells: strict(n, 1),
    },
    {
      kind: 'import',
      request: postJson(
        '/import',
        many(n, (at) => importable('e', id(at))),
      ),
      becomes: [n, 0, 0],
      tells: isOne,
    },
    {
      kind: 'track',
      request: post('/track', 'x'.repeat(BODY_LIMIT + 1)),
      becomes: [0, 0, 0],
      tells: () => true,
      refused: 413,
    },
    {
      kind: 'import',
      request: postGzip('/import', Buffer.alloc(BODY_LIMIT * 3)),
      becomes: [0, 0, 0],
      tells: () => true,
      refused: 413,
    },
    {
      kind: 'groups',
      request: post('/groups', '{}', { 'Content-Encoding': 'br' }),
      becomes: [0, 0, 0],
      tells: () => true,
      refused: 415,
    },
  ]
}

/** What clients were told, added up. */
class Told {
  readonly counts = new Map<Endpoint, [number, number, number]>(ENDPOINTS.map((kind) => [kind, [0, 0, 0]]))
  readonly replies = new Map<string, number>()
  /** Records of the requests answered 503. */
  unavailable = 0

  add({ kind, becomes, tells, refused }: Case, { status, body }: Reply): void {
    const key = `${kind} ${status}`
    this.replies.set(key, (this.replies.get(key) ?? 0) + 1)
    if (status === 503) return void (this.unavailable += becomes.reduce((sum, count) => sum + count, 0))
    const text = body.toString()
    if (refused !== undefined) return void expect(status, text).toBe(refused)
    expect([200, 400]).toContain(status)
    expect(tells(text), `${kind}: ${text.slice(0, 300)} tells ${becomes.join(', ')}`).toBe(true)
    for (const [at, count] of becomes.entries()) this.counts.get(kind)![at]! += count
  }

  of(kind: Endpoint): Counts {
    const [accepted, rejected, ignored] = this.counts.get(kind)!
    return { received: accepted + rejected + ignored, accepted, rejected, ignored }
  }

  get all(): Counts {
    return ENDPOINTS.map((kind) => this.of(kind)).reduce((sum, one) => ({
      received: sum.received + one.received,
      accepted: sum.accepted + one.accepted,
      rejected: sum.rejected + one.rejected,
      ignored: sum.ignored + one.ignored,
    }))
  }
}

/** Several connections, each with all cases in an order of its own. */
async function mixedLoad(server: ServerProcess, told: Told, seed: number): Promise<void> {
  const talk = async (client: number): Promise<void> => {
    const numbers = random(seed * 100 + client)
    let connection: RawConnection | undefined
    for (const one of casesOf(numbers).toSorted(() => numbers() - 0.5)) {
      connection ??= await RawConnection.open(server.ingest)
      connection.write(requestBytes(one.request))
      const reply = await connection.reply()
      told.add(one, reply)
      if (reply.headers.get('connection') !== 'close') continue
      connection.destroy()
      connection = undefined
    }
    connection?.destroy()
  }
  await Promise.all(Array.from({ length: 6 }, (_, client) => talk(client)))
}

async function expectExact(server: ServerProcess, told: Told): Promise<void> {
  const status = await server.status()
  expect(status.ledger).toEqual(told.all)
  for (const kind of ENDPOINTS) expect(status.ledger_by_kind[kind], kind).toEqual(told.of(kind))
  // Only what comes in the moment in which the log finds itself full is decoded and then refused.
  expect(status.unavailable).toBeLessThanOrEqual(told.unavailable)
  expect(status.log.next_offset).toBe(told.all.accepted)
  expect(status.log.durable_offset).toBe(told.all.accepted)

  const metrics = await server.metrics()
  for (const kind of ENDPOINTS) {
    for (const outcome of ['accepted', 'rejected', 'ignored'] as const) {
      const name = `sluicegate_records_total{kind="${kind}",outcome="${outcome}"}`
      expect(metrics.get(name), name).toBe(told.of(kind)[outcome])
    }
  }
  const replies = [...metrics].flatMap(([name, value]) => {
    const [, kind, code] =
      /^sluicegate_http_requests_total{endpoint="(\w+)",status="(\d+)"}$/.exec(name) ?? []
    return kind === undefined ? [] : [[`${kind} ${code}`, value] as const]
  })
  expect(new Map(replies)).toEqual(told.replies)
}

describe.each(DECODERS)('P4: what clients were told is what is counted, %s decoder', (decoder) => {
  it('exactly, per kind and outcome, by ledger, metrics and log, also once the log is full', async () => {
    const dataDir = workspace()
    const args = [...ARGS, '--body-limit-bytes', String(BODY_LIMIT), '--decoder', decoder]
    const server = await startServer({ dataDir, args })
    const told = new Told()
    await mixedLoad(server, told, 1)
    await mixedLoad(server, told, 2)
    await expectExact(server, told)
    expect(told.all.accepted).toBeGreaterThan(500)

    const pad = 'x'.repeat(5000)
    const filler: Case = {
      kind: 'track',
      request: postJson(
        '/track',
        many(100, () => event('fill', { pad })),
      ),
      becomes: [100, 0, 0],
      tells: isOne,
    }
    const connection = await RawConnection.open(server.ingest)
    for (let status = 200; status === 200;) {
      connection.write(requestBytes(filler.request))
      const reply = await connection.reply()
      told.add(filler, reply)
      status = reply.status
    }
    connection.destroy()
    await mixedLoad(server, told, 3)
    await expectExact(server, told)
    expect(told.replies.get('track 503')).toBeGreaterThan(5)
    expect(told.replies.get('import 503')).toBeGreaterThan(5)

    const kinds = (await tail(dataDir)).map(({ kind }) => kind)
    for (const kind of ENDPOINTS) {
      expect(
        kinds.filter((found) => found === kind),
        kind,
      ).toHaveLength(told.of(kind).accepted)
    }
  })
})
