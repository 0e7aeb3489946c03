// Makes a clone ready to run: dependencies, native decoder, TypeScript. What is up to date is skipped, so that a later
// start costs a fraction of a second. Shared by start.mjs and test.mjs; plain JavaScript, because it runs before
// anything is installed.
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withLock } from './setup/lock.mjs'
import { say, step } from './setup/run.mjs'
import { findRust, firstLine } from './setup/rust.mjs'
import { digest, Stamps } from './setup/stamp.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, '.cache')
const stamps = new Stamps(cache)

const NATIVE_SOURCES = ['native', 'Cargo.toml', 'Cargo.lock', 'scripts/build-native.mjs']
const TYPESCRIPT_SOURCES = ['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']

/** Why the set-up cannot go on: one line for the person in front of it. */
export class SetupError extends Error {}

/**
 * @returns {Promise<{native: string | undefined}>} native: why the native decoder is not there, undefined when it is
 * @throws {SetupError}
 */
export async function setup() {
  requireNode()
  return withLock(cache, async () => {
    await installDependencies()
    const native = await buildNative()
    await buildTypeScript()
    return { native }
  })
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 17)) return
  throw new SetupError(`Node.js ${process.versions.node} is too old, 20.17 or newer is needed`)
}

async function installDependencies() {
  if (dependenciesInstalled()) return
  // The compiler is a development dependency: NODE_ENV=production must not leave it out.
  const { code, output } = await step('installing dependencies (npm ci)', 'npm', ['ci', '--include=dev'], {
    cwd: root,
  })
  if (code !== 0) throw new SetupError(`npm ci failed:\n${output.trim()}`)
}

/** npm leaves a copy of the lock file beside what it installed; it must name the same versions. */
function dependenciesInstalled() {
  try {
    const wanted = readJson('package-lock.json').packages
    const present = readJson('node_modules/.package-lock.json').packages
    return Object.entries(wanted).every(([path, { version, optional }]) => {
      return (
        path === '' || (present[path] === undefined ? optional === true : present[path].version === version)
      )
    })
  } catch {
    return false
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'))
}

/** Builds the addon if that is possible; otherwise says why in one line, for the reference decoder serves too. */
async function buildNative() {
  const sources = digest(root, NATIVE_SOURCES)
  const last = stamps.get('native')
  const present = addons().length > 0
  if (present && last?.built === sources) return undefined
  const rust = await findRust(root)
  // An addon that nobody here built, on a machine that cannot build: it came with the package.
  if (present && last === undefined && rust.reason !== undefined) return undefined
  const reason = rust.reason ?? (await compileNative(sources, rust.version, last?.failed))
  if (reason === undefined) return undefined
  // An addon of other sources could disagree with the reference decoder.
  for (const addon of addons()) rmSync(join(root, 'native', addon))
  say(`warning: no native decoder, because ${reason}; the reference decoder serves (correct, but slower)`)
  return reason
}

function addons() {
  return readdirSync(join(root, 'native')).filter((name) => name.endsWith('.node'))
}

/** A build that has failed is not tried again until the sources or the toolchain change. */
async function compileNative(sources, version, failed) {
  const attempt = `${sources} ${version}`
  const log = join(cache, 'native-build.log')
  if (failed?.attempt === attempt) return failed.reason
  const result = await step(
    'building the native decoder (cargo, a minute or two)',
    process.execPath,
    [join(root, 'scripts/build-native.mjs')],
    { cwd: root },
  )
  writeFileSync(log, result.output)
  if (result.code === 0 && addons().length > 0) {
    // The loader and its types are written by the build: digest again.
    stamps.set('native', { built: digest(root, NATIVE_SOURCES) })
    return undefined
  }
  const reason = `building it failed (${firstLine(result.output)}; all of it in .cache/native-build.log)`
  stamps.set('native', { failed: { attempt, reason } })
  return reason
}

async function buildTypeScript() {
  const sources = digest(root, TYPESCRIPT_SOURCES)
  if (existsSync(join(root, 'dist/cli.js')) && stamps.get('typescript') === sources) return
  const fresh = join(cache, 'dist')
  rmSync(fresh, { recursive: true, force: true })
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const { code, output } = await step(
    'compiling TypeScript',
    process.execPath,
    [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', fresh],
    { cwd: root },
  )
  if (code !== 0) throw new SetupError(`TypeScript does not compile:\n${output.trim()}`)
  chmodSync(join(fresh, 'cli.js'), 0o755)
  // Swapped as a whole: a module of the old build never meets one of the new.
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  renameSync(fresh, join(root, 'dist'))
  stamps.set('typescript', sources)
}

// `node scripts/setup.mjs` alone: build what is needed and leave.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setup().catch(failSetup)
}

export function failSetup(error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exit(1)
}
