// Builds the native decoder: native/index.js (loader), native/index.d.ts and native/sluicegate.<platform>.node.
// Quick when nothing has changed since the last build; `--force` builds all the same. Exit code 1 with one line that
// says why when it cannot be built; cargo's own output goes to stderr.
import { readdirSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { findRust } from './setup/rust.mjs'
import { digest, Stamps } from './setup/stamp.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const output = join(root, 'native')
const SOURCES = [
  'Cargo.toml',
  'Cargo.lock',
  'native/core/Cargo.toml',
  'native/core/src',
  'native/addon',
  'scripts/build-native.mjs',
]
const MADE = ['native/index.js', 'native/index.d.ts']
const STAMP = 'native-build'

function fail(reason) {
  console.error(`error: ${reason}`)
  process.exit(1)
}

function addons() {
  return readdirSync(output).filter((name) => name.endsWith('.node'))
}

/** Sources, what was made of them, and what it was made with. */
function fingerprint(version) {
  return digest(root, [...SOURCES, ...MADE], `${version} ${process.platform} ${process.arch}`)
}

function build() {
  const napi = join(root, 'node_modules/@napi-rs/cli/dist/cli.js')
  if (!existsSync(napi)) fail('@napi-rs/cli is not installed; run npm ci first')
  for (const name of addons()) rmSync(join(output, name))
  const paths = ['--manifest-path', 'native/addon/Cargo.toml', '--package-json-path', 'package.json']
  const form = [
    '--release',
    '--platform',
    '--esm',
    '--output-dir',
    'native',
    '--js',
    'index.js',
    '--dts',
    'index.d.ts',
  ]
  const { status, error } = spawnSync(process.execPath, [napi, 'build', ...form, ...paths], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (error) fail(`napi build could not be started: ${error.message}`)
  if (status !== 0) fail(`napi build ended with code ${status}`)
  // Without its type definitions napi makes no loader, and ends with code 0 all the same.
  for (const path of MADE) if (!existsSync(join(root, path))) fail(`the build made no ${path}`)
  if (addons().length !== 1) fail(`the build made ${addons().length} .node files instead of one`)
}

const rust = await findRust(root)
if (rust.reason) fail(rust.reason)
const stamps = new Stamps(join(root, '.cache'))
const force = process.argv.includes('--force')
if (!force && addons().length === 1 && stamps.get(STAMP) === fingerprint(rust.version)) {
  console.log('native decoder: up to date')
} else {
  const start = performance.now()
  build()
  stamps.set(STAMP, fingerprint(rust.version))
  console.log(`native decoder: built in ${((performance.now() - start) / 1000).toFixed(1)} s`)
}
