// Runs other programs and shows what is going on: one line at the start and one at the end of a step on stderr, and on
// a terminal the program's latest line in between. Stdout belongs to the server.
import { spawn } from 'node:child_process'

const terminal = process.stderr.isTTY === true

export function say(line) {
  process.stderr.write(`sluicegate: ${line}\n`)
}

/** Shows `text` on the terminal's last line, to be written over; nothing in a pipe. */
function showPassing(text) {
  if (!terminal) return
  const width = (process.stderr.columns ?? 80) - 1
  process.stderr.write(`\r\x1b[K${text.slice(0, width)}`)
}

/**
 * Runs a program to its end, output kept.
 * @returns {Promise<{code: number, output: string}>} code 127 when it could not be started
 */
export function run(command, args, { cwd, env = {}, onLine = () => {} } = {}) {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const collect = (chunk) => {
      output += chunk
      const line = String(chunk)
        .trimEnd()
        .split(/[\r\n]/)
        .at(-1)
      if (line) onLine(line)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', (error) => resolve({ code: 127, output: error.message }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** Runs one step of the set-up: says what is done, how long it took, and hands back what the program said. */
export async function step(what, command, args, options) {
  const start = performance.now()
  say(`${what} …`)
  const result = await run(command, args, { ...options, onLine: (line) => showPassing(`  ${line}`) })
  showPassing('')
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  if (result.code === 0) say(`${what}: done in ${seconds} s`)
  return result
}
