/**
 * The npm client `mixpanel-browser` in a real Chromium, on a page of another origin, against a whole server: golden
 * vectors 135 and 136 of docs/PROTOCOL.md 12. What the client itself does not promise is not asked of it: the order of
 * events of one tick, and what is tracked in the tick of the unload (docs/PROTOCOL.md 13).
 */
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { describeWith } from '../support/require.js'
import { Browser, trackQueued, type Visit } from './support/browser.js'
import { Front } from './support/front.js'
import { type Envelope, propertiesOf, TestServer, until } from './support/server.js'

const TOKEN = 'tok_web'
const EVENTS = 120
const TREE = '🌳'

const VIEWED = trackQueued(`${TREE} Viewed`, `{ n, text: 'naïve 👩‍👩‍👧 >>>???~~~' }`)

/** Numbered events from `first` on, an emoji in name and properties. */
const track = (events: number, first = 0): string => `
  await Promise.all(Array.from({ length: ${events} }, (_, index) => {
    const n = ${first} + index
    return ${VIEWED}
  }))`

/** The same, a few at a time, so that several requests leave while things happen to the server. */
const trackSlowly = (events: number): string => `
  const queued = []
  for (let n = 0; n < ${events}; n++) {
    queued.push(${VIEWED})
    if (n % 4 === 3) await new Promise((resolve) => setTimeout(resolve, 80))
  }
  await Promise.all(queued)`

const PROFILES = `
  mixpanel.identify('u1')
  mixpanel.people.set({ plan: 'pro ${TREE}' })
  mixpanel.people.set_once({ first: 1 })
  mixpanel.people.increment('visits', 2)
  mixpanel.people.append('pages', 'home')
  mixpanel.people.union('tags', ['a', 'b'])
  mixpanel.people.remove('tags', 'a')
  mixpanel.people.unset('old')
  mixpanel.people.clear_charges()
  mixpanel.people.delete_user()
  const company = mixpanel.get_group('company', 'acme')
  company.set({ seats: 12, name: '${TREE}' })
  company.set_once('since', 2026)
  company.union('products', ['anvil'])
  company.remove('products', 'anvil')
  company.unset('old')
  company.delete()`

/** What PROFILES makes; track_charge does nothing any more in this client. */
const PEOPLE_OPERATIONS: readonly (readonly [string, unknown])[] = [
  ['$set', expect.objectContaining({ plan: `pro ${TREE}`, $browser: 'Chrome' })],
  ['$set_once', { first: 1 }],
  ['$add', { visits: 2 }],
  ['$append', { pages: 'home' }],
  ['$union', { tags: ['a', 'b'] }],
  ['$remove', { tags: 'a' }],
  ['$unset', ['old']],
  ['$set', expect.objectContaining({ $transactions: [] })],
  ['$delete', 'u1'],
]
const GROUP_OPERATIONS = [
  { $set: { seats: 12, name: TREE } },
  { $set_once: { since: 2026 } },
  { $union: { products: ['anvil'] } },
  { $remove: { products: 'anvil' } },
  { $unset: ['old'] },
  { $delete: '' },
]

const COMPANY = { $token: TOKEN, $group_key: 'company', $group_id: 'acme' }
const IDENTITY = new Set(['$token', '$distinct_id', '$device_id', '$user_id', '$group_key', '$group_id'])

/** The numbers that came, each as often as it came with an $insert_id of its own: the client may send twice. */
function numbers(queue: readonly Envelope[]): number[] {
  const seen = new Map<string, number>()
  for (const envelope of queue) {
    const { n } = propertiesOf(envelope)
    if (typeof n === 'number') seen.set(envelope.insert_id, n)
  }
  return [...seen.values()].toSorted((a, b) => a - b)
}

const upTo = (events: number): number[] => Array.from({ length: events }, (_, n) => n)

describeWith('chromium', 'mixpanel-browser in Chromium', () => {
  let browser: Browser
  let server: TestServer
  let visit: Visit

  beforeAll(async () => {
    browser = await Browser.start()
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    server = await TestServer.start()
    visit = await browser.open()
  })
  afterEach(async () => {
    await visit.page.close()
    await server.remove()
  })

  const init = (config: Readonly<Record<string, unknown>> = {}): Promise<void> =>
    visit.init(TOKEN, { api_host: server.url, ...config })
  const sentAll = (): Promise<void> =>
    until('an empty queue in localStorage', async () => (await visit.waiting(TOKEN)) === 0, 40_000)
  const statuses = (): (number | undefined)[] => visit.exchanges.map(({ status }) => status)

  it.each(['base64', 'json'] as const)(
    '135: every event, profile and group arrives once, as %s',
    async (format) => {
      await init({ api_payload_format: format, debug: true })
      await visit.run(`${PROFILES}\n${track(EVENTS)}`)
      await sentAll()

      const queue = await server.queue()
      const events = queue.filter((envelope) => propertiesOf(envelope)['n'] !== undefined)
      expect(events).toHaveLength(EVENTS)
      expect(numbers(events)).toEqual(upTo(EVENTS))
      for (const event of events) expectEvent(event, format)
      const [people, groups] = [operationsOf(queue, 'engage'), operationsOf(queue, 'groups')]
      expect(people).toHaveLength(PEOPLE_OPERATIONS.length)
      expect(groups).toHaveLength(GROUP_OPERATIONS.length)
      expectOperations(queue)
      // Two are the client's own: the event of identify(), and a $set_once of the first referrer.
      expect(queue).toHaveLength(EVENTS + PEOPLE_OPERATIONS.length + GROUP_OPERATIONS.length + 2)
      expect(await visit.errors()).toEqual([])
      // Events of one tick wait for each other at the client's own lock, and in debug mode it says so.
      expect(visit.complaints.filter((line) => !line.includes('[lock] Timeout waiting'))).toEqual([])
      const [first] = visit.sent('/track/')
      expect(first!.body).toMatch(format === 'json' ? /^data=%5B%7B/ : /^data=W3si/)
    },
  )

  it('135: GET, one request an event (R6, R7)', async () => {
    await init({ api_method: 'GET', batch_requests: false })
    const callbacks = await visit.run(`
      return Promise.all(Array.from({ length: 20 }, (_, n) => new Promise((resolve) => {
        mixpanel.track('${TREE} Viewed', { n, text: '>>>???~~~' }, resolve)
      })))`)
    expect(callbacks).toEqual(Array.from({ length: 20 }, () => 1))
    expect(numbers(await server.queue())).toEqual(upTo(20))
    expect(new Set(visit.sent('/track/').map(({ method }) => method))).toEqual(new Set(['GET']))
    expect(visit.complaints).toEqual([])
  })

  it('135: a single beacon', async () => {
    await init({ batch_requests: false })
    await visit.run(`mixpanel.track('${TREE} Viewed', { n: 0 }, { transport: 'sendBeacon' })`)
    await until('the event', async () => (await server.queue()).length === 1)
    expect(numbers(await server.queue())).toEqual([0])
    expect(visit.sent('/track/')[0]!.contentType).toBe('text/plain;charset=UTF-8')
  })

  it('135: the beacon at page unload brings what waits; the next page sends it again (R11)', async () => {
    const front = await Front.start(server)
    try {
      // Long enough that only the beacon can bring them; the next page takes them over after two such intervals.
      await init({ api_host: front.url, batch_flush_interval_ms: 5000 })
      await visit.run(track(10))
      await until('ten events in localStorage', async () => (await visit.waiting(TOKEN)) === 10)
      await visit.page.goto('about:blank')
      await until('ten events in the log', async () => (await server.queue()).length === 10)
      expect(numbers(await server.queue())).toEqual(upTo(10))
      expect(front.seen).toEqual(['POST /track/ text/plain;charset=UTF-8'])
    } finally {
      await front.close()
    }

    await visit.load()
    expect(await visit.waiting(TOKEN)).toBe(10)
    await init()
    await sentAll()
    const queue = await server.queue()
    expect(queue).toHaveLength(20)
    expect(numbers(queue)).toEqual(upTo(10))
  })

  it('131-133: flags, settings and the session recorder keep the console quiet', async () => {
    await init({
      flags: true,
      remote_settings_mode: 'strict',
      record_sessions_percent: 100,
      record_heatmap_data: true,
    })
    await visit.run(`
      await mixpanel.flags?.when_ready?.()
      mixpanel.start_session_recording()
      document.body.innerHTML = '<button>Buy</button>'
      document.querySelector('button').click()
      mixpanel.track('${TREE} Viewed', { n: 0 })`)
    await until('the event', async () => numbers(await server.queue()).length === 1)
    await until('flags', () => visit.sent('/flags/')[0]?.status === 200)
    await until('settings', () => visit.sent('/settings/')[0]?.status === 200)
    // The recorder starts when it is ready; what is stopped before that has recorded nothing.
    const recording = 'return mixpanel.get_session_recording_properties().$mp_replay_id !== undefined'
    await until('the recorder', async () => (await visit.run(recording)) === true)
    await visit.run(`document.querySelector('button').click()`)
    await visit.run('mixpanel.stop_session_recording()')
    await until('a recording', () => visit.sent('/record/')[0]?.status === 200)
    expect(visit.complaints).toEqual([])
    expect(await visit.errors()).toEqual([])
    // The recorder's data is no event.
    expect(
      (await server.queue()).filter((envelope) => propertiesOf(envelope)['n'] === undefined),
    ).toHaveLength(0)
    await server.stop()
    expect(await server.rejects()).toEqual([])
  })

  it.each([
    ['fails', 'EIO'],
    ['is full', 'ENOSPC'],
  ])('136, P2: two seconds in which the disk %s cost nothing', async (_, code) => {
    await init()
    server.disk.error = code
    await visit.run(`${PROFILES}\n${track(EVENTS)}`)
    await new Promise((resolve) => setTimeout(resolve, 2000))
    expect(await server.queue()).toEqual([])
    server.disk.error = undefined
    await sentAll()
    const queue = await server.queue()
    expect(numbers(queue)).toEqual(upTo(EVENTS))
    expectOperations(queue)
    expect(statuses()).toContain(503)
    expect((await visit.errors()).filter((error) => !isRefusal(error))).toEqual([])
  })

  it('136, R6: the same with the CORS headers taken off the 503 loses events: the test above can fail', async () => {
    const front = await Front.start(server)
    try {
      front.stripCors = true
      await init({ api_host: front.url })
      server.disk.error = 'EIO'
      await visit.run(track(EVENTS))
      await sentAll()
      server.disk.error = undefined
      expect(await server.queue()).toEqual([])

      // And with them it does not.
      front.stripCors = false
      await until('a writable log', async () => (await fetch(`${server.url}/track?data=e30`)).status === 200)
      server.disk.error = 'EIO'
      await visit.run(track(EVENTS))
      await new Promise((resolve) => setTimeout(resolve, 1000))
      server.disk.error = undefined
      await sentAll()
      expect(numbers(await server.queue())).toEqual(upTo(EVENTS))
    } finally {
      await front.close()
    }
  })

  it('136, P2: beyond the connection limit nothing is lost', async () => {
    await server.stop()
    await server.start({ connectionsMax: 2 })
    const idle = await Promise.all([0, 1].map(() => connected(server)))
    try {
      await init()
      const tracking = visit.run(trackSlowly(EVENTS))
      await until('a refusal', () => statuses().includes(503))
      await new Promise((resolve) => setTimeout(resolve, 2000))
      for (const socket of idle) socket.destroy()
      await tracking
      await sentAll()
    } finally {
      for (const socket of idle) socket.destroy()
    }
    expect(numbers(await server.queue())).toEqual(upTo(EVENTS))
    expect((await visit.errors()).filter((error) => !isRefusal(error))).toEqual([])
  })

  it('P2: a batch whose records do not fit one piece of the log is halved by the client until all of it is in', async () => {
    await server.stop()
    await server.start({ bodyLimitBytes: 2 ** 20, batchBytesMax: 2 ** 20 })
    const token = 't'.repeat(255)
    await visit.init(token, { api_host: server.url, api_payload_format: 'json' })
    // Fifty of 20 kB are just below 1 MiB, and above it once each envelope has repeated whose they are and who sent them.
    await visit.run(`
      mixpanel.identify('u'.repeat(255))
      const pad = Array.from({ length: 73 }, () => 'x'.repeat(250))
      await Promise.all(Array.from({ length: 110 }, (_, n) => ${trackQueued('Large', '{ n, pad }')}))`)
    await until('an empty queue', async () => (await visit.waiting(token)) === 0, 40_000)
    expect(statuses()).toContain(413)
    expect(numbers(await server.queue())).toEqual(upTo(110))
    await server.stop()
    const codes = (await server.rejects()).map((one) => (one as { problem: { code: string } }).problem.code)
    expect(new Set(codes)).toEqual(new Set(['output_too_large']))
  })

  it('136: a restart behind a proxy that answers 503 with CORS meanwhile loses nothing', async () => {
    const front = await Front.start(server)
    try {
      await init({ api_host: front.url })
      const tracking = visit.run(trackSlowly(EVENTS))
      await until('first events', async () => (await server.queue()).length > 0)
      await server.stop()
      await until('a refusal', () => statuses().includes(503))
      await server.start()
      await tracking
      await sentAll()
      expect(numbers(await server.queue())).toEqual(upTo(EVENTS))
      expect((await visit.errors()).filter((error) => !isRefusal(error))).toEqual([])
    } finally {
      await front.close()
    }
  })

  it('136, P1: a restart between two flushes, with the connection kept by the browser, loses nothing', async () => {
    await init()
    await visit.run(track(EVENTS / 2))
    await sentAll()
    await server.stop()
    await server.start()
    await visit.run(track(EVENTS / 2, EVENTS / 2))
    await sentAll()
    expect(numbers(await server.queue())).toEqual(upTo(EVENTS))
    expect(await visit.errors()).toEqual([])
  })
})

function expectEvent(envelope: Envelope, format: 'base64' | 'json'): void {
  const { time_ms, received_ms, insert_id } = envelope
  expect(insert_id).toMatch(/^[a-z0-9]{16}$/)
  expect(received_ms - time_ms).toBeGreaterThanOrEqual(0)
  expect(received_ms - time_ms).toBeLessThan(60_000)
  expect(envelope).toMatchObject({
    v: 1,
    kind: 'track',
    token: TOKEN,
    project_id: null,
    ip: '127.0.0.1',
    geo: 'request',
    ua: expect.stringContaining('Chrome'),
    lib: 'web/2.83.0',
    insert_id_source: 'client',
    distinct_id: 'u1',
    distinct_id_source: 'record',
    // Its base64 writes an emoji as two surrogates of three bytes each (R8).
    flags: format === 'base64' ? ['utf8_repaired'] : [],
    record: { event: `${TREE} Viewed`, properties: { text: 'naïve 👩‍👩‍👧 >>>???~~~', token: TOKEN } },
  })
}

/** Operations of profiles, without what names the profile and without the client's own. */
function operationsOf(queue: readonly Envelope[], kind: 'engage' | 'groups'): object[] {
  const identity = kind === 'engage' ? { $token: TOKEN, $distinct_id: 'u1' } : COMPANY
  return queue
    .filter((envelope) => envelope.kind === kind)
    .map(({ record }) => {
      expect(record).toMatchObject(identity)
      return Object.fromEntries(Object.entries(record).filter(([key]) => !IDENTITY.has(key)))
    })
    .filter((operation) => !JSON.stringify(operation).includes('$initial_referrer'))
}

function expectOperations(queue: readonly Envelope[]): void {
  const people = operationsOf(queue, 'engage')
  for (const [operation, value] of PEOPLE_OPERATIONS) {
    expect(people).toContainEqual({ [operation]: value })
  }
  const groups = operationsOf(queue, 'groups')
  for (const operation of GROUP_OPERATIONS) expect(groups).toContainEqual(operation)
}

/** What the client says when it is answered 503 and keeps its batch. Anything else would be an error. */
function isRefusal(message: string): boolean {
  return /^Error; retry in \d+ ms$|^Error: Bad HTTP status: 503 Service Unavailable$/.test(message)
}

function connected(server: TestServer): Promise<Socket> {
  const { hostname, port } = new URL(server.url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('connect', () => resolve(socket)))
}
