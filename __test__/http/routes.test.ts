/** Paths, methods, small endpoints, CORS: docs/PROTOCOL.md 1 and 4.3. */
import { afterEach, describe, expect, test } from 'vitest'
import { NO_ALIASES } from '../../src/config/networks.js'
import { pathOf } from '../../src/http/paths.js'
import { base64, EVENT, GROUP, PROFILE } from '../decode/harness.js'
import {
  Client,
  requestBytes,
  until,
  FORM_BODY,
  type Harness,
  JSON_BODY,
  JSON_ORIGIN,
  ORIGIN,
  type Reply,
  send,
  startIngest,
} from './support.js'

let harness: Harness
afterEach(() => harness?.close())

const query = `data=${encodeURIComponent(base64(JSON.stringify(EVENT)))}`
const event = { headers: JSON_BODY, body: JSON.stringify(EVENT) }

function expectCors(reply: Reply, origin = ORIGIN.Origin): void {
  expect(reply.headers).toMatchObject({
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'Retry-After',
    vary: 'Origin',
  })
}

test.each([
  ['/track', '/track'],
  ['/track///?data=a/', '/track'],
  ['/engage#profile-set', '/engage'],
  ['/engage/%23profile-set?x=/y#z', '/engage'],
  ['/', ''],
  ['http://host:1/track/?a', '/track'],
  ['/http://host/track', '/http://host/track'],
])('the path of %s is %s', (url, path) => expect(pathOf(url)).toBe(path))

describe('paths', () => {
  test.each([
    '/track',
    '/track/',
    '/track///',
    '/track#create-identity',
    '/track%23create-identity',
    '/track/%23x',
    'http://elsewhere.example/track',
    'http://elsewhere.example/track//',
  ])('R10: %s is answered where it is, by GET and POST', async (path) => {
    harness = await startIngest()
    const got = await send(harness.port, `${path}?${query}`)
    const posted = await send(harness.port, `${path}?verbose=1`, event)
    expect([got.status, got.body]).toEqual([200, '1'])
    expect([posted.status, posted.body]).toEqual([200, '{"error":null,"status":1}'])
    expect(harness.log.envelopes.map(({ record }) => record)).toEqual([EVENT, EVENT])
  })

  test('each endpoint makes records of its kind', async () => {
    harness = await startIngest()
    const sent = { track: EVENT, engage: PROFILE, groups: GROUP, import: EVENT }
    for (const [endpoint, record] of Object.entries(sent)) {
      const reply = await send(harness.port, `/${endpoint}/`, {
        headers: JSON_BODY,
        body: JSON.stringify(record),
      })
      expect(reply.body).toBe('1')
    }
    expect(harness.log.envelopes.map(({ kind }) => kind)).toEqual(Object.keys(sent))
  })

  test.each(['/nope', '/Track', '/track/x', '/mp/track', '/%zz', '/track%2f', '//track', '/health', '*'])(
    '%s is unknown: 404, JSON, CORS',
    async (path) => {
      harness = await startIngest()
      for (const sent of [{}, { body: 'x' }, { method: 'OPTIONS' }]) {
        const reply = await send(harness.port, path, { ...sent, headers: ORIGIN })
        expect([reply.status, reply.body]).toEqual([404, '{"error":"not found","status":0}'])
        expect(reply.headers['content-type']).toBe('application/json')
        expectCors(reply)
      }
    },
  )

  test('everything lies below the mount prefix, aliases too', async () => {
    const aliases = { ...NO_ALIASES, track: ['/t', '/a:b', '/c*'], import: ['/i'] }
    harness = await startIngest({ config: { mountPrefix: '/mp', aliases } })
    for (const path of [
      '/mp/track',
      '/mp/t',
      '/mp/t//',
      '/mp/a:b',
      '/mp/c*',
      '/mp/i',
      '/mp/flags',
      '/robots.txt',
      '/',
      '/mp',
    ]) {
      expect([path, (await send(harness.port, `${path}?${query}`)).status]).toEqual([path, 200])
    }
    for (const path of ['/track', '/t', '/mp/a:c', '/mp/axb', '/mp/cc', '/flags']) {
      expect([path, (await send(harness.port, `${path}?${query}`)).status]).toEqual([path, 404])
    }
  })
})

describe('methods', () => {
  test.each(['PUT', 'DELETE', 'PATCH', 'HEAD', 'TRACE', 'PROPFIND'])(
    '%s on an ingest path is 405 with Allow and CORS, and keeps nothing',
    async (method) => {
      harness = await startIngest()
      const headers = JSON_ORIGIN
      const body = method === 'TRACE' || method === 'HEAD' ? {} : { body: JSON.stringify(EVENT) }
      const reply = await send(harness.port, `/track/?${query}`, { method, headers, ...body })
      expect(reply.status).toBe(405)
      expect(reply.headers['allow']).toBe('GET, POST, OPTIONS')
      expect(reply.body).toBe(method === 'HEAD' ? '' : '{"error":"method not allowed","status":0}')
      expectCors(reply)
      expect(harness.log.values).toEqual([])
    },
  )

  test('a Content-Type that is none changes nothing about it', async () => {
    harness = await startIngest()
    const headers = { 'Content-Type': 'nonsense', ...ORIGIN }
    const put = await send(harness.port, '/track', { method: 'PUT', headers, body: 'x' })
    const nowhere = await send(harness.port, '/nope', { method: 'PUT', headers, body: 'x' })
    expect([put.status, nowhere.status]).toEqual([405, 404])
    expectCors(put)
    expect(harness.lines).toEqual([])
  })

  test('on import the reply has the coded shape', async () => {
    harness = await startIngest()
    const reply = await send(harness.port, '/import', { method: 'PUT' })
    expect(reply.body).toBe('{"code":405,"error":"method not allowed","status":"Method Not Allowed"}')
  })

  test('CONNECT is 405, and a peer that breaks off then does no harm (P3)', async () => {
    harness = await startIngest()
    const reply = await send(harness.port, 'example.org:443', { method: 'CONNECT' })
    expect([reply.status, reply.body]).toEqual([405, '{"error":"method not allowed","status":0}'])
    expect((await send(harness.port, '/track', event)).body).toBe('1')
  })

  test('CONNECT behind a request that waits for the log: that one is answered first', async () => {
    harness = await startIngest()
    harness.log.held = true
    const client = await Client.open(harness.port)
    client.write(requestBytes('/track', event), requestBytes('example.org:443', { method: 'CONNECT' }))
    await until(() => harness.log.waitingCommits === 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    harness.log.release()
    expect((await client.reply()).body).toBe('1')
    expect((await client.reply()).status).toBe(405)
    await client.closed()
  })
})

describe('small endpoints', () => {
  test.each([
    ['/flags/?context=x&token=t', '{"flags":{}}'],
    ['/flags/definitions', '{"flags":[]}'],
    ['/settings/?sdk_config=1', '{"recording":{"is_enabled":false,"error":null}}'],
    ['/decide?x', '{"notifications":[],"config":{"enable_collect_everything":false}}'],
    ['/', '{"name":"sluicegate","version":"0.1.0"}'],
  ])('GET %s', async (path, body) => {
    harness = await startIngest()
    const reply = await send(harness.port, path, {
      headers: { ...ORIGIN, Authorization: 'Basic dDBrOg==' },
    })
    expect([reply.status, reply.body, reply.headers['content-type']]).toEqual([200, body, 'application/json'])
    expectCors(reply)
  })

  test('robots.txt keeps crawlers out', async () => {
    harness = await startIngest()
    const reply = await send(harness.port, '/robots.txt')
    expect([reply.body, reply.headers['content-type']]).toEqual([
      'User-agent: *\nDisallow: /\n',
      'text/plain; charset=utf-8',
    ])
  })

  test('a session replay is read and thrown away', async () => {
    harness = await startIngest()
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Encoding': 'gzip' }
    const reply = await send(harness.port, '/record/?x=1', { headers, body: 'x'.repeat(300_000) })
    expect([reply.status, reply.body]).toEqual([200, '{"code":200,"status":"OK"}'])
    expect(harness.ledger.all.received).toBe(0)
  })

  test('their methods are theirs alone', async () => {
    harness = await startIngest()
    const get = await send(harness.port, '/record')
    expect([get.status, get.headers['allow']]).toEqual([405, 'POST, OPTIONS'])
    const put = await send(harness.port, '/settings', { method: 'PUT' })
    expect([put.status, put.headers['allow']]).toEqual([405, 'GET, OPTIONS'])
    const options = await send(harness.port, '/', { method: 'OPTIONS' })
    expect([options.status, options.headers['allow']]).toEqual([405, 'GET'])
  })
})

describe('CORS', () => {
  test('R6: the origin is reflected, null too, on every reply to a request that has one', async () => {
    harness = await startIngest()
    for (const origin of [ORIGIN.Origin, 'null']) {
      const reply = await send(harness.port, '/track', {
        ...event,
        headers: { ...JSON_BODY, Origin: origin },
      })
      expectCors(reply, origin)
      expect(reply.headers['cache-control']).toBe('no-store')
    }
  })

  test('without an origin there is no Access-Control header, on a preflight neither', async () => {
    harness = await startIngest()
    for (const sent of [event, { method: 'OPTIONS' }, { ...event, method: 'PUT' }]) {
      const reply = await send(harness.port, '/track', sent)
      expect(reply.status).toBeLessThan(406)
      const names = Object.keys(reply.headers).filter(
        (name) => name.startsWith('access-control-') || name === 'vary',
      )
      expect(names).toEqual([])
      expect(reply.headers['cache-control']).toBe('no-store')
    }
  })

  test.each(['/track/', '/engage', '/import', '/flags/', '/settings/', '/record/'])(
    'R6: a preflight of %s is 204 and allows what it asks for',
    async (path) => {
      harness = await startIngest()
      const asked = 'content-type, authorization, traceparent'
      const headers = { ...ORIGIN, 'Access-Control-Request-Headers': asked }
      const reply = await send(harness.port, path, { method: 'OPTIONS', headers })
      expect([reply.status, reply.body]).toEqual([204, ''])
      expectCors(reply)
      expect(reply.headers).toMatchObject({
        'access-control-allow-methods': 'GET, POST, OPTIONS',
        'access-control-allow-headers': asked,
        'access-control-max-age': '86400',
      })
      expect(reply.headers['content-length']).toBeUndefined()
    },
  )

  test('what is no list of header names is not repeated', async () => {
    harness = await startIngest()
    for (const asked of ['a b', 'x;y', 'x'.repeat(1025), '<script>']) {
      const headers = { ...ORIGIN, 'Access-Control-Request-Headers': asked }
      const reply = await send(harness.port, '/track', { method: 'OPTIONS', headers })
      expect(reply.headers['access-control-allow-headers']).toBe(
        'Content-Type, Content-Encoding, Authorization, X-Requested-With, traceparent',
      )
    }
  })
})

describe('content types', () => {
  const encoded = `data=${encodeURIComponent(base64(JSON.stringify(EVENT)))}`
  const json = JSON.stringify(EVENT)
  test.each([
    ['application/x-www-form-urlencoded', encoded],
    ['APPLICATION/X-WWW-FORM-URLENCODED;charset=utf8', encoded],
    ['application/json', json],
    ['application/json; charset=utf-8', json],
    ['application/vnd.api+json', json],
    ['application/x-ndjson', `${json}\n`],
    ['application/ndjson', `${json}\n`],
    ['application/jsonlines', `${json}\n`],
    ['text/plain;charset=UTF-8', encoded],
    ['text/plain', `[${json}]`],
    ['application/octet-stream', base64(json)],
    ['nonsense', json],
    ['; charset=utf-8', encoded],
    ['application/json/json', json],
    ['', json],
  ])('R7: %j is understood', async (type, body) => {
    harness = await startIngest()
    const headers = { ...ORIGIN, ...(type !== '' && { 'Content-Type': type }) }
    const reply = await send(harness.port, '/track', { headers, body })
    expect([reply.status, reply.body]).toEqual([200, '1'])
    expectCors(reply)
    expect(harness.log.envelopes).toMatchObject([{ record: EVENT }])
  })

  test('R7: ndjson is lines, json is not', async () => {
    harness = await startIngest()
    const body = `${json}\n${json}\n`
    const lines = await send(harness.port, '/track', {
      headers: { 'Content-Type': 'application/x-ndjson' },
      body,
    })
    const whole = await send(harness.port, '/track', { headers: JSON_BODY, body })
    expect([lines.body, whole.body, harness.log.values.length]).toEqual(['1', '0', 2])
  })

  test('R7: flags of the form count, the query before them', async () => {
    harness = await startIngest()
    const body = `${encoded}&verbose=1&ip=0`
    const form = await send(harness.port, '/track', { headers: FORM_BODY, body })
    const both = await send(harness.port, '/track?verbose=0', { headers: FORM_BODY, body })
    expect([form.body, both.body]).toEqual(['{"error":null,"status":1}', '1'])
  })

  test('a GET may name a type and have no body, or even have one: its query counts', async () => {
    harness = await startIngest()
    const headers = { ...JSON_BODY, 'Content-Encoding': 'br' }
    const without = await send(harness.port, `/track?${query}`, { headers })
    const withBody = await send(harness.port, `/track?${query}`, { method: 'GET', headers, body: 'x' })
    expect([without.body, withBody.body, harness.log.values.length]).toEqual(['1', '1', 2])
  })

  test.each(['multipart/form-data; boundary=x', 'Multipart/Mixed'])('%s is 415 with CORS', async (type) => {
    harness = await startIngest()
    const headers = { 'Content-Type': type, ...ORIGIN }
    const reply = await send(harness.port, '/track', { headers, body: encoded })
    expect([reply.status, reply.body]).toEqual([415, '{"error":"content-type not supported","status":0}'])
    expectCors(reply)
    const coded = await send(harness.port, '/import', { headers, body: encoded })
    expect(coded.body).toBe(
      '{"code":415,"error":"content-type not supported","status":"Unsupported Media Type"}',
    )
  })

  test('a POST without a body is an empty payload, or that of its query', async () => {
    harness = await startIngest()
    const empty = await send(harness.port, '/track?verbose=1', { method: 'POST' })
    const queried = await send(harness.port, `/track?${query}`, { headers: JSON_BODY, body: '' })
    expect([empty.body, queried.body]).toEqual(['{"error":"data, missing or empty","status":0}', '1'])
  })
})
