/** The npm client `mixpanel` as it is, against a whole server: golden vector 134 of docs/PROTOCOL.md 12. */
import Mixpanel from 'mixpanel'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeWith } from '../support/require.js'
import { type Envelope, TestServer } from './support/server.js'

type Client = Mixpanel.Mixpanel
type Callback = (error?: Error | Error[] | null) => void

/** A call of the client and the one record that it must put on the queue. */
interface Call {
  readonly name: string
  readonly make: (client: Client, callback: Callback) => void
  readonly envelope: Partial<Envelope>
}

const TOKEN = 'tok_node'
const LIB = 'node/0.24.0'
/** Its base64 holds `+` and `/`, which this client writes into forms as they are. */
const PLUS = '>>>???~~~'
/** What single events carry beside their own properties. */
const OWN = { token: TOKEN, mp_lib: 'node', $lib_version: '0.24.0' }
const IMPORT_TIME = new Date('2024-02-03T04:05:06.789Z')
const MODIFIERS = { $ip: '136.24.0.114', $time: 1_700_000_000, $ignore_time: true, $ignore_alias: true }
/** Its types want text, its code a number or a Date. */
const TYPED_MODIFIERS = MODIFIERS as unknown as Mixpanel.Modifiers

const profile = (operation: object): Partial<Envelope> => ({
  kind: 'engage',
  distinct_id: 'u1',
  record: { $token: TOKEN, $distinct_id: 'u1', ...operation },
})

const group = (operation: object): Partial<Envelope> => ({
  kind: 'groups',
  distinct_id: null,
  distinct_id_source: 'none',
  record: { $token: TOKEN, $group_key: 'company', $group_id: 'acme', ...operation },
})

const EVENTS: readonly Call[] = [
  {
    name: 'track',
    make: (client, callback) =>
      client.track('Signed Up', { distinct_id: 'u1', name: `hélène ${PLUS}`, big: 2 ** 53 - 1 }, callback),
    envelope: {
      lib: LIB,
      record: {
        event: 'Signed Up',
        properties: { distinct_id: 'u1', name: `hélène ${PLUS}`, big: 2 ** 53 - 1, ...OWN },
      },
    },
  },
  {
    name: 'track without properties',
    make: (client, callback) => client.track('🌳', callback),
    envelope: {
      lib: LIB,
      distinct_id: null,
      distinct_id_source: 'none',
      record: { event: '🌳', properties: OWN },
    },
  },
  {
    name: 'track with a Date',
    make: (client, callback) =>
      client.track('Dated', { distinct_id: 'u1', time: new Date(1_700_000_000_123) }, callback),
    envelope: {
      lib: LIB,
      time_ms: 1_700_000_000_123,
      flags: ['late'],
      record: { event: 'Dated', properties: { distinct_id: 'u1', time: 1_700_000_000_123, ...OWN } },
    },
  },
  {
    name: 'alias',
    make: (client, callback) => client.alias('u1', 'helene', callback),
    envelope: {
      lib: LIB,
      record: { event: '$create_alias', properties: { distinct_id: 'u1', alias: 'helene', ...OWN } },
    },
  },
]

const PEOPLE: readonly Call[] = [
  {
    name: 'people.set',
    make: ({ people }, callback) => people.set('u1', { plan: 'pro', note: PLUS }, callback),
    envelope: profile({ $set: { plan: 'pro', note: PLUS } }),
  },
  {
    name: 'people.set of one property, with every modifier',
    make: ({ people }, callback) => people.set('u1', 'plan', 'pro', TYPED_MODIFIERS, callback),
    envelope: {
      ...profile({ $set: { plan: 'pro' }, ...MODIFIERS }),
      geo: 'property',
      time_ms: 1_700_000_000_000,
    },
  },
  {
    name: 'people.set_once',
    make: ({ people }, callback) => people.set_once('u1', 'first', '2026', callback),
    envelope: profile({ $set_once: { first: '2026' } }),
  },
  {
    name: 'people.increment',
    make: ({ people }, callback) => people.increment('u1', 'visits', 3, callback),
    envelope: profile({ $add: { visits: 3 } }),
  },
  {
    name: 'people.increment of several',
    make: ({ people }, callback) => people.increment('u1', { credits: -3, score: 0.5 }, callback),
    envelope: profile({ $add: { credits: -3, score: 0.5 } }),
  },
  {
    name: 'people.append',
    make: ({ people }, callback) => people.append('u1', 'pages', 'home', callback),
    envelope: profile({ $append: { pages: 'home' } }),
  },
  {
    name: 'people.track_charge',
    make: ({ people }, callback) => people.track_charge('u1', 29.99, { $time: new Date(0) }, callback),
    envelope: profile({ $append: { $transactions: { $time: '1970-01-01T00:00:00.000Z', $amount: 29.99 } } }),
  },
  {
    name: 'people.clear_charges',
    make: ({ people }, callback) => people.clear_charges('u1', callback),
    envelope: profile({ $set: { $transactions: [] } }),
  },
  {
    name: 'people.remove',
    make: ({ people }, callback) => people.remove('u1', { browsers: 'firefox' }, callback),
    envelope: profile({ $remove: { browsers: 'firefox' } }),
  },
  {
    name: 'people.union',
    make: ({ people }, callback) => people.union('u1', { browsers: ['firefox', 'chrome'] }, callback),
    envelope: profile({ $union: { browsers: ['firefox', 'chrome'] } }),
  },
  {
    name: 'people.unset',
    make: ({ people }, callback) => people.unset('u1', ['visits', 'pages'], callback),
    envelope: profile({ $unset: ['visits', 'pages'] }),
  },
  {
    name: 'people.delete_user',
    make: ({ people }, callback) => people.delete_user('u1', callback),
    envelope: profile({ $delete: '' }),
  },
]

const GROUPS: readonly Call[] = [
  {
    name: 'groups.set',
    make: ({ groups }, callback) => groups.set('company', 'acme', { seats: 12, name: PLUS }, callback),
    envelope: group({ $set: { seats: 12, name: PLUS } }),
  },
  {
    name: 'groups.set_once',
    make: ({ groups }, callback) => groups.set_once('company', 'acme', 'since', '2026', callback),
    envelope: group({ $set_once: { since: '2026' } }),
  },
  {
    name: 'groups.remove',
    make: ({ groups }, callback) => groups.remove('company', 'acme', { products: 'anvil' }, callback),
    envelope: group({ $remove: { products: 'anvil' } }),
  },
  {
    name: 'groups.union',
    make: ({ groups }, callback) => groups.union('company', 'acme', { products: 'anvil' }, callback),
    envelope: group({ $union: { products: ['anvil'] } }),
  },
  {
    name: 'groups.unset',
    make: ({ groups }, callback) => groups.unset('company', 'acme', 'products', callback),
    envelope: group({ $unset: ['products'] }),
  },
  {
    name: 'groups.delete_group',
    make: ({ groups }, callback) => groups.delete_group('company', 'acme', callback),
    envelope: group({ $delete: '' }),
  },
]

const IMPORTS: readonly Call[] = [
  {
    name: 'import',
    make: (client, callback) => client.import('Old', IMPORT_TIME, { distinct_id: 'u1', s: PLUS }, callback),
    envelope: {
      kind: 'import',
      lib: LIB,
      time_ms: IMPORT_TIME.getTime(),
      record: {
        event: 'Old',
        properties: { distinct_id: 'u1', s: PLUS, time: IMPORT_TIME.getTime(), ...OWN },
      },
    },
  },
]

const CALLS = [...EVENTS, ...PEOPLE, ...GROUPS, ...IMPORTS]

/** A tracked event of u1 without anything special, sent by this machine. */
const ORDINARY = {
  v: 1,
  kind: 'track',
  token: TOKEN,
  project_id: null,
  request_id: expect.stringMatching(/^[0-9A-Za-z]+$/),
  index: 0,
  ip: null,
  geo: 'none',
  ua: null,
  lib: null,
  insert_id_source: 'generated',
  distinct_id: 'u1',
  distinct_id_source: 'record',
  flags: [],
}

/** The whole envelope: nothing may be missing and nothing may be there beside it. */
function expectEnvelope(actual: Envelope | undefined, expected: Partial<Envelope>): void {
  expect(actual).toBeDefined()
  const { received_ms, request_id, index } = actual!
  expect(Math.abs(received_ms - Date.now())).toBeLessThan(60_000)
  const rest = { received_ms, time_ms: received_ms, insert_id: `${request_id}-${index}` }
  expect(actual).toEqual({ ...ORDINARY, ...rest, ...expected })
}

/** Without these the client would send through a proxy. */
const PROXY_VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']

/** It warns at every start that `key` is going away. */
const QUIET = { trace: none, debug: none, info: none, warn: none, error: none }
function none(): void {}

/** `key` is missing in its types. */
type Settings = Partial<Mixpanel.InitConfig> & { readonly key?: string }

function clientOf(server: TestServer, settings: Settings = {}): Client {
  const config: Settings = { host: server.host, protocol: 'http', key: 'k', logger: QUIET, ...settings }
  return Mixpanel.init(TOKEN, config)
}

const CALLBACK_MS_MAX = 20_000

/** What the callback was given: undefined or null is success. Rejects when it is never called. */
function called(make: (callback: Callback) => void): Promise<Error | Error[] | null | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the callback was never called')), CALLBACK_MS_MAX)
    make((error) => {
      clearTimeout(timer)
      resolve(error)
    })
  })
}

function suite(decoder: 'native' | 'reference'): void {
  let server: TestServer

  beforeEach(async () => {
    for (const name of PROXY_VARIABLES) delete process.env[name]
    server = await TestServer.start({ decoder })
  })
  afterEach(() => server.remove())

  for (const { name, make, envelope } of CALLS) {
    it(`134: ${name} is answered without an error and is on the queue once`, async () => {
      const client = clientOf(server)
      expect(await called((callback) => make(client, callback))).toBeFalsy()
      const queue = await server.queue()
      expect(queue).toHaveLength(1)
      expectEnvelope(queue[0], envelope)
      expect(await server.rejects()).toEqual([])
    })
  }

  it('134: all calls at once, on connections that are kept, lose nothing and double nothing', async () => {
    const client = clientOf(server)
    const rounds = [0, 1, 2, 3].flatMap(() => CALLS)
    const errors = await Promise.all(rounds.map(({ make }) => called((callback) => make(client, callback))))
    expect(errors.filter(Boolean)).toEqual([])
    const queue = await server.queue()
    expect(queue).toHaveLength(rounds.length)
    const texts = (records: (object | undefined)[]): string[] =>
      records.map((record) => JSON.stringify(Object.entries(record!).toSorted())).toSorted()
    expect(texts(queue.map(({ record }) => record))).toEqual(
      texts(rounds.map(({ envelope }) => envelope.record)),
    )
  })

  it.each(['track', 'import'] as const)(
    '134: %s_batch keeps every event once and in order (R8)',
    async (kind) => {
      const events = Array.from({ length: 120 }, (_, n) => ({
        event: `e${n}`,
        properties: { distinct_id: 'u1', time: new Date(IMPORT_TIME.getTime() + n), s: PLUS, n },
      }))
      const client = clientOf(server)
      // The types let a batch of names come first, and TypeScript reads the last overload only.
      const send = (kind === 'track' ? client.track_batch : client.import_batch) as Client['import_batch'] &
        ((events: readonly object[], options: Mixpanel.BatchOptions, callback: Callback) => void)
      // One request after the other: 50, 50 and 20.
      const options = { max_batch_size: 50, max_concurrent_requests: 1 }
      expect(await called((callback) => send(events, options, callback))).toBeNull()
      const queue = await server.queue()
      expect(queue).toHaveLength(120)
      for (const [n, envelope] of queue.entries()) {
        const time = IMPORT_TIME.getTime() + n
        expectEnvelope(envelope, {
          kind,
          index: n % 50,
          time_ms: time,
          flags: kind === 'track' ? ['late'] : [],
          record: { event: `e${n}`, properties: { distinct_id: 'u1', time, s: PLUS, n, token: TOKEN } },
        })
      }
      expect(new Set(queue.map(({ request_id }) => request_id)).size).toBe(3)
    },
  )

  it('134: test, geolocate, verbose and a path reach the server', async () => {
    await server.stop()
    await server.start({ mountPrefix: '/mp' })
    const client = clientOf(server, { test: true, geolocate: true, verbose: true, path: '/mp' })
    const record = { event: 'E', properties: { distinct_id: 'u1', ...OWN } }
    expect(await called((callback) => client.track('E', { distinct_id: 'u1' }, callback))).toBeUndefined()
    const [envelope] = await server.queue()
    expectEnvelope(envelope, { flags: ['test'], ip: '127.0.0.1', geo: 'request', lib: LIB, record })
  })

  it('an invalid event is an error in the callback and kept as rejected', async () => {
    const error = await called((callback) => clientOf(server).track('', {}, callback))
    expect(error).toMatchObject({ message: 'Mixpanel Server Error: 0' })
    const verbose = clientOf(server, { verbose: true })
    expect(await called((callback) => verbose.track('', {}, callback))).toMatchObject({
      message: 'Mixpanel Server Error: event, missing or empty',
    })
    expect(await server.queue()).toEqual([])
    await server.stop()
    expect(await server.rejects()).toHaveLength(2)
  })

  it('R1: while the log cannot be written every call ends in an error, and none of them is kept', async () => {
    server.disk.error = 'EIO'
    for (const { make } of CALLS) {
      const error = await called((callback) => make(clientOf(server), callback))
      expect((error as Error).message).toContain('unavailable, retry later')
    }
    server.disk.error = undefined
    await server.stop()
    expect(await server.queue()).toEqual([])
    await server.start()
    expect(await called((callback) => clientOf(server).track('Back', {}, callback))).toBeUndefined()
    expect((await server.queue()).map(({ record }) => record['event'])).toEqual(['Back'])
  })

  it('127: an api_key that is not listed is an error in the callback, one that is listed names the project', async () => {
    const entry = { token: TOKEN, projectId: '42', apiKeys: ['k'], secrets: [], serviceAccounts: [] }
    await server.stop()
    await server.start({ auth: 'tokens', tokens: [entry], tokensFile: 'given' })
    const importOld = (key: string) =>
      called((callback) =>
        clientOf(server, { key }).import('Old', IMPORT_TIME, { distinct_id: 'u1' }, callback),
      )
    expect(await importOld('other')).toMatchObject({
      message: expect.stringContaining('Invalid credentials'),
    })
    expect(await server.queue()).toEqual([])
    expect(await importOld('k')).toBeUndefined()
    expect(await server.queue()).toMatchObject([{ project_id: '42', token: TOKEN }])
  })
}

describe('mixpanel (npm) with the reference decoder', () => suite('reference'))
describeWith('native', 'mixpanel (npm) with the native decoder', () => suite('native'))
