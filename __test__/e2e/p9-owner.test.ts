/** P9 and DESIGN of the lock: one owner a directory, and a dead one is succeeded at once. */
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exchange } from '../support/http.js'
import { describeWith } from '../support/require.js'
import { event, postJson } from './support/events.js'
import { type Installed, install } from './support/installed.js'
import {
  inTime,
  type Process,
  spawnServer,
  startQuick,
  startServer,
  waitFor,
  workspace,
} from './support/server.js'
import { tail } from './support/tail.js'

const send = async (ingest: string, name: string): Promise<number> =>
  (await exchange(ingest, postJson('/track', event(name)))).status

/** One line that says what is wrong, without a stack, and exit code 1. */
async function expectRefusal(process: Process, message: RegExp): Promise<void> {
  expect(await inTime('exit', process.exited)).toEqual({ code: 1, signal: null })
  const lines = process.stderr.trimEnd().split('\n')
  expect(lines, process.stderr).toHaveLength(1)
  expect(lines[0]).toMatch(message)
  expect(process.stdout).toBe('')
}

describe('P9: two servers on one data directory', () => {
  it('the second leaves with 1 and a clear line, the first goes on; killed, it is succeeded at once', async () => {
    const dataDir = workspace()
    const first = await startServer({ dataDir })
    expect(await send(first.ingest, 'a')).toBe(200)
    const { process } = spawnServer({ dataDir })
    await expectRefusal(process, new RegExp(`belongs to another sluicegate .*pid ${first.pid}\\b`))
    expect(await send(first.ingest, 'b')).toBe(200)

    await first.kill()
    const second = await startQuick({ dataDir })
    expect(await send(second.ingest, 'c')).toBe(200)
    expect((await tail(dataDir)).map(({ record }) => record.event)).toEqual(['a', 'b', 'c'])
  })

  it('of starts at the same moment exactly one serves', async () => {
    const dataDir = workspace()
    const starts = await Promise.allSettled([1, 2, 3].map(() => startServer({ dataDir })))
    const served = starts.filter((start) => start.status === 'fulfilled')
    expect(served).toHaveLength(1)
    for (const start of starts) {
      if (start.status === 'rejected') expect(String(start.reason)).toContain('belongs to another sluicegate')
    }
    expect(await send(served[0]!.value.ingest, 'a')).toBe(200)
  })

  it('writers with folders of their own share a directory', async () => {
    const dataDir = workspace()
    const [one, two] = await Promise.all(
      ['one', 'two'].map((writer) => startServer({ dataDir, args: ['--writer', writer] })),
    )
    expect(await send(one!.ingest, 'a')).toBe(200)
    expect(await send(two!.ingest, 'b')).toBe(200)
    expect((await tail(dataDir, ['--writer', 'two'])).map(({ record }) => record.event)).toEqual(['b'])
    // Renamed, or scaled away: what the old one left is not forgotten.
    await one!.stop()
    const three = await startServer({ dataDir, args: ['--writer', 'three'] })
    const left = await waitFor(async () => {
      const { other_writers: found } = await three.status()
      return found.length > 0 ? found : undefined
    })
    expect(left).toEqual([
      { writer: 'one', pid: null, first_offset: 0, end_offset: 1, unread: 1 },
      { writer: 'two', pid: two!.pid, first_offset: 0, end_offset: 1, unread: 1 },
    ])
  })
})

const isRoot = process.getuid?.() === 0
/** `nobody`: an ordinary user, whom permissions bind. */
const NOBODY = isRoot ? 65_534 : undefined

function handOver(path: string): void {
  if (NOBODY !== undefined) chownSync(path, NOBODY, NOBODY)
}

describeWith('nobody', 'P9: a data directory that cannot be used', () => {
  let installed: Installed
  beforeAll(() => (installed = install()))
  afterAll(() => installed.remove())
  const asNobody = () => {
    const { command, directory: cwd } = installed
    return NOBODY === undefined ? {} : { uid: NOBODY, command, cwd }
  }

  it('read-only: one clear line, exit code 1', async () => {
    const parent = workspace()
    handOver(parent)
    const dataDir = join(parent, 'data')
    mkdirSync(dataDir)
    handOver(dataDir)
    chmodSync(dataDir, 0o555)
    await expectRefusal(spawnServer({ dataDir, ...asNobody() }).process, /EACCES.*data/)
  })

  it('of somebody else: one clear line, exit code 1', async () => {
    const parent = workspace()
    chmodSync(parent, 0o755)
    const dataDir = join(parent, 'data')
    const first = await startServer({ dataDir })
    await first.stop()
    const log = join(dataDir, '0/log')
    chmodSync(log, 0o000)
    if (NOBODY !== undefined) chmodSync(join(dataDir, '0'), 0o755)
    await expectRefusal(spawnServer({ dataDir, ...asNobody() }).process, /EACCES|permission/)
    chmodSync(log, 0o755)
  })

  it('a file where the directory should be: one clear line, exit code 1', async () => {
    const dataDir = join(workspace(), 'data')
    writeFileSync(dataDir, 'not a directory')
    await expectRefusal(spawnServer({ dataDir }).process, /ENOTDIR|EEXIST/)
    expect(readFileSync(dataDir, 'utf8')).toBe('not a directory')
    rmSync(dataDir)
  })

  it('works as an ordinary user in a directory of its own', async () => {
    const dataDir = workspace()
    handOver(dataDir)
    const server = await startServer({ dataDir, ...asNobody() })
    expect(await send(server.ingest, 'a')).toBe(200)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
    expect(await tail(dataDir)).toHaveLength(1)
  })
})
