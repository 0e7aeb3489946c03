// The decoders' parts of the benchmark: bench/decoders in processes of their own, whose figures come back as JSON.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './http/child.mjs'

async function run(program, name, { directory, cores }, ...more) {
  const path = join(directory, `${name}.json`)
  const args = ['-c', String(cores.server), process.execPath, ...program, '--json', path, ...more]
  const child = spawn('taskset', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`${program.at(-1)} ended with code ${code}`)
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** @returns {Promise<object[]>} a case each: name, events, bytes, native, javascript, ratio, target */
export function measureDecoders(bench) {
  bench.progress('decoders: native against JavaScript')
  const rounds = bench.quick ? '3' : '21'
  return run(['bench/decoders/run.mjs'], 'decoders', bench, '--rounds', rounds)
}

/** @returns {Promise<object[]>} a payload each, with the figures of every decoder (bench/decoders/survey.mjs) */
export function surveyDecoders(bench) {
  bench.progress('decoders: all of them, all payloads')
  const more = bench.quick ? ['--rounds', '1', '--quick'] : []
  return run(['--expose-gc', 'bench/decoders/survey.mjs'], 'survey', bench, ...more)
}
