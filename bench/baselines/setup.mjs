// Builds the rivals out of packages, below .cache/bench. Each function says in `reason` why its rival is not there.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, startChild } from '../http/child.mjs'

const cache = join(root, '.cache/bench')
const here = join(root, 'bench/baselines')

function run(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options })
  return { ok: status === 0, output: `${stdout ?? ''}${stderr ?? ''}`, missing: error !== undefined }
}

const lastLine = (output) => output.trim().split('\n').at(-1) ?? ''

export async function buildPython() {
  const directory = join(cache, 'python')
  const requirements = readFileSync(join(here, 'python/requirements.txt'), 'utf8')
  const stamp = join(directory, 'requirements.installed')
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== requirements) {
    const python = run('python3', ['--version'])
    if (python.missing) return { reason: 'there is no python3' }
    rmSync(directory, { recursive: true, force: true })
    const made = run('python3', ['-m', 'venv', directory])
    if (!made.ok) return { reason: `python3 -m venv failed: ${lastLine(made.output)}` }
    const pip = ['-m', 'pip', 'install', '-q', '-r', join(here, 'python/requirements.txt')]
    const installed = run(join(directory, 'bin/python'), pip)
    if (!installed.ok) return { reason: `pip could not install its packages: ${lastLine(installed.output)}` }
    writeFileSync(stamp, requirements)
  }
  const args = ['-W', 'ignore', join(here, 'python/server.py')]
  return { start: (cpu) => startChild({ command: join(directory, 'bin/python'), args, cpu }) }
}

const ERLANG_PACKAGES = ['erlang-base', 'erlang-inets', 'erlang-mochiweb', 'erlang-jiffy']
const HAS_MODULES = 'halt(length([M || M <- [mochiweb, jiffy, httpd_util], code:which(M) =:= non_existing]))'

const hasErlang = () => run('erl', ['-noshell', '-eval', `${HAS_MODULES}.`]).ok

export async function buildErlang(json) {
  if (!hasErlang()) {
    const packages = ERLANG_PACKAGES.join(' ')
    if (process.getuid() !== 0) return { reason: `Debian's packages ${packages} are not installed` }
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const apt = run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...ERLANG_PACKAGES], {
      env,
    })
    if (!hasErlang()) return { reason: `apt-get could not install ${packages}: ${lastLine(apt.output)}` }
  }
  const beams = join(cache, 'erlang')
  mkdirSync(beams, { recursive: true })
  const compiled = run('erlc', ['-o', beams, join(here, 'erlang/story.erl')])
  if (!compiled.ok) return { reason: `erlc: ${lastLine(compiled.output)}` }
  // One scheduler: it has one core.
  const args = ['-noshell', '+S', '1:1', '-pa', beams, '-s', 'story', 'start', json]
  const env = { ERL_CRASH_DUMP: '/dev/null' }
  return { start: (cpu) => startChild({ command: 'erl', args, env, cpu }) }
}

/** @param {string} program one of the package's; `features` that it needs */
export async function buildAxum(program, ...features) {
  const target = join(cache, 'axum')
  const manifest = join(here, 'axum/Cargo.toml')
  const built = run('cargo', [
    'build',
    '--release',
    '--quiet',
    '--manifest-path',
    manifest,
    '--target-dir',
    target,
    '--bin',
    program,
    ...features.flatMap((feature) => ['--features', feature]),
  ])
  if (built.missing) return { reason: 'there is no cargo' }
  if (!built.ok) return { reason: `cargo: ${built.output.trim().split('\n', 1)[0]}` }
  const command = join(target, 'release', program)
  return { start: (cpu, ...args) => startChild({ command, args, cpu }) }
}
