// Instructions a payload of the Rust core: valgrind counts them, and counts the same on every run.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Cases of native/core/examples/decode.rs. */
export const CASES = ['json', 'form', 'get', 'batch', 'batch-form', 'python', 'utf8']
/** Requests that the example decodes inside `measured`. */
const REQUESTS = 1024

function output(program, args, options) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', ...options })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stderr}`)
  return stdout + stderr
}

/** What keeps the instructions from being counted; undefined: nothing does. */
export function missingProgram() {
  return ['valgrind', 'cargo', 'rustc'].find((program) => spawnSync(program, ['--version']).error)
}

/** What the figures depend on beside our sources: the compiler, and which vector code the processor gets. */
export function environment() {
  const flags = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const vectors = /\bavx2\b/.test(flags) ? 'avx2' : 'no avx2'
  return `${output('rustc', ['--version']).trim()}, ${process.arch}, ${vectors}`
}

/** Builds the example and counts; instructions a payload by case. */
export function countInstructions(root) {
  const build = ['build', '--quiet', '--profile', 'profiling', '-p', 'sluicegate-core', '--example', 'decode']
  output('cargo', build, { cwd: root })
  const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
  const program = join(target, 'profiling', 'examples', 'decode')
  return Object.fromEntries(CASES.map((name) => [name, countCase(program, name)]))
}

function countCase(program, name) {
  const options = ['--tool=callgrind', '--toggle-collect=*measured*', '--callgrind-out-file=/dev/null']
  const text = output('valgrind', [...options, program, name])
  const collected = Number(/Collected : (\d+)/.exec(text)?.[1])
  // Without the function's name in the program nothing would be collected, and nothing ever be wrong.
  if (!(collected > REQUESTS)) throw new Error(`callgrind collected nothing for ${name}:\n${text}`)
  return Math.round(collected / REQUESTS)
}
