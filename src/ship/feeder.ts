/**
 * Reads the log, once and in order, and gives each record to its lane. A lane that does not get on is passed by, and
 * reading goes back for it when it does: so one partition that stands still stops no other, and memory stays bounded
 * whatever the lag.
 */
import type { LogRecord } from '../log/types.js'
import type { Lane } from './lane.js'
import type { Memory } from './lane-records.js'
import type { Signal } from './signal.js'
import type { Topic } from './topic.js'

/** The log as the shipper reads it. */
export interface LogSource {
  /** Offset behind the last durable record. */
  readonly durableOffset: number
  /** Frames of records from an offset on, for ever; a frame has to be gone through before the next one is asked for. */
  read(from: number, signal: AbortSignal): AsyncGenerator<Iterable<LogRecord>>
}

export interface FeederParts {
  readonly source: LogSource
  readonly memory: Memory
  readonly changed: Signal
  readonly nowMs: () => number
  /** Where a record goes, by the table in force. */
  readonly topicOf: (record: LogRecord) => Topic
  readonly topics: () => Iterable<Topic>
  /** Reading stops here until everything before is done with; Infinity when it goes on. */
  readonly limit: () => number
  /** Whether the cluster answers: if it does not, no lane would get on by passing others by. */
  readonly reachable: () => boolean
  readonly memoryBytesMax: number
}

/** A lane that does not get on for so long may be passed by. */
const PATIENCE_MS = 500
/** No further are lanes left behind: going back for them has its price. */
const READ_BACK_RECORDS_MAX = 4_000_000

export class Feeder {
  stopped = false
  private tooFar = false
  private readonly laneBytesMax: number

  constructor(
    private readonly parts: FeederParts,
    /** The next record to read. */
    private position: number,
    private furthest: number,
  ) {
    this.laneBytesMax = parts.memoryBytesMax / 4
  }

  /** Every record below has been given to its lane, or noted there, at least once. */
  get head(): number {
    return Math.max(this.furthest, this.position)
  }

  /** Until `stopped`, which needs a raised signal to be noticed. */
  async run(): Promise<void> {
    while (!this.stopped) {
      const abort = new AbortController()
      const frames = this.parts.source.read(this.position, abort.signal)
      try {
        await this.follow(frames)
      } finally {
        abort.abort()
        await frames.return(undefined)
      }
    }
  }

  /** Until reading has to go elsewhere. */
  private async follow(frames: AsyncGenerator<Iterable<LogRecord>>): Promise<void> {
    while (!this.stopped) {
      const frame = await this.nextFrame(frames)
      if (frame === undefined || !(await this.give(frame))) return
      this.tellPosition()
    }
  }

  /** undefined: reading has gone back, or is to stop. */
  private async nextFrame(
    frames: AsyncGenerator<Iterable<LogRecord>>,
  ): Promise<Iterable<LogRecord> | undefined> {
    const { changed } = this.parts
    if (this.goBack()) return undefined
    const next = new Arrival(frames.next(), changed)
    while (!next.isThere) {
      await changed.wait()
      if (this.stopped || this.goBack()) return undefined
    }
    const { done, value } = await next.result
    return done === true ? undefined : value
  }

  /** False when reading has to go elsewhere; `position` is then right. */
  private async give(frame: Iterable<LogRecord>): Promise<boolean> {
    const nowMs = this.parts.nowMs()
    this.tooFar = this.isTooFarAhead()
    for (const record of frame) {
      if (record.offset >= this.parts.limit() && !(await this.waitFor(record))) return false
      let lane = this.laneFor(record)
      while (lane !== undefined && this.mustWait(lane)) {
        if (!(await this.makeRoom(lane))) return false
        // Partitions may be others now, or the topic another.
        lane = this.laneFor(record)
      }
      if (lane?.behind === true) lane.miss(record)
      else lane?.offer(record, nowMs)
      this.position = record.offset + 1
    }
    return true
  }

  /** undefined when no lane is to be given it now. */
  private laneFor(record: LogRecord): Lane | undefined {
    const lane = this.parts.topicOf(record).laneFor(record)
    return lane !== undefined && record.offset >= lane.taken ? lane : undefined
  }

  /** A change of routes: what comes now waits until everything before is done with. */
  private async waitFor({ offset }: LogRecord): Promise<boolean> {
    this.position = offset
    this.tellPosition()
    while (offset >= this.parts.limit()) {
      if (this.stopped || this.goBack()) return false
      await this.parts.changed.wait()
    }
    // Topics may be others now: the record is read again.
    return false
  }

  private tellPosition(): void {
    for (const lane of this.lanes()) lane.readTo(this.position)
    this.parts.changed.raise()
  }

  private mustWait(lane: Lane): boolean {
    return !lane.behind && (this.isFull(lane) || this.tooFar)
  }

  private isFull(lane: Lane): boolean {
    return this.parts.memory.used >= this.parts.memoryBytesMax || lane.bytes >= this.laneBytesMax
  }

  /** Waits for memory, or lets lanes go that do not get on. False when reading has to go elsewhere. */
  private async makeRoom(lane: Lane): Promise<boolean> {
    for (;;) {
      if (lane.behind || !this.mustWait(lane)) return true
      if (this.stopped || this.goBack()) return false
      if (this.parts.reachable() && !this.tooFar && this.passBy(lane)) continue
      await this.parts.changed.wait(PATIENCE_MS)
      this.tooFar = this.isTooFarAhead()
    }
  }

  /** Lets go of the records of the lane that holds most of those that do not get on. */
  private passBy(lane: Lane): boolean {
    const before = this.parts.nowMs() - PATIENCE_MS
    // One that was just read back for has to have its try, or reading would go back for ever.
    const stands = ({ blockedSinceMs, readBackMs }: Lane): boolean =>
      blockedSinceMs !== undefined && Math.max(blockedSinceMs, readBackMs) <= before
    const own = lane.bytes >= this.laneBytesMax
    const standing = own ? [lane].filter(stands) : this.lanes().filter(stands)
    const kept = this.lanes().reduce((sum, { behind, bytes }) => sum + (behind ? bytes : 0), 0)
    const keepsFirst = kept < this.parts.memoryBytesMax / 4
    return standing
      .toSorted((a, b) => b.bytes - a.bytes)
      .some((one) => one.release(keepsFirst) || (keepsFirst && one.release(false)))
  }

  /** Moves `position` back to the first record of a lane that gets on again; false when that lies ahead or none does. */
  private goBack(): boolean {
    if (this.parts.memory.used > this.parts.memoryBytesMax / 2) return false
    let target = Infinity
    for (const topic of this.parts.topics()) {
      for (const lane of topic.lanes) {
        if (!lane.wantsReading || topic.isHeld(lane)) continue
        target = Math.min(target, lane.taken)
        lane.readBack(this.parts.nowMs())
      }
    }
    if (target >= this.position) return false
    this.furthest = this.head
    this.position = target
    return true
  }

  private isTooFarAhead(): boolean {
    const lowest = this.position - READ_BACK_RECORDS_MAX
    if (lowest < 0) return false
    for (const { lanes, waitingFrom } of this.parts.topics()) {
      if ((waitingFrom ?? Infinity) < lowest) return true
      if (lanes.some(({ behind, taken }) => behind && taken < lowest)) return true
    }
    return false
  }

  private lanes(): Lane[] {
    return [...this.parts.topics()].flatMap(({ lanes }) => lanes)
  }
}

/** Raises the signal when the next frame is there: a race would leave a listener on it each time that it is lost. */
class Arrival {
  isThere = false
  readonly result: Promise<IteratorResult<Iterable<LogRecord>>>

  constructor(next: Promise<IteratorResult<Iterable<LogRecord>>>, changed: Signal) {
    this.result = next
    const arrived = (): void => {
      this.isThere = true
      changed.raise()
    }
    next.then(arrived, arrived)
  }
}
