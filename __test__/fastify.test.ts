/** The plugin in an app with routes, parsers, hooks and handlers of its own: neither disturbs the other. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import sluicegate, { type SluicegateOptions } from '../src/fastify.js'
import { readLog } from '../src/log/reader.js'
import { createLogger } from '../src/logger.js'
import { Client, JSON_BODY, MemoryLog, requestBytes } from './http/support.js'
import { askOwner } from '../src/log/lock.js'
import { systemClock } from '../src/clock.js'
import { memoryParts } from './support/mounted.js'

const EVENT = '{"event":"e","properties":{"token":"t0k"}}'
const logger = createLogger({ logLevel: 'silent', logFormat: 'json' })
const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step()
})

function dataDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluicegate-fastify-'))
  undo.push(() => rmSync(path, { recursive: true }))
  return path
}

/** An app as somebody else writes it. */
function ownersApp(options: FastifyServerOptions = {}): FastifyInstance {
  const app = fastify(options)
  app.addContentTypeParser('application/x-own', { parseAs: 'string' }, (_request, body, done) =>
    done(null, `own ${body}`),
  )
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send({ owners: error.message }),
  )
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ owners: 'not found' }))
  app.post('/orders', (request) => ({ got: request.body }))
  app.post('/strict', { schema: { body: { type: 'object', required: ['id'] } } }, () => ({}))
  app.get('/fails', () => Promise.reject(new Error('of my own')))
  return app
}

async function serve(
  app: FastifyInstance,
  options: SluicegateOptions & { prefix?: string },
): Promise<string> {
  undo.push(() => app.close())
  app.register(sluicegate, { prefix: '/mp', ...options })
  return app.listen({ host: '127.0.0.1', port: 0 })
}

const post = (url: string, body: string, type = 'application/json', headers = {}): Promise<Response> =>
  fetch(url, { method: 'POST', body, headers: { 'content-type': type, ...headers } })

async function envelopes(dataDir: string): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of readLog({ directory: join(dataDir, '0/log'), from: 'start' })) {
    values.push(Buffer.from(value).toString())
  }
  return values
}

describe('an app with the plugin', () => {
  it('P1: takes events below the prefix, and has them on disk when it answers', async () => {
    const dataDir = dataDirectory()
    const address = await serve(ownersApp(), { config: { dataDir }, logger })
    const reply = await post(`${address}/mp/track?verbose=1`, EVENT)
    expect(await reply.json()).toEqual({ error: null, status: 1 })
    expect(await envelopes(dataDir)).toEqual([expect.stringContaining(`"record":${EVENT}}`)])
    for (const path of ['/mp/track/', '/mp/track//', '/mp/engage/?verbose=1', '/mp/import']) {
      expect((await post(address + path, EVENT)).status).toBeLessThan(401)
    }
    expect((await fetch(`${address}/mp/decide`)).status).toBe(200)
  })

  it('its bodies are left to hooks of the app that keep them', async () => {
    const chunks: Buffer[] = []
    const app = ownersApp()
    app.addHook('onRequest', (request, _reply, done) => {
      request.raw.on('data', (chunk: Buffer) => chunks.push(chunk))
      done()
    })
    const address = await serve(app, { config: { dataDir: dataDirectory() }, logger })
    expect(await (await post(`${address}/mp/track`, EVENT)).text()).toBe('1')
    expect(Buffer.concat(chunks).toString()).toBe(EVENT)
  })

  it('takes only the tokens of its tokens file', async () => {
    const dataDir = dataDirectory()
    const tokensFile = join(dataDir, 'tokens.json')
    writeFileSync(tokensFile, '{"tokens":[{"token":"other"}]}')
    const address = await serve(ownersApp(), { config: { dataDir, auth: 'tokens', tokensFile }, logger })
    expect(await (await post(`${address}/mp/track`, EVENT)).text()).toBe('0')
    expect(await (await post(`${address}/mp/track`, EVENT.replace('t0k', 'other'))).text()).toBe('1')
  })

  it('mounted twice, each believes the proxies of its own settings, on one connection too', async () => {
    const [one, other] = [memoryParts({ trustedProxies: 1 }), memoryParts()]
    const app = ownersApp()
    app.register(sluicegate, { prefix: '/other', parts: other.parts })
    const address = await serve(app, { parts: one.parts })
    const client = await Client.open(Number(new URL(address).port))
    const headers = { ...JSON_BODY, 'X-Forwarded-For': '192.0.2.1' }
    for (const path of ['/mp/track', '/other/track', '/mp/track']) {
      client.write(requestBytes(path, { headers, body: EVENT }))
      await client.reply()
    }
    client.destroy()
    const addresses = ({ values }: MemoryLog): unknown[] =>
      values.map((value) => (JSON.parse(value) as { ip: unknown }).ip)
    expect(addresses(one.log)).toEqual(['192.0.2.1', '192.0.2.1'])
    expect(addresses(other.log)).toEqual(['127.0.0.1'])
  })

  it('keeps its own parsers, schemas, error handler and answer to unknown paths', async () => {
    const address = await serve(ownersApp(), { config: { dataDir: dataDirectory() }, logger })
    const json = async (reply: Promise<Response>): Promise<unknown> => (await reply).json()
    expect(await json(post(`${address}/orders`, '{"a":1}'))).toEqual({ got: { a: 1 } })
    expect(await json(post(`${address}/orders`, 'x', 'application/x-own'))).toEqual({ got: 'own x' })
    expect(await json(post(`${address}/strict`, '{}'))).toMatchObject({
      owners: expect.stringContaining('id'),
    })
    expect(await json(post(`${address}/orders`, '{'))).toMatchObject({
      owners: expect.stringContaining('JSON'),
    })
    expect((await post(`${address}/orders`, 'x', 'text/unknown')).status).toBe(415)
    expect(await json(fetch(`${address}/fails`))).toEqual({ owners: 'of my own' })
    for (const path of ['/track', '/', '/robots.txt', '/mpx', '/mp-other/track']) {
      expect(await json(fetch(address + path))).toEqual({ owners: 'not found' })
    }
  })

  it('routes that come after the plugin still parse their bodies', async () => {
    const app = ownersApp()
    const { parts } = memoryParts()
    await app.register(sluicegate, { prefix: '/mp', parts })
    app.post('/later', (request) => ({ got: request.body }))
    const address = await serve(app, { prefix: '/second', parts })
    expect(await (await post(`${address}/later`, '[1]')).json()).toEqual({ got: [1] })
    expect(await (await post(`${address}/second/track`, EVENT)).text()).toBe('1')
  })

  it.each<[string, FastifyServerOptions]>([
    ['slashes ignored', { routerOptions: { ignoreTrailingSlash: true } }],
    ['case ignored', { routerOptions: { caseSensitive: false } }],
    ['slashes doubled', { routerOptions: { ignoreDuplicateSlashes: true } }],
    ['a small body limit', { bodyLimit: 8 }],
    ['no HEAD routes', { exposeHeadRoutes: false }],
  ])('%s', async (_, options) => {
    const { parts, log } = memoryParts()
    const address = await serve(ownersApp(options), { parts })
    for (const path of ['/mp/track', '/mp/track/']) {
      expect(await (await post(address + path, EVENT)).text()).toBe('1')
    }
    expect(log.values).toHaveLength(2)
    expect((await fetch(`${address}/mp/track`, { method: 'HEAD' })).status).toBe(405)
  })

  it('answers preflights, unknown paths and methods below the prefix itself', async () => {
    const { parts } = memoryParts()
    const address = await serve(ownersApp(), { parts })
    const headers = { origin: 'https://shop.example', 'access-control-request-method': 'POST' }
    const preflight = await fetch(`${address}/mp/track`, { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe('https://shop.example')
    expect((await fetch(`${address}/mp/nothing`)).status).toBe(404)
    expect((await fetch(`${address}/mp/track`, { method: 'PUT' })).status).toBe(405)
  })

  it('P2: 503 with Retry-After and CORS when nothing can be kept', async () => {
    const { parts, log } = memoryParts()
    log.state = 'full'
    const address = await serve(ownersApp(), { parts })
    const reply = await post(`${address}/mp/track`, EVENT, 'text/plain', { origin: 'https://shop.example' })
    expect(reply.status).toBe(503)
    expect(reply.headers.get('retry-after')).toBe('30')
    expect(reply.headers.get('access-control-allow-origin')).toBe('https://shop.example')
  })

  it('P3: an answer that cannot be written, as the app reads heads less strictly, harms no neighbour', async () => {
    const { parts, log } = memoryParts()
    log.state = 'failed'
    const app = ownersApp({ http: { insecureHTTPParser: true } } as FastifyServerOptions)
    const address = await serve(app, { parts })
    const ask = async (origin: string): Promise<Client> => {
      const client = await Client.open(Number(new URL(address).port))
      undo.push(() => client.destroy())
      client.write(requestBytes('/mp/track', { headers: { ...JSON_BODY, Origin: origin }, body: EVENT }))
      return client
    }
    await (await ask('\u0001')).closed()
    expect((await (await ask('https://shop.example')).reply()).status).toBe(503)
  })

  it('a hook of the app that refuses is no fault of ours: its status and headers go to the client, readable', async () => {
    const { parts, lines } = memoryParts()
    const app = ownersApp()
    app.addHook('onRequest', async (request, reply) => {
      if (request.headers['x-key'] === '1') return
      reply.header('retry-after', '7')
      throw Object.assign(new Error('slow down'), { statusCode: 429 })
    })
    const address = await serve(app, { parts })
    const reply = await post(`${address}/mp/track`, EVENT, 'text/plain', { origin: 'https://shop.example' })
    expect(reply.status).toBe(429)
    expect(reply.headers.get('retry-after')).toBe('7')
    expect(reply.headers.get('access-control-allow-origin')).toBe('https://shop.example')
    expect(await reply.json()).toEqual({ error: 'too many requests', status: 0 })
    expect(lines).toEqual([])
    expect((await post(`${address}/mp/track`, EVENT, 'text/plain', { 'x-key': '1' })).status).toBe(200)
  })

  it('a client that waits for 100 Continue hears it once', async () => {
    const { parts } = memoryParts()
    const address = await serve(ownersApp(), { parts })
    const client = await Client.open(Number(new URL(address).port))
    undo.push(() => client.destroy())
    client.write(
      requestBytes('/mp/track', {
        method: 'POST',
        headers: { ...JSON_BODY, Expect: '100-continue', 'Content-Length': String(EVENT.length) },
      }),
    )
    expect((await client.reply()).status).toBe(100)
    client.write(EVENT)
    expect((await client.reply()).body).toBe('1')
  })

  it('P7: a body that does not come is answered 408, whatever time-outs the app has', async () => {
    const { parts } = memoryParts({ bodyTimeoutMs: 100 }, systemClock)
    const address = await serve(ownersApp(), { parts })
    const client = await Client.open(Number(new URL(address).port))
    undo.push(() => client.destroy())
    client.write(
      requestBytes('/mp/track', { method: 'POST', headers: { ...JSON_BODY, 'Content-Length': '50' } }),
    )
    expect((await client.reply()).status).toBe(408)
    expect(parts.budget.usedBytes).toBe(0)
  })
})

describe('when the app closes', () => {
  it('P1: what is under way is answered before the log is closed, and the directory is free again', async () => {
    const dataDir = dataDirectory()
    const app = ownersApp()
    const address = await serve(app, { config: { dataDir }, logger })
    const { port } = new URL(address)
    const socket = connect(Number(port), '127.0.0.1')
    undo.push(() => socket.destroy())
    const answer = new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(bytes.toString())))
    const request = requestBytes('/mp/track', { headers: JSON_BODY, body: EVENT })
    socket.write(request.subarray(0, -5))
    await new Promise((resolve) => setTimeout(resolve, 100))
    const closed = app.close()
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.write(request.subarray(-5))
    expect(await answer).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n1$/)
    await closed
    expect(await envelopes(dataDir)).toHaveLength(1)
    const again = ownersApp()
    await serve(again, { config: { dataDir }, logger })
    await again.close()
  })
})

it('P2: pipelined requests are all answered before a closing app lets their connection go', async () => {
  const log = new MemoryLog()
  log.held = true
  const { parts } = memoryParts({}, undefined, log)
  const app = ownersApp()
  const address = await serve(app, { parts })
  const client = await Client.open(Number(new URL(address).port))
  undo.push(() => client.destroy())
  const request = requestBytes('/mp/track', { headers: JSON_BODY, body: EVENT })
  client.write(request, request)
  while (log.waitingCommits < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  const closed = app.close()
  await new Promise((resolve) => setTimeout(resolve, 50))
  log.release()
  const replies = [await client.reply(), await client.reply()]
  expect(replies.map(({ body, headers }) => [body, headers['connection']])).toEqual([
    ['1', 'keep-alive'],
    ['1', 'close'],
  ])
  await closed
})

it('behind a reply that closes the connection nothing is kept, and the app lives', async () => {
  const log = new MemoryLog()
  const { parts } = memoryParts({}, undefined, log)
  const app = ownersApp()
  app.get('/own', () => 'own')
  const address = await serve(app, { parts })
  const refused = { 'Content-Type': 'multipart/form-data' }
  for (let round = 0; round < 20; round++) {
    const client = await Client.open(Number(new URL(address).port))
    undo.push(() => client.destroy())
    client.write(
      Buffer.concat([
        requestBytes('/mp/track', { headers: refused, body: 'abc' }),
        requestBytes('/mp/track', { headers: JSON_BODY, body: EVENT }),
        requestBytes('/own'),
        requestBytes('/own'),
      ]),
    )
    expect((await client.reply()).status).toBe(415)
    await client.closed()
  }
  expect(log.values).toHaveLength(0)
  expect(await (await fetch(`${address}/own`)).text()).toBe('own')
})

describe('what cannot work is refused', () => {
  const ready = (app: FastifyInstance, prefix: string, config = {}): Promise<unknown> => {
    undo.push(() => app.close())
    app.register(sluicegate, { prefix, config: { dataDir: dataDirectory(), ...config }, logger })
    return Promise.resolve(app.ready())
  }

  it('at the root, and below a pattern', async () => {
    await expect(ready(ownersApp(), '')).rejects.toThrow(/with a prefix such as \/mp/)
    await expect(ready(ownersApp(), '/:tenant')).rejects.toThrow(/with a prefix such as \/mp/)
  })

  it('HTTP/2', async () => {
    const app = fastify({ http2: true }) as unknown as FastifyInstance
    await expect(ready(app, '/mp')).rejects.toThrow(/HTTP\/1.1/)
  })

  it('a directory that another owns', async () => {
    const dataDir = dataDirectory()
    await serve(ownersApp(), { config: { dataDir }, logger })
    await expect(ready(ownersApp(), '/mp', { dataDir })).rejects.toMatchObject({ code: 'data_dir_locked' })
  })
})

it('with `ops`, status is on the ops listener, which commands find through the directory', async () => {
  const dataDir = dataDirectory()
  const app = ownersApp()
  await serve(app, { config: { dataDir, opsPort: 0 }, logger, ops: true })
  const { ops } = JSON.parse((await askOwner(join(dataDir, '0')))!) as { ops: string }
  expect(await (await fetch(`${ops}/status`)).json()).toMatchObject({ log: { state: 'writable' } })
})

it('a log that is held answers when it is released', async () => {
  const log = new MemoryLog()
  log.held = true
  const { parts } = memoryParts({}, undefined, log)
  const address = await serve(ownersApp(), { parts })
  const reply = post(`${address}/mp/track`, EVENT)
  while (log.waitingCommits === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  log.release()
  expect(await (await reply).text()).toBe('1')
})
