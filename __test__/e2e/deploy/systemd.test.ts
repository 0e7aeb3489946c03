/** The systemd units: read by systemd's own tools, and their command line run for real. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../docs/markdown.js'
import { exchange } from '../../support/http.js'
import { describeUnless, describeWith, missing } from '../../support/require.js'
import { event, postJson } from '../support/events.js'
import { inTime, type Ready, spawnServer, startServer, waitFor, workspace } from '../support/server.js'
import { tail } from '../support/tail.js'
import { answered, boot, bootReason } from './booted.js'
import { UNITS, unitCommand, unitPath, unitValues } from './unit.js'

/** /etc/sluicegate/environment as the guide has it. */
const ENVIRONMENT = readDocument('docs/guides/deploy.md').blocks.find(({ text }) =>
  text.startsWith('SLUICEGATE_AUTH='),
)!.text
/** Of 100: what systemd would call OK begins at 20. */
const EXPOSURE_MAX = 15

function analyze(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  return `${status}\n${stdout}${stderr}`
}

/** Every system call that the sets of `SystemCallFilter=` leave. */
function allowedCalls(unit: (typeof UNITS)[number]): ReadonlySet<string> {
  const allowed = new Set<string>()
  for (const value of unitValues(unit, 'SystemCallFilter')) {
    const refuses = value.startsWith('~')
    for (const name of value.replace('~', '').split(' ').flatMap(callsOf)) {
      if (refuses) allowed.delete(name)
      else allowed.add(name)
    }
  }
  return allowed
}

function callsOf(set: string): string[] {
  if (!set.startsWith('@')) return [set]
  const lines = analyze('syscall-filter', '--no-pager', set).split('\n').slice(2)
  const names = lines.map((line) => line.trim()).filter((line) => /^[@a-z_0-9-]+$/.test(line))
  return names.flatMap(callsOf)
}

describeWith('systemd', 'systemd reads the units', () => {
  it.each(UNITS)('%s: verified, and hardly exposed', (unit) => {
    const path = join(workspace(), unit.replace('@', '@0'))
    const [command] = unitCommand(unit)
    writeFileSync(path, readFileSync(unitPath(unit), 'utf8').replaceAll('/usr/bin/node', command!))
    expect(analyze('verify', '--man=no', path)).toBe('0\n')
    const security = analyze('security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, '--no-pager', path)
    expect(security.slice(0, 2), security).toBe('0\n')
  })

  it('a misspelt setting would be found', () => {
    const path = join(workspace(), 'sluicegate.service')
    writeFileSync(path, readFileSync(unitPath('sluicegate.service'), 'utf8').replace('UMask', 'UMusk'))
    expect(analyze('verify', '--man=no', path)).toContain("'UMusk'")
  })
})

describe('the command line of the units', () => {
  it('they differ in what makes a process one of several, and in nothing else', () => {
    const settings = (unit: (typeof UNITS)[number]): string[] =>
      readFileSync(unitPath(unit), 'utf8')
        .split('\n')
        .filter((line) => /^\w+=/.test(line) && !/^(Description|ExecStart)=/.test(line))
    expect(settings('sluicegate@.service')).toEqual(settings('sluicegate.service'))
    const [one] = unitValues('sluicegate.service', 'ExecStart')
    expect(unitValues('sluicegate@.service', 'ExecStart')).toEqual([
      `${one} --writer %i --port 901%i --ops-port 902%i --trusted-proxies loopback`,
    ])
  })

  it('serves with the settings of the guide, keeps an event, and ends with SIGTERM in time', async () => {
    const directory = workspace()
    const env = Object.fromEntries(ENVIRONMENT.split('\n').map((line) => line.split('=')))
    expect(env).toHaveProperty('SLUICEGATE_TOKENS_FILE', '/etc/sluicegate/tokens.json')
    env.SLUICEGATE_TOKENS_FILE = join(directory, 'tokens.json')
    writeFileSync(env.SLUICEGATE_TOKENS_FILE, '{"tokens":[{"token":"t0k"}]}')
    const dataDir = join(directory, 'data')
    const command = unitCommand('sluicegate@.service', '3')
    const server = await startServer({ dataDir, command, env: { ...env, NODE_ENV: 'production' } })
    expect((await server.status()).log.bytes_max).toBe(40 * 2 ** 30)
    const reply = await exchange(server.ingest, postJson('/track', event('kept')))
    expect(reply.body.toString()).toBe('1')
    expect(await inTime('exit', server.stop(), 15_000)).toEqual({ code: 0, signal: null })
    expect((await tail(dataDir, ['--writer', '3'])).map(({ record }) => record.event)).toEqual(['kept'])
  })

  it('has time to drain before systemd would kill it', () => {
    for (const unit of UNITS) {
      expect(unitValues(unit, 'KillSignal')).toEqual(['SIGTERM'])
      // Five seconds of drain by default, ten at most for what is then under way, and the log is closed.
      expect(Number(unitValues(unit, 'TimeoutStopSec')[0])).toBeGreaterThanOrEqual(30)
    }
  })
})

describeWith(['systemd', 'strace'], 'the sandbox of the units', () => {
  it('takes no system call away that the server makes', async () => {
    const directory = workspace()
    const trace = join(directory, 'trace')
    const dataDir = join(directory, 'data')
    const within = ['strace', '-f', '-qq', '-o', trace]
    const { process: strace, readyFile } = spawnServer({
      dataDir,
      command: unitCommand('sluicegate.service'),
      within,
    })
    const ready = await waitFor(() => {
      if (strace.exit !== undefined) throw new Error(strace.stderr)
      return existsSync(readyFile) ? (JSON.parse(readFileSync(readyFile, 'utf8')) as Ready) : undefined
    }, 30_000)
    const reply = await exchange(ready.ingest, postJson('/track', event('kept')))
    expect(reply.body.toString()).toBe('1')
    await (await fetch(`${ready.ops}/metrics`)).text()
    process.kill(ready.pid, 'SIGTERM')
    await inTime('exit', strace.exited, 20_000)
    const made = new Set(
      [...readFileSync(trace, 'latin1').matchAll(/^\d+ +([a-z_0-9]+)\(/gm)].map(([, name]) => name!),
    )
    expect(made.size).toBeGreaterThan(40)
    expect([...made]).toContain('fdatasync')
    const allowed = allowedCalls('sluicegate.service')
    expect([...made].filter((name) => !allowed.has(name))).toEqual([])
  })
})

describeUnless(
  missing('mounts') ?? bootReason(),
  ['systemd'],
  'the units under a systemd of their own',
  () => {
    it('serve in their sandbox, start again after kill -9, and stop', async () => {
      const { run } = await boot(`${ENVIRONMENT}\nSLUICEGATE_DRAIN_MS=100\n`)
      const systemctl = (...args: readonly string[]): Promise<string> => run('systemctl', ...args)
      const property = async (unit: string, name: string): Promise<string> =>
        (await systemctl('show', '--value', '-p', name, unit)).trim()
      const ready = (port: number): Promise<string> =>
        waitFor(() => answered(run('curl', '-sf', `http://127.0.0.1:${port}/ready`)), 20_000)
      const send = (port: number, token: string): Promise<string> =>
        run(
          'curl',
          '-s',
          '-d',
          JSON.stringify(event(`to ${port}`, { token })),
          `http://127.0.0.1:${port}/track`,
        )

      for (const port of [9020, 9021]) await ready(port)
      // A token that the file lists, and one that it does not: the settings of the guide are in force.
      expect([await send(9010, 't0k'), await send(9010, 'other'), await send(9011, 't0k')]).toEqual([
        '1',
        '0',
        '1',
      ])

      const pid = await property('sluicegate@0', 'MainPID')
      const status = await run('cat', `/proc/${pid}/status`)
      // A filter of system calls, no capabilities, no way to new ones.
      for (const line of [
        'Seccomp:\t2',
        'CapEff:\t0000000000000000',
        'CapBnd:\t0000000000000000',
        'NoNewPrivs:\t1',
      ]) {
        expect(status).toContain(line)
      }
      expect((await run('stat', '-c', '%U %a', `/proc/${pid}`, '/var/lib/sluicegate')).trim()).toBe(
        'sluicegate 555\nsluicegate 700',
      )

      await run('kill', '-9', pid)
      await waitFor(async () => {
        const now = await property('sluicegate@0', 'MainPID')
        return now !== '0' && now !== pid ? true : undefined
      })
      await ready(9020)
      expect(await send(9010, 't0k')).toBe('1')
      await systemctl('stop', 'sluicegate@0')
      expect(await property('sluicegate@0', 'Result')).toBe('success')
      expect(await property('sluicegate@0', 'ExecMainStatus')).toBe('0')
      // The other unit goes on with the same log.
      await systemctl('start', 'sluicegate')
      await ready(8081)
      expect(await send(8080, 't0k')).toBe('1')

      // As the guide says.
      const program = '/opt/sluicegate/node_modules/sluicegate/dist/cli.js'
      const user = ['setpriv', '--reuid', 'sluicegate', '--regid', 'sluicegate', '--clear-groups']
      const sentTo = async (writer: string): Promise<unknown> => {
        const words = ['tail', '--data-dir', '/var/lib/sluicegate', '--writer', writer]
        return (await run(...user, '/opt/node', program, ...words)).match(/to \d+/g)
      }
      expect(await sentTo('0')).toEqual(['to 9010', 'to 9010', 'to 8080'])
      expect(await sentTo('1')).toEqual(['to 9011'])
    })
  },
)
