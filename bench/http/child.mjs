// A server under measurement: a process of its own, pinned to one core, that says `ready PORT` on stdout.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const READY_MS_MAX = 60_000
const STOP_MS_MAX = 5_000
const STDERR_CHARS_MAX = 4000

const running = new Set()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

export class Child {
  #questions = new Map()
  #asked = 0

  constructor(child, port) {
    this.child = child
    this.port = port
    child.on('message', ({ id, answer }) => this.#questions.get(id)?.(answer))
  }

  get pid() {
    return this.child.pid
  }

  /** Programs of ours answer over the channel that child_process keeps (servers/announce.mjs). */
  ask(question, more = {}) {
    const id = this.#asked++
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error(`the server ended when asked for ${question}`))
      this.child.once('exit', gone)
      this.#questions.set(id, (answer) => {
        this.#questions.delete(id)
        this.child.off('exit', gone)
        resolve(answer)
      })
      this.child.send({ id, question, ...more })
    })
  }

  async stop() {
    const { child } = this
    running.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    const giveUp = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await ended
    clearTimeout(giveUp)
  }
}

/**
 * @param {{command: string, args: string[], env?: object, cpu: number}} program
 * @returns {Promise<Child>} once it listens
 */
export async function startChild({ command, args, env = {}, cpu }) {
  const ipc = command === process.execPath ? ['ipc'] : []
  const child = spawn('taskset', ['-c', String(cpu), command, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...ipc],
  })
  running.add(child)
  let errors = ''
  child.stderr.on('data', (chunk) => (errors = (errors + chunk).slice(-STDERR_CHARS_MAX)))
  try {
    return new Child(child, await portOf(child))
  } catch (error) {
    child.kill('SIGKILL')
    running.delete(child)
    throw new Error(`${command} ${args.join(' ')}: ${error.message}\n${errors}`, { cause: error })
  }
}

function portOf(child) {
  return new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => reject(new Error('not ready in time')), READY_MS_MAX)
    const settle = (how, value) => {
      clearTimeout(giveUp)
      how(value)
    }
    child.once('error', (error) => settle(reject, error))
    child.once('exit', (code) => settle(reject, new Error(`ended with code ${code}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /^ready (\d+)$/.exec(line.trim())
      if (match) settle(resolve, Number(match[1]))
    })
  })
}
