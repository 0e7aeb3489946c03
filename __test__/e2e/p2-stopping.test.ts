/** P2 while the server stops: nobody is dropped, whatever was answered `1` is there, and then it is gone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { random } from '../log/support/random.js'
import { exchange, headBytes, RawConnection, requestBytes } from '../support/http.js'
import { event, get, JSON_TYPE, postJson } from './support/events.js'
import { judge, Load } from './support/load.js'
import { inTime, startServer, waitFor, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const DRAIN_MS = 2500

describe('P2: SIGTERM under load', () => {
  it('serves on with Connection: close while /ready says 503, answers everything, and ends with 0', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, drainMs: DRAIN_MS })
    const load = new Load(server.ingest, {
      name: 'stop',
      connections: 8,
      random: random(2),
      reconnects: true,
    })
    load.start()
    await sleep(300)
    const exited = server.stop()
    const signalled = performance.now()
    const draining = await waitFor(async () => {
      const readiness = await server.readiness()
      return readiness.status === 503 ? readiness : undefined
    })
    expect(draining).toMatchObject({ ready: false, accepting: true, reason: 'draining' })
    const before = load.sent.length
    // As long as a balancer takes to look at /ready and turn away.
    await sleep(DRAIN_MS * 0.5)
    await load.stop()
    const whileDraining = load.sent.slice(before)

    expect(await inTime('exit', exited)).toEqual({ code: 0, signal: null })
    expect(performance.now() - signalled).toBeGreaterThanOrEqual(DRAIN_MS)
    // Had something been waited for, it would have been for ten seconds more.
    expect(performance.now() - signalled).toBeLessThan(DRAIN_MS + 8000)
    expect(whileDraining.length).toBeGreaterThan(20)
    expect(load.sent.filter(({ status }) => status !== 200)).toEqual([])
    // Per client the ones at `before` may have been answered just before the signal.
    const closing = load.clients.map(({ sent }) => sent.filter((one) => one.closing).length)
    expect(Math.min(...closing)).toBeGreaterThan(2)
    const after = load.clients.map(({ sent }) => sent.slice(sent.findIndex((one) => one.closing)))
    expect(after.flat().filter((one) => !one.closing)).toEqual([])
    const verdict = judge(load, await tail(dataDir))
    expect(verdict).toMatchObject({ unanswered: 0, lost: 0, doubled: 0, split: 0, disordered: 0 })
  })

  it('answers a request that is under way when the listener closes, and lets no idle connection delay it', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, drainMs: 200 })
    const [slow, idle, unused] = await Promise.all([1, 2, 3].map(() => RawConnection.open(server.ingest)))
    idle!.write(requestBytes(get('/track', event('before'))))
    expect((await idle!.reply()).body.toString()).toBe('1')
    const body = JSON.stringify(event('slow'))
    const head = headBytes({
      method: 'POST',
      target: '/track',
      headers: { 'Content-Type': JSON_TYPE, 'Content-Length': String(body.length) },
    })
    slow!.write(Buffer.concat([head, Buffer.from(body.slice(0, 10))]))
    await sleep(100)
    const exited = server.stop()
    await waitFor(async () => (await refused(server.ingest)) || undefined)
    await inTime('idle connections closed', Promise.all([idle!.closed, unused!.closed]))
    slow!.write(Buffer.from(body.slice(10)))
    const reply = await slow!.reply()
    expect([reply.status, reply.body.toString()]).toEqual([200, '1'])
    expect(reply.headers.get('connection')).toBe('close')
    expect(await inTime('exit', exited)).toEqual({ code: 0, signal: null })
    expect((await tail(dataDir)).map(({ record }) => record.event)).toEqual(['before', 'slow'])
  })

  it('answers everything that is pipelined before it closes the connection', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, drainMs: 1000 })
    const connection = await RawConnection.open(server.ingest)
    connection.write(requestBytes(postJson('/track', event('first'))))
    await connection.reply()
    const exited = server.stop()
    await waitFor(async () => ((await server.readiness()).status === 503 ? true : undefined))
    const requests = ['a', 'b', 'c'].map((name) => requestBytes(postJson('/track', event(name))))
    connection.write(Buffer.concat(requests))
    const replies = [await connection.reply(), await connection.reply(), await connection.reply()]
    expect(replies.map(({ status, body }) => `${status} ${body.toString()}`)).toEqual([
      '200 1',
      '200 1',
      '200 1',
    ])
    expect(replies[2]!.headers.get('connection')).toBe('close')
    await connection.closed
    expect(await inTime('exit', exited)).toEqual({ code: 0, signal: null })
    expect((await tail(dataDir)).map(({ record }) => record.event)).toEqual(['first', 'a', 'b', 'c'])
  })

  it('keeps what was rejected just before, whose log syncs at most once a second, and ends with 0', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir })
    for (const name of ['a', 'b', 'c']) await exchange(server.ingest, postJson('/track', { event: name }))
    expect(await inTime('exit', server.stop())).toEqual({ code: 0, signal: null })
    expect(await tail(dataDir, ['--kind', 'rejected'])).toHaveLength(3)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'a second %s ends it at once, and costs nothing acknowledged',
    async (name) => {
      const dataDir = workspace()
      const server = await startServer({ dataDir, drainMs: 60_000 })
      const load = new Load(server.ingest, {
        name: 'twice',
        connections: 4,
        random: random(3),
        reconnects: true,
      })
      load.start()
      await sleep(200)
      server.process.signal(name)
      await waitFor(async () => ((await server.readiness()).status === 503 ? true : undefined))
      const sent = performance.now()
      server.process.signal(name)
      const exit = await server.process.exited
      expect(exit).toEqual({ code: name === 'SIGTERM' ? 143 : 130, signal: null })
      // At once, that is: not after the minute of draining.
      expect(performance.now() - sent).toBeLessThan(20_000)
      await load.stop()
      expect(judge(load, await tail(dataDir))).toMatchObject({ lost: 0, doubled: 0, split: 0, disordered: 0 })
    },
  )
})

async function refused(ingest: string): Promise<boolean> {
  try {
    await exchange(ingest, get('/track', event('probe', { token: '' })))
    return false
  } catch {
    return true
  }
}
