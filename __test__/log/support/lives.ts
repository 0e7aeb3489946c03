/**
 * A log through many lives: it is written, killed, loses power, meets failing calls and full disks, and starts again,
 * beside a model that is a list of numbers.
 */
import { LogUnavailable } from '../../../src/errors.js'
import type { SegmentLog } from '../../../src/log/log.js'
import type { Disk } from '../../../src/log/types.js'
import { aroundCalls } from './around.js'
import { type CrashChoice, type DiskOperation, MemoryDisk } from './memory-disk.js'
import { idle, MIXED_FRAMES, open, put, read, record } from './run.js'

export type Command =
  | { readonly do: 'put'; readonly records: number; readonly bytes: number }
  | { readonly do: 'read' }
  | { readonly do: 'close' }
  /** The process ends at its `calls`-th call from now, which is made before if `made`. The page cache stays. */
  | { readonly do: 'kill'; readonly calls: number; readonly made: boolean }
  | { readonly do: 'power'; readonly choice: CrashChoice }
  /** The `after`-th such call from now fails, and those behind it up to `times`. */
  | {
      readonly do: 'fault'
      readonly op: DiskOperation
      readonly code: string
      readonly after: number
      readonly times: number
      readonly writtenBytes: number
    }
  /** So many bytes are left on the disk. */
  | { readonly do: 'limit'; readonly bytes: number }
  | { readonly do: 'unlimit' }

/** One process: its calls to the disk end with it. */
class Life {
  dead = false
  readonly died: Promise<'died'>
  readonly disk: Disk
  private end!: () => void
  private callsLeft = Infinity
  private made = false

  constructor(disk: Disk) {
    this.died = new Promise((resolve) => (this.end = () => resolve('died')))
    this.disk = aroundCalls(disk, async (call) => {
      if (this.dead) return new Promise(() => {})
      if (--this.callsLeft <= 0) {
        if (this.made) void call().catch(() => {})
        this.kill()
        return new Promise(() => {})
      }
      try {
        const answer = await call()
        return this.dead ? await new Promise(() => {}) : answer
      } catch (error) {
        if (this.dead) await new Promise(() => {})
        throw error
      }
    })
  }

  kill(): void {
    this.dead = true
    this.end()
  }

  killAfter(calls: number, made: boolean): void {
    this.callsLeft = calls
    this.made = made
  }
}

type Fault = Extract<Command, { do: 'fault' }>

export class Lives {
  disk = new MemoryDisk()
  private life = new Life(this.disk)
  private log: SegmentLog | undefined
  private faults: { fault: Fault; seen: number }[] = []
  private next = 0
  /** What has to be read from now on: acknowledged, or shown after a start. */
  private kept: number[] = []
  /** Sent, and may or may not be there after the next start. */
  private open = new Set<number>()
  starts = 0
  acknowledged = 0

  /** @param wait lets the log's timers run for so long */
  constructor(private readonly wait: (ms: number) => Promise<void>) {}

  async run(commands: readonly Command[]): Promise<void> {
    await this.start()
    for (const command of commands) {
      await this.does(command)
      if (this.life.dead) await this.start()
    }
    this.calm()
    this.life.kill()
    await this.start()
    await this.put(3, 100)
    await this.expectRead()
    await this.log!.close()
  }

  private async does(command: Command): Promise<void> {
    if (command.do === 'put') await this.put(command.records, command.bytes)
    if (command.do === 'read') await this.expectRead()
    if (command.do === 'close') {
      await Promise.race([this.log!.close(), this.life.died])
      this.life.kill()
    }
    if (command.do === 'kill') this.life.killAfter(command.calls, command.made)
    if (command.do === 'power') {
      this.life.kill()
      this.use(this.disk.crash(command.choice))
    }
    if (command.do === 'fault') this.faults.push({ fault: command, seen: 0 })
    if (command.do === 'limit') this.disk.limitBytes = this.disk.usedBytes + command.bytes
    if (command.do === 'unlimit') this.disk.limitBytes = undefined
  }

  private use(disk: MemoryDisk): void {
    this.disk = disk
    disk.onCall = (call) => {
      for (const one of this.faults) {
        const { fault } = one
        if (fault.op !== call.op || ++one.seen < fault.after) continue
        if (one.seen >= fault.after + fault.times) continue
        return { error: fault.code, writtenBytes: Math.min(fault.writtenBytes, call.length ?? 0) }
      }
      return undefined
    }
  }

  /** The disk is well again. */
  private calm(): void {
    this.faults = []
    this.disk.limitBytes = undefined
  }

  /** Starts again until it succeeds, as a supervisor does; what it shows then must be right, and stays. */
  private async start(): Promise<void> {
    for (let tries = 0; ; tries++) {
      if (tries === 5) this.calm()
      if (tries > 20) throw new Error('the log does not start')
      this.starts++
      this.life.kill()
      this.life = new Life(this.disk)
      if (this.disk.onCall === undefined) this.use(this.disk)
      const opening = open(this.life.disk, MIXED_FRAMES).catch(() => undefined)
      const opened = await Promise.race([opening, this.life.died])
      if (opened === undefined || opened === 'died') continue
      this.log = opened
      break
    }
    const { quarantinedBytes } = this.log.status().damage
    if (quarantinedBytes > 0) throw new Error('a crash was taken for damage')
    const ids = await this.ids()
    const lost = this.kept.filter((id) => !ids.includes(id))
    if (lost.length > 0)
      throw new Error(`lost: ${lost.join()} of ${this.kept.join()}; there are ${ids.join()}`)
    const kept = new Set(this.kept)
    const wrong = ids.filter((id) => !kept.has(id) && !this.open.has(id))
    if (wrong.length > 0) throw new Error(`refused, and read: ${wrong.join()}`)
    this.kept = ids
    this.open.clear()
  }

  private async put(records: number, bytes: number): Promise<void> {
    const log = this.log!
    const answers: Promise<void>[] = []
    const refused: number[] = []
    for (let index = 0; index < records; index++) {
      const id = this.next
      const answer = this.attempt(log, id, bytes)
      if (answer === undefined) break
      this.next++
      this.open.add(id)
      answers.push(this.hear(id, answer, refused))
    }
    await Promise.race([Promise.all(answers), this.life.died])
    await Promise.race([idle(log), this.life.died])
    if (this.life.dead) return
    const retryMs = log.state === 'full' ? 1000 : 31_000
    if (log.state !== 'writable') await Promise.race([this.wait(retryMs), this.life.died])
    // Where the log is writable again the next segment stands: what was refused never comes back.
    if (log.state === 'writable' && !this.life.dead) for (const id of refused) this.open.delete(id)
  }

  private async hear(id: number, answer: Promise<unknown>, refused: number[]): Promise<void> {
    try {
      await answer
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error
      refused.push(id)
      return
    }
    // An answer that a dead process gave reaches nobody.
    if (this.life.dead) return
    this.acknowledged++
    this.open.delete(id)
    this.kept.push(id)
  }

  /** undefined: there is no room, or the log says that it is not writable. */
  private attempt(log: SegmentLog, id: number, bytes: number): Promise<unknown> | undefined {
    try {
      return put(log, record(id, bytes))
    } catch (error) {
      if (error instanceof LogUnavailable) return undefined
      throw error
    }
  }

  private async expectRead(): Promise<void> {
    if (this.life.dead) return
    const ids = await this.ids()
    if (ids.join() !== this.kept.join()) throw new Error(`kept ${this.kept.join()}, and read ${ids.join()}`)
  }

  /** Ids of all records, which rise because they were sent so. The reader is another process: nothing fails there. */
  private async ids(): Promise<number[]> {
    const { onCall } = this.disk
    this.disk.onCall = undefined
    const gaps: unknown[] = []
    const ids = await read(this.disk, this.log!.durableOffset, {
      onGap: (gap) => gaps.push(gap),
      onDamage: (place) => gaps.push(place),
    })
    this.disk.onCall = onCall
    if (gaps.length > 0) throw new Error(`gaps: ${JSON.stringify(gaps)}`)
    if (ids.some((id, at) => at > 0 && id <= ids[at - 1]!)) throw new Error(`out of order: ${ids.join()}`)
    if (ids.length !== this.log!.durableOffset)
      throw new Error(`${ids.length} records, durable: ${this.log!.durableOffset}`)
    return ids
  }
}
