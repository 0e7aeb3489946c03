/** A systemd of its own in namespaces of its own, for the units as they stand: user, sandbox, paths and ports. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { install } from '../support/installed.js'
import { launch, ROOT, waitFor, workspace } from '../support/server.js'

const SYSTEMD = '/lib/systemd/systemd'
const BOOT = fileURLToPath(new URL('systemd-boot.sh', import.meta.url))
const NAMESPACES = ['--mount', '--pid', '--fork', '--cgroup', '--uts', '--ipc', '--net', '--kill-child']

export interface Booted {
  /** Runs a command in there; its stdout. */
  run(...command: readonly string[]): Promise<string>
}

/** Where control groups of version 2 can be made; undefined where they cannot. */
function controlGroups(): string | undefined {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  return mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1]
}

/** Why systemd cannot be booted here. */
export function bootReason(): string | undefined {
  if (!existsSync(SYSTEMD)) return 'systemd is not installed'
  return controlGroups() === undefined ? 'there are no control groups of version 2' : undefined
}

/** @param environment the text of /etc/sluicegate/environment */
export async function boot(environment: string): Promise<Booted> {
  const program = install()
  onTestFinished(() => program.remove())
  const file = join(workspace(), 'environment')
  writeFileSync(file, environment)
  const group = join(controlGroups()!, `sluicegate-test-${process.pid}`)
  mkdirSync(group)
  onTestFinished(() => removeGroup(group))
  const boots = ['sh', BOOT, join(ROOT, 'deploy/systemd'), program.directory, process.execPath, file]
  const words = ['unshare', ...NAMESPACES, '--propagation', 'private', ...boots]
  // A control group of its own first: systemd takes over all processes of the one that it is started in.
  const started = launch(['sh', '-ec', 'echo $$ > "$0/cgroup.procs"; exec "$@"', group, ...words])
  const children = `/proc/${started.pid}/task/${started.pid}/children`
  const run = async (...command: readonly string[]): Promise<string> => {
    const first = readFileSync(children, 'latin1').trim()
    const one = launch(['nsenter', '--target', first, '--all', '--', ...command])
    const { code } = await one.exited
    if (code !== 0) throw new Error(`${command.join(' ')}: ${one.stderr}${one.stdout}`)
    return one.stdout
  }
  await waitFor(async () => {
    if (started.exit !== undefined) throw new Error(`systemd ended: ${started.stderr}${started.stdout}`)
    return answered(run('systemctl', 'is-active', 'test.target'))
  }, 20_000)
  return { run }
}

const BETWEEN_MS = 50

/** Its outcome, or undefined, a moment later, for one that failed: what polls leaves the processor to what it waits for. */
export function answered<T>(outcome: Promise<T>): Promise<T | undefined> {
  return outcome.catch(() => sleep(BETWEEN_MS, undefined))
}

/** Its processes are gone a moment after the first one was killed. */
async function removeGroup(group: string): Promise<void> {
  const remove = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) remove(join(directory, entry.name))
    }
    rmdirSync(directory)
  }
  await waitFor(() => {
    try {
      remove(group)
      return true
    } catch {
      return undefined
    }
  })
}
