/** `npm start` on a clone: sets up what is missing, serves in the same process, and the next start is quick. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync, cpSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exchange } from '../support/http.js'
import { event, postJson } from './support/events.js'
import { inTime, ROOT, type ServerProcess, spawnServer, startServer, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const NPM = ['npm', 'start', '--silent', '--']
const EVERYTHING = ['-z', '--cached', '--others', '--exclude-standard']

/** The files of the working tree, as a clone of it would have them; dependencies are linked, nothing is built. */
function cloneOf(parent: string): string {
  const clone = join(parent, 'clone')
  const files = execFileSync('git', ['ls-files', ...EVERYTHING], { cwd: ROOT, encoding: 'utf8' })
  for (const file of files.split('\0').filter((name) => name !== '' && existsSync(join(ROOT, name)))) {
    mkdirSync(dirname(join(clone, file)), { recursive: true })
    cpSync(join(ROOT, file), join(clone, file))
  }
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
  return clone
}

/** Everything that is on PATH here, except cargo. */
function pathWithoutCargo(parent: string): string {
  const bin = join(parent, 'bin')
  mkdirSync(bin)
  for (const directory of process.env['PATH']!.split(delimiter)) {
    if (!existsSync(directory)) continue
    for (const name of readdirSync(directory)) {
      const link = join(bin, name)
      if (!/^(cargo|rustc|rustup)/.test(name) && !existsSync(link)) symlinkSync(join(directory, name), link)
    }
  }
  return bin
}

async function expectServes(server: ServerProcess, name: string): Promise<void> {
  const { status, body } = await exchange(server.ingest, postJson('/track', event(name)))
  expect(`${status} ${body.toString()}`).toBe('200 1')
}

describe('npm start', () => {
  it('without a Rust toolchain: one plain warning, the reference decoder; later starts quick; signals and exit codes', async () => {
    const parent = workspace()
    const [clone, dataDir] = [cloneOf(parent), join(parent, 'data')]
    const env = { PATH: pathWithoutCargo(parent) }
    const start = () => startServer({ command: NPM, cwd: clone, dataDir, env })

    const first = await start()
    await expectServes(first, 'first')
    expect((await first.status()).decoder).toBe('reference')
    const warnings = first.process.stderr.split('\n').filter((line) => line.startsWith('sluicegate: warning'))
    expect(warnings).toEqual([
      'sluicegate: warning: no native decoder, because there is no Rust toolchain (cargo) here; the reference decoder serves (correct, but slower)',
    ])
    expect(first.process.stderr).not.toMatch(/\n\s+at /)
    // The ready file names the process that was started with npm, or its child: SIGTERM to npm reaches it.
    expect(await inTime('exit', first.stop(), 15_000)).toEqual({ code: 0, signal: null })
    expect(() => process.kill(first.servingPid, 0)).toThrow('ESRCH')

    // npm itself takes a part of it; on a busy machine it is held against a start without npm at the same moment.
    const [second, server] = await Promise.all([start(), startServer({ dataDir: join(parent, 'other') })])
    expect(second.process.stderr).not.toContain('compiling')
    await server.stop()
    expect(second.startMs).toBeLessThan(Math.max(2000, 4 * server.startMs))
    await expectServes(second, 'second')
    expect((await tail(dataDir)).map(({ record }) => record.event)).toEqual(['first', 'second'])

    // What fails, fails with the server's own code.
    const locked = spawnServer({ command: NPM, cwd: clone, dataDir, env }).process
    expect((await inTime('exit', locked.exited, 15_000)).code).toBe(1)
    expect(locked.stderr).toContain('belongs to another sluicegate')
    const usage = spawnServer({ command: NPM, cwd: clone, dataDir, env, args: ['--prot', '1'] }).process
    expect((await inTime('exit', usage.exited, 15_000)).code).toBe(2)
    await expectServes(second, 'third')
    second.process.signal('SIGINT')
    expect(await inTime('exit', second.process.exited, 15_000)).toEqual({ code: 0, signal: null })
  })
})
