/** P1, P2: somebody removes the data directory under a live server, or puts another one in its place. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { exchange } from '../support/http.js'
import { event, postJson } from './support/events.js'
import { cli, inTime, type ServerProcess, startServer, waitFor, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const send = async (server: ServerProcess, name: string): Promise<number> =>
  (await exchange(server.ingest, postJson('/track', event(name)))).status

const namesIn = async (dataDir: string): Promise<unknown[]> =>
  (await tail(dataDir)).map(({ record }) => record.event)

describe('P1: rm -rf of the data directory of a live server', () => {
  let root: string
  beforeEach(() => (root = workspace()))

  it('is said within a second, in the log, /status and doctor; what is answered 200 after that is on disk', async () => {
    const dataDir = join(root, 'data')
    const server = await startServer({ dataDir })
    for (const name of ['a', 'b', 'c']) expect(await send(server, name)).toBe(200)
    rmSync(dataDir, { recursive: true })
    await sleep(1050)
    // A moment may pass until it is open again.
    await waitFor(async () => ((await send(server, 'd')) === 200 ? true : undefined), 5000)
    expect(await namesIn(dataDir)).toEqual(['d'])
    expect(server.process.stderr).toMatch(
      /ERROR the data directory is failed; requests are answered 503 .*\/data\/.* was removed or replaced/,
    )
    const { log } = await server.status()
    expect(log).toMatchObject({ state: 'writable', reopened: 1, new_ids: 1, first_offset: 3, next_offset: 4 })
    expect((await server.metrics()).get('sluicegate_log_reopened_total{log="events"}')).toBe(1)
    const doctor = await cli(['doctor', '--data-dir', dataDir])
    expect(doctor.stdout).toMatch(/FAULT .*removed or replaced .* 1 time/)
    expect(doctor.code).toBe(1)
    expect(await inTime('exit', server.stop())).toEqual({ code: 0, signal: null })
    const again = await startServer({ dataDir })
    expect(await send(again, 'e')).toBe(200)
    expect(await namesIn(dataDir)).toEqual(['d', 'e'])
  })

  it("another server's in its place stays that one's: the first answers 503 with the reason until that has ended", async () => {
    const [dataDir, one, two] = ['data', 'one', 'two'].map((name) => join(root, name)) as [
      string,
      string,
      string,
    ]
    mkdirSync(one)
    symlinkSync(one, dataDir)
    const [first, second] = [await startServer({ dataDir }), await startServer({ dataDir: two })]
    expect(await send(first, 'a')).toBe(200)
    symlinkSync(two, `${dataDir}.new`)
    renameSync(`${dataDir}.new`, dataDir)
    const refused = await waitFor(async () => {
      const readiness = await first.readiness()
      return readiness.reason.includes('belongs to another sluicegate') ? readiness : undefined
    })
    expect(refused).toMatchObject({ status: 503, ready: false, accepting: false })
    expect(refused.reason).toContain(`pid ${second.pid}`)
    expect(await send(first, 'lost')).toBe(503)
    expect(await send(second, 'b')).toBe(200)
    expect(await namesIn(one)).toEqual(['a'])
    await second.stop()
    await waitFor(async () => ((await first.readiness()).accepting ? true : undefined), 15_000)
    expect(await send(first, 'c')).toBe(200)
    expect(await namesIn(two)).toEqual(['b', 'c'])
  }, 40_000)
})
