// Starts the load generator of our own (client.mjs) on its core.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CLIENT = fileURLToPath(new URL('client.mjs', import.meta.url))

/**
 * @param {{port: number, connections: number, seconds: number, file: string, cpu: number, windowMs?: number, rate?: number}} load
 * @returns {Promise<object>} what client.mjs prints
 */
export async function runLoad({ cpu, windowMs = 250, ...load }) {
  const child = spawn(
    'taskset',
    ['-c', String(cpu), process.execPath, CLIENT, JSON.stringify({ ...load, windowMs })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`the load generator ended with code ${code}`)
  const figures = JSON.parse(output)
  if (figures.errors > 0) throw new Error(`the load generator saw ${figures.errors} errors`)
  return figures
}
