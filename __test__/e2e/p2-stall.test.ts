/** P2, P4: a disk that does not answer. Clients are told in time, the counts stay exact, and the server can be stopped. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { askOwner } from '../../src/log/lock.js'
import { exchange, headBytes, RawConnection, type Reply } from '../support/http.js'
import { event, JSON_TYPE, postJson } from './support/events.js'
import {
  inTime,
  type ServerProcess,
  spawnServer,
  type StartOptions,
  startServer,
  waitFor,
  workspace,
} from './support/server.js'
import { tail } from './support/tail.js'

const SHIM = fileURLToPath(new URL('support/stall.mjs', import.meta.url))
const TIMEOUT_MS = 1000
/** What the timers' steps and a busy machine add. */
const SLACK_MS = 1500

class Disk {
  private readonly directory = workspace()
  readonly dataDir = join(this.directory, 'data')
  private readonly pipe = join(this.directory, 'pipe')
  private readonly flag = join(this.directory, 'stalls')

  constructor() {
    execFileSync('mkfifo', [this.pipe])
  }

  options(timeoutMs = TIMEOUT_MS): StartOptions {
    const env = { STALL_WHILE: this.flag, STALL_PIPE: this.pipe }
    const args = ['--commit-timeout-ms', String(timeoutMs)]
    return { dataDir: this.dataDir, nodeArgs: ['--import', SHIM], env, args }
  }

  start(timeoutMs?: number): Promise<ServerProcess> {
    return startServer(this.options(timeoutMs))
  }

  stall(): void {
    writeFileSync(this.flag, '')
    onTestFinished(() => this.release())
  }

  release(): void {
    rmSync(this.flag, { force: true })
    try {
      closeSync(openSync(this.pipe, constants.O_WRONLY | constants.O_NONBLOCK))
    } catch {
      // Nobody waits.
    }
  }
}

const send = (server: ServerProcess, names: readonly string[]): Promise<Reply> =>
  exchange(
    server.ingest,
    postJson(
      '/track',
      names.map((name) => event(name)),
      { Origin: 'https://shop.example' },
    ),
  )

async function timed(reply: Promise<Reply>): Promise<{ reply: Reply; ms: number }> {
  const begun = performance.now()
  return { reply: await reply, ms: performance.now() - begun }
}

describe('P2: a sync that does not return', () => {
  it('503 to whoever waits within the time set, to others at once; said in /ready and /status; on it goes when it returns', async () => {
    const disk = new Disk()
    const server = await disk.start()
    expect((await send(server, ['a'])).status).toBe(200)
    disk.stall()
    const waiting = ['b', 'c'].map(async (name) => {
      await sleep(name === 'b' ? 0 : 200)
      return timed(send(server, [name, `${name}2`]))
    })
    for (const { reply, ms } of await Promise.all(waiting)) {
      expect(reply.status).toBe(503)
      expect(reply.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
      expect(reply.headers.get('access-control-allow-origin')).toBe('https://shop.example')
      expect(ms).toBeGreaterThan(TIMEOUT_MS - 250)
      expect(ms).toBeLessThan(TIMEOUT_MS + SLACK_MS)
    }
    const { reply, ms } = await timed(send(server, ['d']))
    expect(reply.status).toBe(503)
    expect(ms).toBeLessThan(500)
    const reason = 'the disk has not answered for 1 s; the log goes on when it does'
    expect(await server.readiness()).toMatchObject({ status: 503, ready: false, accepting: false, reason })
    const status = await server.status()
    expect(status.log).toMatchObject({ state: 'failed', reason, durable_offset: 1, next_offset: 1 })
    // Decoded and answered 503: b, b2, c, c2. What came later was not even decoded.
    expect(status.unavailable).toBe(4)
    expect(status.ledger).toEqual({ received: 1, accepted: 1, rejected: 0, ignored: 0 })
    expect(server.process.stderr).toContain(
      `the log is failed; requests are answered 503 until that changes: ${reason}`,
    )

    disk.release()
    await waitFor(async () => ((await server.readiness()).accepting ? true : undefined))
    expect((await send(server, ['e'])).status).toBe(200)
    expect((await tail(disk.dataDir)).map(({ record }) => record.event)).toEqual(['a', 'e'])
    expect(await inTime('exit', server.stop())).toEqual({ code: 0, signal: null })
  })

  it('SIGTERM: those who wait are answered, health can be asked, the process ends; a slow replay does not hold it up', async () => {
    const disk = new Disk()
    const server = await disk.start(600_000)
    expect((await send(server, ['a'])).status).toBe(200)
    disk.stall()
    const waiting = send(server, ['b'])
    const slow = await RawConnection.open(server.ops)
    const headers = { 'Content-Type': JSON_TYPE, 'Content-Length': '1000', Host: new URL(server.ops).host }
    slow.write(headBytes({ method: 'POST', target: '/rejects/replay', headers }))
    await sleep(200)
    const begun = performance.now()
    const exited = server.stop()
    expect((await inTime('an answer', waiting)).status).toBe(503)
    expect((await fetch(`${server.ops}/health`)).status).toBe(200)
    expect(await server.readiness()).toMatchObject({ status: 503, accepting: false, reason: 'stopping' })
    const exit = await inTime('exit', exited, 25_000)
    // No call of the process can end a thread that hangs in the kernel, so that it ends itself by force.
    expect(exit).toEqual({ code: null, signal: 'SIGKILL' })
    expect(performance.now() - begun).toBeLessThan(22_000)
    expect(server.process.stderr).toContain('the disk has not answered for 5 s: the log was left as it is')
    disk.release()
    const again = await disk.start()
    expect((await send(again, ['c'])).status).toBe(200)
    const names = (await tail(disk.dataDir)).map(({ record }) => record.event)
    expect(names.filter((name) => name !== 'b')).toEqual(['a', 'c'])
  }, 60_000)

  it('a second SIGTERM ends it at once', async () => {
    const disk = new Disk()
    const server = await disk.start()
    disk.stall()
    const waiting = send(server, ['a']).catch(() => undefined)
    await sleep(1500)
    void server.stop()
    await sleep(100)
    const begun = performance.now()
    server.process.signal('SIGTERM')
    await inTime('exit', server.process.exited, 5000)
    expect(performance.now() - begun).toBeLessThan(2500)
    await waiting
  })

  it('SIGTERM into a start that waits for the disk: ends within 10 s or so', async () => {
    const disk = new Disk()
    await (await disk.start()).stop()
    disk.stall()
    const { process } = spawnServer(disk.options())
    // It owns the directory before it recovers the log, whose sync does not return.
    await waitFor(() => askOwner(join(disk.dataDir, '0')))
    await sleep(300)
    process.signal('SIGTERM')
    const begun = performance.now()
    expect(await inTime('exit', process.exited, 20_000)).toEqual({ code: null, signal: 'SIGKILL' })
    expect(performance.now() - begun).toBeGreaterThan(8000)
    expect(process.stderr).toContain('the start has not come to its end for 10 s')
  }, 50_000)
})
