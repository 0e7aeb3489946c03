/**
 * The server as it is deployed: a process of its own, started from dist/, on free ports of the loopback, in a temporary
 * directory. Whatever a test starts is ended, by its pid, and removed when the test is over.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** The program, as `npm test` has built it. */
export const CLI = join(ROOT, 'dist/cli.js')
/** Limits that end what hangs; what takes this long on a busy machine is not at fault. */
const READY_MS_MAX = 45_000
const WAIT_MS_MAX = 30_000
const POLL_MS = 5

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface StartOptions {
  readonly dataDir: string
  /** Beside those that every test server gets. */
  readonly args?: readonly string[]
  /** Of node itself. */
  readonly nodeArgs?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly uid?: number
  readonly drainMs?: number
  /** The program and what comes before its flags; `node dist/cli.js serve` unless given. */
  readonly command?: readonly string[]
  /** `nsenter …`: put before the command; it must end in an exec, so that the pid is the server's own. */
  readonly within?: readonly string[]
  /** Where it is told to say that it is ready; a temporary file unless given. */
  readonly readyFile?: string
}

export interface Ready {
  readonly ingest: string
  readonly ops: string
  readonly pid: number
}

/** What /status says, as far as tests look at it. */
export interface Status {
  readonly decoder: string
  readonly decoder_panics: number
  readonly ledger: Counts
  readonly ledger_by_kind: Readonly<Record<string, Counts>>
  readonly unavailable: number
  readonly connections: Readonly<Record<string, number>>
  readonly memory: Readonly<Record<string, number>>
  readonly log: LogExtent & {
    readonly durable_offset: number
    readonly segments: number
    readonly batches: number
    readonly failovers: number
    readonly dropped: number
    readonly new_ids: number
    readonly reopened: number
    readonly damage: {
      readonly torn_bytes: number
      readonly quarantined_batches: number
      readonly quarantined_bytes: number
    }
  }
  readonly other_writers: readonly unknown[]
  readonly rejects: LogExtent & { readonly kept: number; readonly dropped: number }
}

interface LogExtent {
  readonly state: string
  readonly reason: string
  readonly first_offset: number
  readonly next_offset: number
  readonly bytes: number
  readonly bytes_max: number
}

export interface Counts {
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly ignored: number
}

/** A directory that goes when the test is over. */
export function workspace(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-e2e-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  return directory
}

/** A process whose output is kept and whose end is awaited. */
export class Process {
  readonly exited: Promise<Exit>
  exit: Exit | undefined
  stdout = ''
  stderr = ''

  /** @param take gets what would be kept in `stdout` */
  constructor(
    readonly child: ChildProcess,
    take?: (text: string) => void,
  ) {
    const keep = (text: string): void => void (this.stdout += text)
    child.stdout?.setEncoding('utf8').on('data', take ?? keep)
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.stderr += error.message
        resolve((this.exit = { code: 127, signal: null }))
      })
      child.once('close', (code, signal) => resolve((this.exit = { code, signal })))
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** kill -9, and its end. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }
}

const running = new Set<Process>()
// A test run that is itself cut short leaves nothing behind either.
process.once('exit', () => {
  for (const one of running) one.signal('SIGKILL')
})

/** Starts a program; ended with SIGKILL when the test is over, if it still runs. */
export function launch(
  command: readonly string[],
  options: {
    env?: NodeJS.ProcessEnv
    cwd?: string
    uid?: number
    input?: string
    take?: (text: string) => void
  } = {},
): Process {
  const { input, uid, take, ...rest } = options
  const child = spawn(command[0]!, command.slice(1), {
    ...rest,
    ...(uid !== undefined && { uid, gid: uid }),
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => {}).end(input)
  const one = new Process(child, take)
  running.add(one)
  void one.exited.then(() => running.delete(one))
  onTestFinished(() => one.kill())
  return one
}

export class ServerProcess {
  constructor(
    readonly process: Process,
    private readonly ready: Ready,
    readonly dataDir: string,
    /** From the start of the process to a /ready that answers 200. */
    readonly startMs: number,
  ) {}

  get ingest(): string {
    return this.ready.ingest
  }
  get ops(): string {
    return this.ready.ops
  }
  get pid(): number {
    return this.process.pid
  }
  /** The server's own, where it was started by another program. */
  get servingPid(): number {
    return this.ready.pid
  }

  async status(): Promise<Status> {
    const reply = await fetch(`${this.ops}/status`)
    return (await reply.json()) as Status
  }

  async readiness(): Promise<{ status: number; ready: boolean; accepting: boolean; reason: string }> {
    const reply = await fetch(`${this.ops}/ready`)
    return { status: reply.status, ...((await reply.json()) as ServerReadiness) }
  }

  async metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`${this.ops}/metrics`)).text()
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
    )
  }

  /** SIGTERM, and how it ended. */
  stop(): Promise<Exit> {
    this.process.signal('SIGTERM')
    return this.process.exited
  }

  kill(): Promise<void> {
    return this.process.kill()
  }

  /** Resident memory in MiB, now and at its highest. */
  /** Of the process so far, all its threads, in user and kernel mode. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ')
    // utime and stime, proc(5) fields 14 and 15, in hundredths of a second.
    return 10 * (Number(fields[11]) + Number(fields[12]))
  }

  memoryMiB(): { now: number; peak: number } {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    const of = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(text)![1]) / 1024
    return { now: of('VmRSS'), peak: of('VmHWM') }
  }
}

interface ServerReadiness {
  readonly ready: boolean
  readonly accepting: boolean
  readonly reason: string
}

let readyFiles = 0

/** Starts a server without waiting for it. */
export function spawnServer(options: StartOptions): { process: Process; readyFile: string } {
  const { dataDir, args = [], nodeArgs = [], drainMs = 0, within = [] } = options
  const { readyFile = join(tmpdir(), `sluicegate-e2e-ready-${process.pid}-${readyFiles++}.json`) } = options
  onTestFinished(() => rmSync(readyFile, { force: true }))
  const command = options.command ?? [process.execPath, ...nodeArgs, CLI, 'serve']
  const flags = ['--port', '0', '--ops-port', '0', '--data-dir', dataDir, '--drain-ms', String(drainMs)]
  const all = [...within, ...command, ...flags, '--log-format', 'text', '--ready-file', readyFile, ...args]
  const { env, cwd, uid } = options
  const launched = launch(all, {
    ...(env !== undefined && { env }),
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
  })
  return { process: launched, readyFile }
}

/** Starts a server and waits until it is ready. */
export async function startServer(options: StartOptions): Promise<ServerProcess> {
  const started = performance.now()
  const { process: launched, readyFile } = spawnServer(options)
  const ready = await waitFor(() => {
    if (launched.exit !== undefined) throw new Error(`the server ended: ${launched.stderr}`)
    return existsSync(readyFile) ? (JSON.parse(readFileSync(readyFile, 'utf8')) as Ready) : undefined
  }, READY_MS_MAX)
  // Started by another program: should that one die first, nothing is left behind all the same.
  if (ready.pid !== launched.pid) onTestFinished(() => killIfServing(ready.pid, readyFile))
  const server = new ServerProcess(launched, ready, options.dataDir, performance.now() - started)
  const { status } = await server.readiness()
  if (status !== 200) throw new Error(`/ready answers ${status} though the server says that it is ready`)
  return server
}

function killIfServing(pid: number, readyFile: string): void {
  const commandLine = `/proc/${pid}/cmdline`
  if (existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes(readyFile))
    process.kill(pid, 'SIGKILL')
}

/** How soon a server must be ready, whatever it finds. */
const QUICK_MS_MAX = 2000

/**
 * Starts a server that must be ready within 2 s, or, on a machine that is busy with other things, in at most twice the time
 * of one that finds nothing and starts at the same moment.
 */
export async function startQuick(options: StartOptions): Promise<ServerProcess> {
  const beside = { ...options, dataDir: workspace() }
  const [server, fresh] = await Promise.all([startServer(options), startServer(beside)])
  await fresh.kill()
  const limitMs = Math.max(QUICK_MS_MAX, 2 * fresh.startMs)
  expect(server.startMs, `a start on nothing beside it took ${fresh.startMs} ms`).toBeLessThan(limitMs)
  return server
}

/** Polls until there is a value. */
export async function waitFor<T>(
  look: () => T | undefined | Promise<T | undefined>,
  msMax = WAIT_MS_MAX,
): Promise<T> {
  for (const end = performance.now() + msMax; ;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`nothing in ${msMax} ms`)
    await sleep(POLL_MS)
  }
}

/** The same promise, with a limit and a name for what did not happen. */
export async function inTime<T>(what: string, promise: Promise<T>, msMax = WAIT_MS_MAX): Promise<T> {
  const timer = new AbortController()
  const late = sleep(msMax, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what}: not within ${msMax} ms`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
    late.catch(() => {})
  }
}

/** Runs a command of the program to its end. */
export async function cli(
  args: readonly string[],
  options: { input?: string; within?: readonly string[]; take?: (text: string) => void } = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const { within = [], ...rest } = options
  const one = launch([...within, process.execPath, CLI, ...args], rest)
  const exit = await one.exited
  return { ...exit, stdout: one.stdout, stderr: one.stderr }
}
