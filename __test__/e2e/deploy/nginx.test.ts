/** nginx as load balancer in front of one process per core: deploy/nginx, docs/guides/proxy.md. */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Browser, trackQueued } from '../../sdk/support/browser.js'
import { exchange, RawConnection, type RawRequest, requestBytes, type Reply } from '../../support/http.js'
import { describeWith, skipped } from '../../support/require.js'
import { event, get, post, postJson } from '../support/events.js'
import { inTime, waitFor } from '../support/server.js'
import { tail, tailText } from '../support/tail.js'
import { type Stack, startStack } from './nginx.js'

const ORIGIN = { Origin: 'https://shop.example.org' }
/** In /proc/net/tcp. */
const TIME_WAIT = '06'
const NEVER_STORED = '{"error":"unavailable, retry later","status":0}'

interface Stored {
  readonly ip: string
  readonly record: { readonly event: string; readonly properties: Readonly<Record<string, unknown>> }
}

/** What `tail` finds in both logs. */
async function stored({ dataDir }: Stack): Promise<Stored[]> {
  const logs = await Promise.all(['0', '1'].map((writer) => tailText(dataDir, ['--writer', writer])))
  return logs.flat().map((line) => JSON.parse(line) as Stored)
}

/** One request from an address of this machine that is not the loopback's, straight into the loopback. */
function postFrom(localAddress: string, url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/track`, { method: 'POST', localAddress, headers }, (reply) => {
      reply.resume()
      resolve(reply.statusCode!)
    })
    sent.on('error', reject).end(JSON.stringify(event('from outside')))
  })
}

/** Connections between nginx and the processes that were closed a moment ago. */
function closedConnections({ gates }: Stack): number {
  const ports = gates.map(({ ingest }) => Number(new URL(ingest).port))
  const sockets = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1, -1)
  return sockets.filter((line) => {
    const [, local = '', remote = '', state] = line.trim().split(/\s+/)
    const isTheirs = [local, remote].some((end) => ports.includes(Number.parseInt(end.split(':')[1]!, 16)))
    return state === TIME_WAIT && isTheirs
  }).length
}

const outside = (): string | undefined =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

/** What a browser needs in order to read a reply. */
function expectReadable({ headers }: Reply): void {
  expect(headers.get('access-control-allow-origin')).toBe(ORIGIN.Origin)
  expect(headers.get('access-control-allow-credentials')).toBe('true')
  expect(headers.get('access-control-expose-headers')).toBe('Retry-After')
  expect(headers.get('vary')).toBe('Origin')
  expect(headers.get('cache-control')).toBe('no-store')
}

const PREFLIGHT: RawRequest = {
  method: 'OPTIONS',
  target: '/track/?verbose=1',
  headers: {
    ...ORIGIN,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'content-type,x-own-header',
  },
}

describeWith('nginx', 'nginx in front of two processes', () => {
  it('every event is in one of the two logs, and both take part', async () => {
    const stack = await startStack()
    const connections = await Promise.all(Array.from({ length: 8 }, () => RawConnection.open(stack.url)))
    const sending = connections.map(async (connection, c) => {
      for (let n = 0; n < 25; n++) {
        connection.write(requestBytes(postJson('/track', event(`${c}/${n}`))))
        const reply = await connection.reply('POST')
        expect(`${reply.status} ${reply.body.toString()}`).toBe('200 1')
      }
      connection.destroy()
    })
    await Promise.all(sending)
    const [first, second] = [await tail(stack.dataDir), await tail(stack.dataDir, ['--writer', '1'])]
    const expected = Array.from({ length: 200 }, (_, i) => `${Math.floor(i / 25)}/${i % 25}`)
    expect([...first, ...second].map(({ record }) => record.event).toSorted()).toEqual(expected.toSorted())
    expect(Math.min(first.length, second.length)).toBeGreaterThan(20)

    // Kept connections, not one a request.
    expect(closedConnections(stack)).toBeLessThan(20)
  })

  it('the client is who nginx saw; X-Forwarded-For and X-Real-IP of its own change nothing', async ({
    skip,
  }) => {
    const address = outside()
    if (address === undefined) {
      skipped('the client address behind nginx', 'this machine has no address beside the loopback')
      return skip()
    }
    const stack = await startStack()
    const spoofed: Record<string, string>[] = [
      {},
      { 'X-Forwarded-For': '203.0.113.9' },
      { 'X-Forwarded-For': '203.0.113.9, 127.0.0.1' },
      { 'X-Forwarded-For': 'nonsense' },
      { 'X-Real-IP': '203.0.113.9', Forwarded: 'for=203.0.113.9' },
    ]
    for (const headers of spoofed) expect(await postFrom(address, stack.url, headers)).toBe(200)
    expect((await stored(stack)).map(({ ip }) => ip)).toEqual(spoofed.map(() => address))
  })

  it('what is large passes: a URL of 64 KiB, a body of 9 MiB, a long redirect, through TLS and HTTP/2, too', async () => {
    const stack = await startStack(['--redirect-hosts', 'shop.example.org'])
    const long = event('long', { text: 'x'.repeat(45_000) })
    expect((await exchange(stack.url, get('/track', long))).status).toBe(200)
    const filler = Array.from({ length: 300 }, () => event('large', { text: 'y'.repeat(30_000) }))
    expect((await exchange(stack.url, postJson('/track', filler))).status).toBe(200)
    const target = `/track?redirect=https%3A%2F%2Fshop.example.org%2F${'z'.repeat(40_000)}`
    const redirect = await exchange(stack.url, get(target, event('redirected')))
    expect([redirect.status, redirect.headers.get('location')?.length]).toEqual([302, 40_025])

    const session = connectHttp2(stack.tlsUrl, { rejectUnauthorized: false })
    const { target: path } = get('/track', long)
    const stream = session.request({ ':path': path, origin: ORIGIN.Origin })
    const status = new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])))
    stream.resume().end()
    expect(await inTime('a reply through HTTP/2', status)).toBe(200)
    session.close()
    expect(await stored(stack)).toHaveLength(303)
  })

  it('R6, P2: too large for sluicegate or for nginx: 413 that a browser can read', async () => {
    const stack = await startStack()
    const sent = (mebibytes: number) => post('/track', Buffer.alloc(mebibytes * 2 ** 20, 0x20), ORIGIN)
    const own = await exchange(stack.url, sent(11))
    expect(`${own.status} ${own.body.toString()}`).toContain('413 ')
    expect(own.body.toString()).toContain('limit 10485760 bytes')
    expectReadable(own)
    const nginx = await exchange(stack.url, sent(17))
    expect(nginx.status).toBe(413)
    expect(JSON.parse(nginx.body.toString())).toEqual({
      error: 'body too large: limit 16777216 bytes',
      status: 0,
    })
    expectReadable(nginx)
  })

  it('R6, P2: with nothing behind it, replies have what sluicegate’s have, preflights included', async () => {
    const stack = await startStack()
    const before = await exchange(stack.url, PREFLIGHT)
    await stack.stopGates()
    const after = await exchange(stack.url, PREFLIGHT)
    expect([before.status, after.status]).toEqual([204, 204])
    for (const name of ['origin', 'credentials', 'methods', 'headers'].map(
      (n) => `access-control-allow-${n}`,
    )) {
      expect([name, after.headers.get(name)]).toEqual([name, before.headers.get(name)])
    }
    for (const sent of [
      postJson('/track', event('e'), ORIGIN),
      get('/engage', event('e')),
      postJson('/import', []),
    ]) {
      const reply = await exchange(stack.url, { ...sent, headers: { ...sent.headers, ...ORIGIN } })
      expect([reply.status, reply.body.toString()]).toEqual([503, NEVER_STORED])
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(reply.headers.get('content-type')).toBe('application/json')
      expectReadable(reply)
      expect(reply.headers.has('access-control-allow-methods')).toBe(false)
    }
    const bare = await exchange(stack.url, postJson('/track', event('e')))
    expect([...bare.headers.keys()].filter((name) => /^access-control|^vary$/.test(name))).toEqual([])
  })

  it('P2: while both logs are full, what sluicegate answers passes through as it is', async () => {
    const stack = await startStack([
      '--log-max-bytes',
      '16MiB',
      '--batch-bytes-max',
      '6MiB',
      '--log-segment-bytes',
      '1MiB',
      '--body-limit-bytes',
      '5MiB',
    ])
    const filler = Array.from({ length: 150 }, () => event('large', { text: 'y'.repeat(30_000) }))
    const statuses: number[] = []
    while (statuses.at(-1) !== 503 && statuses.length < 20) {
      const { status } = await exchange(stack.url, postJson('/track', filler))
      statuses.push(status)
    }
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(4)
    const reply = await exchange(stack.url, postJson('/track', filler, ORIGIN))
    expect([reply.status, reply.body.toString()]).toEqual([503, NEVER_STORED])
    // Ours, at once and again: nginx itself says 5, and would do so had it given up on both.
    expect(reply.headers.get('retry-after')).toBe('30')
    expectReadable(reply)
    expect(await stored(stack)).toHaveLength(150 * (statuses.length - 1))
  })

  it('one of them suffices: the end of the other costs no request, not even those that it had', async () => {
    const stack = await startStack()
    const [first] = stack.gates
    const send = async (name: string): Promise<string> => {
      const { status, body } = await exchange(stack.url, postJson('/track', event(name)))
      return `${status} ${body.toString()}`
    }
    expect(await send('before')).toBe('200 1')
    first!.process.signal('SIGSTOP')
    const sent = Array.from({ length: 6 }, (_, n) => send(`under way ${n}`))
    await sleep(300)
    await first!.kill()
    expect(await Promise.all(sent)).toEqual(sent.map(() => '200 1'))
    // For a while: nginx asks it again and again.
    for (let n = 0; n < 15; n++) {
      expect(await send(`after ${n}`)).toBe('200 1')
      await sleep(100)
    }
  })
})

describeWith(['nginx', 'chromium'], 'mixpanel-browser in Chromium behind nginx', () => {
  it('P2: both processes stopped for 3 s: nothing is lost', async () => {
    const [stack, browser] = await Promise.all([startStack(), Browser.start()])
    try {
      const visit = await browser.open()
      await visit.init('tok_web', { api_host: stack.url })
      const tracking = visit.run(`
        const queued = []
        for (let n = 0; n < 100; n++) {
          queued.push(${trackQueued('Viewed', '{ n }')})
          await new Promise((resolve) => setTimeout(resolve, 60))
        }
        mixpanel.people.set({ plan: 'pro' })
        await Promise.all(queued)`)
      await waitFor(async () => ((await stored(stack)).length > 0 ? true : undefined))
      await stack.stopGates()
      await sleep(3000)
      await stack.startGates()
      await tracking
      await waitFor(async () => ((await visit.waiting('tok_web')) === 0 ? true : undefined), 30_000)
      const numbers = (await stored(stack)).flatMap(({ record }) => record.properties?.['n'] ?? [])
      expect([...new Set(numbers as number[])].toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 100 }, (_, n) => n),
      )
      expect(visit.exchanges.map(({ status }) => status)).toContain(503)
    } finally {
      await browser.close()
    }
  })
})
