/**
 * Clients of other languages: fetched once from their registries into `.cache/sdk`, each in bounded time, and run as programs of
 * their own. What cannot be fetched is a reason to skip (see ../../support/require.ts), not a failure.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missing, type Part } from '../../support/require.js'

const HERE = fileURLToPath(new URL('..', import.meta.url))
const CACHE = fileURLToPath(new URL('../../../.cache/sdk/', import.meta.url))
/** A quarter of it where nothing else runs. */
const PREPARE_MS_MAX = 120_000
const RUN_MS_MAX = 60_000

export interface Program {
  /** What it needs on the machine. */
  readonly parts: readonly Part[]
  /** Why it cannot run here; undefined when it can. */
  readonly reason: string | undefined
  /** What was fetched for it. */
  readonly directory: string
  /** Runs it to its end: its stdout, line by line. Rejects with its stderr when it fails. */
  run(url: string, mode: 'send' | 'refused'): Promise<string[]>
}

interface Recipe {
  readonly parts: readonly Part[]
  /** Names what is fetched, its version included: another name is fetched anew. */
  readonly name: string
  /** Fills `directory`, which is there and empty. */
  prepare(directory: string): Promise<unknown>
  command(directory: string): Command
}

interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** PyPI `mixpanel`; pip alone is needed, and the machine's own packages stay as they are. */
export function python(): Promise<Program> {
  const install = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', '--target']
  return program({
    parts: ['python'],
    name: 'python-mixpanel-5.4.1',
    prepare: (directory) =>
      run({ file: 'python3', args: [...install, directory, 'mixpanel==5.4.1'] }, PREPARE_MS_MAX),
    command: (directory) => ({
      file: 'python3',
      args: [join(HERE, 'python/client.py')],
      env: { PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1', PYTHONIOENCODING: 'utf-8' },
    }),
  })
}

/** The module `mixpanel-go` of go.mod; the program is built anew when its sources change. */
export function go(): Promise<Program> {
  const cwd = join(HERE, 'go')
  const sources = createHash('sha256')
  for (const name of ['main.go', 'go.mod', 'go.sum']) sources.update(readFileSync(join(cwd, name)))
  const env = {
    GOMODCACHE: join(CACHE, 'go-modules'),
    GOCACHE: join(CACHE, 'go-build'),
    // The toolchain that is here, or none.
    GOTOOLCHAIN: 'local',
    GOFLAGS: '-mod=readonly -modcacherw -buildvcs=false',
    CGO_ENABLED: '0',
  }
  return program({
    parts: ['go'],
    name: `go-${sources.digest('hex').slice(0, 12)}`,
    prepare: (directory) =>
      run({ file: 'go', args: ['build', '-o', join(directory, 'client'), '.'], env, cwd }, PREPARE_MS_MAX),
    command: (directory) => ({ file: join(directory, 'client'), args: [] }),
  })
}

/** Maven's `mixpanel-java` of pom.xml; the program is run from its source. */
export function java(): Promise<Program> {
  return program({
    parts: ['java', 'javac', 'maven'],
    name: 'java-mixpanel-1.6.1',
    prepare: (directory) => {
      const where = [`-Dmaven.repo.local=${join(CACHE, 'maven')}`, `-DoutputDirectory=${directory}`]
      const pom = join(HERE, 'java/pom.xml')
      const args = ['--quiet', '--batch-mode', '--file', pom, ...where, 'dependency:copy-dependencies']
      return run({ file: 'mvn', args }, PREPARE_MS_MAX)
    },
    command: (directory) => ({
      file: 'java',
      args: ['-Dfile.encoding=UTF-8', '-cp', join(directory, '*'), join(HERE, 'java/Client.java')],
    }),
  })
}

async function program({ parts, name, prepare, command }: Recipe): Promise<Program> {
  const directory = join(CACHE, name)
  const absent = parts.map(missing).filter((reason) => reason !== undefined)
  const reason = absent.length > 0 ? absent.join(', ') : await fetched(directory, prepare)
  return {
    parts,
    reason,
    directory,
    run: async (url, mode) => {
      const { args, ...rest } = command(directory)
      const stdout = await run({ ...rest, args: [...args, url, mode] }, RUN_MS_MAX)
      return stdout.split('\n').filter((line) => line !== '')
    },
  }
}

/** Prepared beside its place and then moved there: it is whole or not there, also when two test runs fetch it at once. */
async function fetched(directory: string, prepare: Recipe['prepare']): Promise<string | undefined> {
  if (existsSync(directory)) return undefined
  const temporary = `${directory}.${process.pid}`
  mkdirSync(temporary, { recursive: true })
  try {
    await prepare(temporary)
    if (!existsSync(directory)) renameSync(temporary, directory)
    return undefined
  } catch (error) {
    return `the client cannot be fetched: ${(error as Error).message.trim().split('\n').slice(0, 3).join(' ')}`
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

function run({ file, args, env, cwd }: Command, timeoutMs: number): Promise<string> {
  const options = {
    timeout: timeoutMs,
    // A proxy is for the registries; the server is this machine.
    env: { ...process.env, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1', ...env },
    ...(cwd === undefined ? {} : { cwd }),
  }
  return new Promise((resolve, reject) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const why = error.killed
        ? `${file} took longer than ${timeoutMs / 1000} s`
        : `${file}: ${stderr || stdout}`
      reject(new Error(why, { cause: error }))
    })
  })
}
