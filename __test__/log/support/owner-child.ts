/** A process that owns a data directory, as a server does, and writes to it when told by lines. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const SCRIPT = (dist: string, dataDir: string) => `
import { createInterface } from 'node:readline'
import { systemClock } from ${JSON.stringify(`${dist}clock.js`)}
import { configWith } from ${JSON.stringify(`${dist}config.js`)}
import { nodeDisk } from ${JSON.stringify(`${dist}log/node-disk.js`)}
import { Storage } from ${JSON.stringify(`${dist}storage.js`)}

// Syncs wait while they are held.
let held
let release = () => {}
const disk = {
  ...nodeDisk,
  open: async (path, flags) => {
    const file = await nodeDisk.open(path, flags)
    const sync = file.sync.bind(file)
    const writeDurably = file.writeDurably.bind(file)
    const writeBlocks = file.writeBlocks.bind(file)
    file.sync = async () => {
      await held
      await sync()
    }
    file.writeDurably = async (bytes, position) => {
      await file.write(bytes, position)
      await held
      await writeDurably(bytes, position)
    }
    file.writeBlocks = async (bytes, position) => {
      await file.write(bytes, position)
      await held
      await writeBlocks(bytes, position)
    }
    return file
  },
}
const say = () => {}
const logger = { info: say, warn: say, error: say }
let storage
let next = 0
function record(id) {
  const value = Buffer.from(JSON.stringify({ id }))
  const made = Buffer.alloc(20 + value.length)
  made.writeUInt32LE(made.length, 0)
  made.set(value, 20)
  return made
}
function put(count) {
  return Promise.all(
    Array.from({ length: Number(count) }, () => {
      const bytes = record(next++)
      const room = storage.log.open(bytes.length)
      room.bytes.set(bytes, room.position)
      return storage.log.commit(room.position + bytes.length, 1)
    }),
  )
}
const commands = {
  async open() {
    const config = configWith({ dataDir: ${JSON.stringify(dataDir)}, logSegmentBytes: 1048576 })
    storage = await Storage.open(config, { logger, clock: systemClock, disk })
    next = storage.log.nextOffset
    return 'open at ' + next
  },
  async put(count) {
    await put(count)
    return 'durable ' + storage.log.durableOffset
  },
  async hold() {
    held = new Promise((resolve) => (release = resolve))
    return 'held'
  },
  async start(count) {
    put(count).catch(say)
    return 'started'
  },
  async release() {
    held = undefined
    release()
    return 'released'
  },
  async close() {
    await storage.close()
    return 'closed'
  },
}
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...args] = line.split(' ')
  console.log(await commands[command](...args).catch((error) => String(error.code)))
}
`

export class OwnerChild {
  private readonly lines: AsyncIterator<string>

  private constructor(private readonly process: ChildProcess) {
    this.lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]()
  }

  /** @param directory where the script may lie; `dataDir` is what it owns once it was told to `open` */
  static async start(directory: string, dataDir: string): Promise<OwnerChild> {
    const script = join(directory, 'owner-child.mjs')
    writeFileSync(script, SCRIPT(new URL('../../../dist/', import.meta.url).href, dataDir))
    const child = new OwnerChild(spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] }))
    await child.said()
    return child
  }

  /** Sends a command; answers what it leads to. */
  async does(command: string): Promise<string> {
    this.process.stdin!.write(`${command}\n`)
    return this.said()
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exit = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exit
  }

  /** Ends its input; the exit code, once it has ended by itself. */
  async end(): Promise<number | null> {
    const exit = once(this.process, 'exit')
    this.process.stdin!.end()
    return ((await exit) as [number | null])[0]
  }

  private async said(): Promise<string> {
    const { value, done } = await this.lines.next()
    if (done === true) throw new Error('the child has ended')
    return value
  }
}
