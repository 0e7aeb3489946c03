/** Processes that take and release locks, told what to do by lines. They use the compiled program, as users do. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const SCRIPT = (compiled: string) => `
import { mkdirSync, rmdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { acquireLock } from ${JSON.stringify(compiled)}
const answer = JSON.stringify({ pid: process.pid })
let lock
const commands = {
  async acquire(directory) {
    lock = await acquireLock(directory, () => answer)
    return 'won'
  },
  async release() {
    await lock?.release()
    return 'released'
  },
  // Takes and releases as often as it can. Two owners at the same moment would make the same directory.
  async churn(directory, ms) {
    let wins = 0
    for (const end = Date.now() + Number(ms); Date.now() < end; ) {
      try {
        const mine = await acquireLock(directory, () => answer)
        mkdirSync(directory + '/owned')
        await new Promise((resolve) => setImmediate(resolve))
        rmdirSync(directory + '/owned')
        await mine.release()
        wins++
      } catch (error) {
        if (error.code !== 'data_dir_locked') throw error
      }
    }
    return String(wins)
  },
}
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...args] = line.split('\\t')
  console.log(await commands[command](...args).catch((error) => error.code + ' ' + error.message))
}
// And ends, unless the lock keeps it alive.
`

/** Answers a function that starts a child, behind `prefix` (such as unshare with its flags) if there is one. */
export function lockChildren(directory: string): (prefix?: readonly string[]) => Promise<LockChild> {
  const script = join(directory, 'lock-child.mjs')
  writeFileSync(script, SCRIPT(new URL('../../../dist/log/lock.js', import.meta.url).href))
  return async (prefix = []) => {
    const [command, ...args] = [...prefix, process.execPath, script]
    const child = new LockChild(spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] }))
    await child.said()
    return child
  }
}

export class LockChild {
  private readonly lines: AsyncIterator<string>

  constructor(readonly process: ChildProcess) {
    this.lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]()
  }

  /** Sends a command; answers what it leads to. */
  async does(...command: readonly string[]): Promise<string> {
    this.process.stdin!.write(`${command.join('\t')}\n`)
    return this.said()
  }

  async said(): Promise<string> {
    const { value, done } = await this.lines.next()
    if (done === true) throw new Error('the child has ended')
    return value
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exit = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exit
  }
}
