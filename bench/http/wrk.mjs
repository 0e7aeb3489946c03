// wrk as the load: in C, so that it never is the slower side; closed loop, one request a connection under way.
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('wrk.lua', import.meta.url))

export function hasWrk() {
  return spawnSync('wrk', ['--version']).error === undefined
}

/** `wrk 4.1.0 …` as it calls itself; it ends with code 1 when asked. */
export function wrkVersion() {
  if (!hasWrk()) return null
  return String(spawnSync('wrk', ['--version']).stdout)
    .split(' ')
    .slice(0, 2)
    .join(' ')
}

/**
 * @param {{port: number, connections: number, seconds: number, file: string, cpu: number}} load whole seconds
 * @returns {Promise<{requests: number, duration_us: number, p50_us: number, p99_us: number, p999_us: number}>}
 */
export async function runWrk({ port, connections, seconds, file, cpu }) {
  const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', SCRIPT]
  const child = spawn(
    'taskset',
    ['-c', String(cpu), 'wrk', ...options, `http://127.0.0.1:${port}/`, '--', file],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  const line = output.split('\n').find((text) => text.startsWith('{'))
  if (code !== 0 || line === undefined) throw new Error(`wrk ended with code ${code}:\n${output}`)
  const figures = JSON.parse(line)
  if (figures.errors > 0) throw new Error(`wrk saw ${figures.errors} errors on port ${port}:\n${output}`)
  return figures
}
