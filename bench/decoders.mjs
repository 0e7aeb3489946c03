// The decoders' part of the benchmark: bench/decoders in a process of its own, whose figures come back as JSON.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './http/child.mjs'

const QUICK_ROUNDS = '5'
const FULL_ROUNDS = '21'

/** @returns {Promise<object[]>} a case each: name, events, bytes, native, javascript, ratio, target */
export async function measureDecoders({ quick, directory, progress }) {
  progress('decoders: native against JavaScript')
  const path = join(directory, 'decoders.json')
  const args = ['bench/decoders/run.mjs', '--rounds', quick ? QUICK_ROUNDS : FULL_ROUNDS, '--json', path]
  const child = spawn('taskset', ['-c', '0', process.execPath, ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`bench/decoders/run.mjs ended with code ${code}`)
  return JSON.parse(readFileSync(path, 'utf8'))
}
