// Builds and runs the fuzz targets on the stable toolchain (RUSTC_BOOTSTRAP=1 for the sanitizers' flags), with
// AddressSanitizer and coverage:
//
//   node native/fuzz/run.mjs [seconds a target] [target …]
//
// Sixty seconds by default. This is the long form that `npm run test:soak` runs; the short one, the same checks over
// seeded mutations, is native/core/tests/fuzz.rs. The corpus grows in native/fuzz/target/corpus; seeds are in
// native/fuzz/seeds. A found input lies in native/fuzz/target/crashes, and the exit code is 1.
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('.', import.meta.url))
const SECONDS = 60
const FLAGS = [
  '--cfg fuzzing',
  '-Zsanitizer=address',
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
  '-Cllvm-args=-simplifycfg-branch-fold-threshold=0',
  '-Cdebug-assertions',
]

/** Runs a program to its end; what it says is shown only when it fails. Returns its exit code. */
function run(command, args, env = {}) {
  const { status, error, stderr } = spawnSync(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
    maxBuffer: 1 << 28,
  })
  if (error) console.error(`error: ${command} could not be started: ${error.message}`)
  else if (status !== 0) process.stderr.write(stderr)
  return error ? 1 : (status ?? 1)
}

/** The machine's own target triple: with `--target` the flags leave build scripts alone. */
function hostTriple() {
  const { stdout } = spawnSync('rustc', ['-vV'], { encoding: 'utf8' })
  return /^host: (.+)$/m.exec(stdout ?? '')?.[1]
}

function fuzz(triple, target, seconds) {
  const corpus = join(folder, 'target/corpus', target)
  const crashes = join(folder, 'target/crashes', target) + '/'
  for (const path of [corpus, crashes]) mkdirSync(path, { recursive: true })
  const options = [`-max_total_time=${seconds}`, '-max_len=2048', '-timeout=10', '-verbosity=0']
  const seeds = join(folder, 'seeds', target)
  const dictionary = `-dict=${join(folder, 'seeds/words.dict')}`
  return run(join(folder, 'target', triple, 'release', target), [
    corpus,
    seeds,
    dictionary,
    ...options,
    `-artifact_prefix=${crashes}`,
  ])
}

const [wanted, ...names] = process.argv.slice(2)
const seconds = Number(wanted ?? SECONDS)
if (!(seconds > 0)) {
  console.error('usage: node native/fuzz/run.mjs [seconds a target] [target …]')
  process.exit(2)
}
const all = readdirSync(join(folder, 'targets')).map((name) => name.replace('.rs', ''))
const triple = hostTriple()
if (triple === undefined) {
  console.error('error: there is no Rust toolchain (rustc) here')
  process.exit(1)
}
const build = ['build', '--release', '--quiet', '--target', triple]
if (run('cargo', build, { RUSTC_BOOTSTRAP: '1', RUSTFLAGS: FLAGS.join(' ') }) !== 0) process.exit(1)
for (const target of names.length > 0 ? names : all) {
  if (fuzz(triple, target, seconds) !== 0) {
    console.error(`fuzz target ${target} found something: see native/fuzz/target/crashes/${target}`)
    process.exit(1)
  }
  console.log(`fuzz target ${target}: nothing found in ${seconds} s`)
}
