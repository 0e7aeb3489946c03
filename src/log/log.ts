/**
 * The durable log: requests write records into the open batch, the batch is written and synced as one frame, then they
 * are released (promise P1). While one sync runs, all requests that arrive fill the next batch (group commit).
 *
 * Two batches take turns: one is filled, the other is on its way to the disk. At most one write and sync is in flight.
 */
import type { Clock } from '../clock.js'
import { LogUnavailable } from '../errors.js'
import type { Say } from '../say.js'
import { Availability, isFull } from './availability.js'
import { Batch } from './batch.js'
import type { Crc32 } from './crc32.js'
import { stampFrame } from './format.js'
import { hexOf, type Identity } from './identity.js'
import type { Confirmation } from './presence.js'
import { type SegmentSet } from './segment-set.js'
import type { CommittedBatch, Damage, Log, LogState, LogStatus, OpenBatch } from './types.js'

export interface WriterOptions {
  readonly clock: Clock
  readonly say: Say
  /** Most bytes of records in a batch, and so of one request. */
  readonly batchBytesMax: number
  /**
   * While a batch is on its way the next one takes so many bytes, and as many more in each 20 ms: memory that the
   * processor's caches can hold, where to be written into, summed up and copied by the kernel is much cheaper. Unless
   * given, all that comes.
   */
  readonly nextBatchBytes?: number
  /** 0: a batch is closed once the code that began it is through; else at most once in this time. */
  readonly syncIntervalMs: number
  /** The longest that a request waits for a disk that does not answer. */
  readonly commitTimeoutMs: number
  readonly presence: Confirmation
  /** Of frames; zlib's unless given. */
  readonly checksum?: Crc32
}

/** What its opening came upon. */
interface Found {
  readonly damage: Damage
  readonly quarantineDropped: number
  readonly newIds: number
}

/** How often segments are looked through for what is too old. */
const EXPIRE_EVERY_MS = 60_000
/** A disk that answers at all does so sooner. */
const STALLED_MS = 1000
/** A disk that takes longer than this gets more at once: as much again in each such time. */
const NEXT_BATCH_MS = 20
/** For so many turns of the event loop a batch waits for more, unless it has so many bytes. */
const GATHER_TURNS = 2
const GATHER_BYTES = 64 * 1024
/** How often waiting requests are looked after. */
const STALL_CHECK_MS_MAX = 1000

export class SegmentLog implements Log {
  onRoom: () => void = () => {}
  /** Called when more is durable; must not throw. */
  onDurable: (offset: number) => void = () => {}

  private readonly availability: Availability
  private filling: Batch
  private idle: Batch
  /** A batch is on its way, or segments are being made ready. */
  private busy = false
  private running: Promise<void> = Promise.resolve()
  /** Stops the timer that closes the open batch. */
  private stopCloseTimer: (() => void) | undefined
  /** Runs while somebody waits for the room that a slow disk makes. */
  private roomTimer: NodeJS.Timeout | undefined
  private readonly expireTimer: NodeJS.Timeout
  private stallTimer: NodeJS.Timeout
  /** When the disk was last asked for something while `busy`. */
  private askedMs = 0
  private commitTimeoutMs: number
  private closing: Promise<void> | undefined
  private lastCloseMs = -Infinity

  private batches = 0
  private recordsWritten = 0
  private bytesWritten = 0

  constructor(
    private readonly segments: SegmentSet,
    private readonly identity: Identity,
    private readonly found: Found,
    private readonly options: WriterOptions,
  ) {
    this.filling = new Batch(options.batchBytesMax, options.checksum)
    this.idle = new Batch(options.batchBytesMax, options.checksum)
    this.availability = new Availability('the log', options.say, () => {
      if (!this.busy) void this.run(() => this.makeReady())
    })
    this.expireTimer = setInterval(() => void this.expire(), EXPIRE_EVERY_MS).unref()
    this.commitTimeoutMs = options.commitTimeoutMs
    this.stallTimer = this.startStallTimer()
  }

  get state(): LogState {
    return this.availability.state
  }

  get durableOffset(): number {
    return this.segments.durableOffset
  }

  get nextOffset(): number {
    return this.durableOffset + this.filling.records + this.idle.records
  }

  /** The disk was asked for something a while ago, and has not answered. */
  get isStalled(): boolean {
    return this.busy && this.options.clock.monoMs() - this.askedMs > STALLED_MS
  }

  open(bytes: number): OpenBatch | undefined {
    if (this.state !== 'writable' || this.closing !== undefined) throw this.refusal()
    if (bytes > this.options.batchBytesMax) {
      throw new RangeError(`${bytes} bytes are more than a batch holds (${this.options.batchBytesMax})`)
    }
    if (this.busy && this.isFullForNow) return this.announceRoomLater()
    if (this.filling.end - this.filling.position >= bytes) return this.filling
    if (this.busy) return undefined
    void this.pump()
    return this.filling
  }

  commit(end: number, records: number): Promise<CommittedBatch> {
    const committed = this.filling.add(end, records, this.options.clock)
    if (!this.busy) this.closeSoon()
    return committed
  }

  status(): LogStatus {
    const { segments, found } = this
    const { state, reason } = this.availability
    return {
      state,
      reason,
      writerId: hexOf(this.identity.writerId),
      ...segments.status,
      nextOffset: this.nextOffset,
      bytesWritten: this.bytesWritten,
      damage: found.damage,
      quarantineDropped: found.quarantineDropped,
      batches: this.batches,
      records: this.recordsWritten,
      newIds: found.newIds,
      reopened: 0,
    }
  }

  /** Writes what has been committed, then closes. Later calls of `open` throw. */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  /**
   * Closes without touching its files, which may be another's by now: all that waits is refused. Resolves when nothing
   * of ours is on its way to the disk any more.
   */
  abandon(error: LogUnavailable): Promise<void> {
    this.closing ??= this.letGo(error)
    return this.closing
  }

  /** What is not where it was made any more; see Presence. */
  missing(): Promise<string | undefined> {
    return this.segments.missing()
  }

  /** From now on nobody waits longer than this, however long the disk takes; used while stopping. */
  hurry(commitTimeoutMs: number): void {
    this.commitTimeoutMs = Math.min(this.commitTimeoutMs, commitTimeoutMs)
    clearInterval(this.stallTimer)
    this.stallTimer = this.startStallTimer()
  }

  /** Brings the segments into a state that takes a batch; called once before the log is used. */
  async start(): Promise<void> {
    await this.run(() => this.makeReady())
  }

  private async finish(): Promise<void> {
    while (this.busy || this.filling.records > 0) await (this.busy ? this.running : this.pump())
    this.stopTimers()
    this.availability.close()
    await this.segments.close()
  }

  private async letGo(error: LogUnavailable): Promise<void> {
    this.refuseAll(error)
    this.stopTimers()
    this.availability.close()
    if (this.busy) await this.running
    await this.segments.abandon()
  }

  private stopTimers(): void {
    this.cancelClose()
    clearTimeout(this.roomTimer)
    clearInterval(this.expireTimer)
    clearInterval(this.stallTimer)
  }

  private startStallTimer(): NodeJS.Timeout {
    const everyMs = Math.min(STALL_CHECK_MS_MAX, this.commitTimeoutMs / 4)
    return setInterval(() => this.refuseWhenStalled(), everyMs).unref()
  }

  /**
   * A call to the disk may never return. Those who wait for it are told that nothing is kept, and so is everybody who
   * comes, until it does; what it has written by then does not count (see `confirm`).
   */
  private refuseWhenStalled(): void {
    if (!this.busy || this.state === 'failed') return
    const sinceMs = Math.min(this.askedMs, this.filling.sinceMs, this.idle.sinceMs)
    if (this.options.clock.monoMs() - sinceMs < this.commitTimeoutMs) return
    const seconds = Math.round(this.commitTimeoutMs / 100) / 10
    const reason = `the disk has not answered for ${seconds} s; the log goes on when it does`
    const error = new LogUnavailable('failed', reason)
    this.availability.suspend(error)
    this.refuseAll(error)
    this.announceRoom()
  }

  private refuseAll(error: LogUnavailable): void {
    this.idle.refuse(error)
    if (this.filling.records > 0) this.filling.fail(error)
  }

  private get isFullForNow(): boolean {
    const { nextBatchBytes = Infinity, clock } = this.options
    const { position } = this.filling
    if (position < nextBatchBytes) return false
    return position >= nextBatchBytes * Math.max(1, (clock.monoMs() - this.askedMs) / NEXT_BATCH_MS)
  }

  private announceRoomLater(): undefined {
    this.roomTimer ??= setTimeout(() => {
      this.roomTimer = undefined
      this.announceRoom()
    }, NEXT_BATCH_MS).unref()
  }

  private closeSoon(): void {
    if (this.stopCloseTimer !== undefined) return
    const { syncIntervalMs, clock } = this.options
    const close = (): void => {
      this.stopCloseTimer = undefined
      if (!this.busy && this.filling.records > 0) void this.pump()
    }
    if (syncIntervalMs === 0) {
      queueMicrotask(close)
      this.stopCloseTimer = () => {}
    } else {
      const timer = setTimeout(close, Math.max(0, this.lastCloseMs + syncIntervalMs - clock.monoMs()))
      this.stopCloseTimer = () => clearTimeout(timer)
    }
  }

  private cancelClose(): void {
    this.stopCloseTimer?.()
    this.stopCloseTimer = undefined
  }

  /** Runs what may not run beside a write. */
  private run(task: () => Promise<void>): Promise<void> {
    this.running = this.runAlone(task)
    return this.running
  }

  private async runAlone(task: () => Promise<void>): Promise<void> {
    this.busy = true
    this.askedMs = this.options.clock.monoMs()
    await task()
    this.busy = false
    if (this.filling.records > 0) this.closeSoon()
    this.announceRoom()
  }

  /** Whoever waits for room must not be able to stop the log by throwing: everybody would wait for ever. */
  private announceRoom(): void {
    try {
      this.onRoom()
    } catch (error) {
      this.options.say('error', `a waiting request failed: ${(error as Error).message}`)
    }
  }

  /** Writes batches until none is waiting. */
  private pump(): Promise<void> {
    this.cancelClose()
    return this.run(async () => {
      let written = this.write(this.swap())
      for (;;) {
        await written
        if (this.hasMore) await this.gather()
        await this.makeReady()
        if (!this.hasMore) return
        written = this.write(this.swap())
        this.announceRoom()
      }
    })
  }

  /**
   * A small batch waits for those whom the next turns of the event loop bring: whoever was just answered often asks again
   * at once. A write costs about the same for twice as many requests.
   */
  private async gather(): Promise<void> {
    for (let turns = 0; turns < GATHER_TURNS && this.filling.position < GATHER_BYTES; turns++) {
      await new Promise(setImmediate)
      this.announceRoom()
    }
  }

  /** A log with a sync interval lets the next batch wait for it. */
  private get hasMore(): boolean {
    return this.filling.records > 0 && (this.options.syncIntervalMs === 0 || this.closing !== undefined)
  }

  private swap(): Batch {
    const batch = this.filling
    this.filling = this.idle
    this.idle = batch
    this.lastCloseMs = this.options.clock.monoMs()
    return batch
  }

  private async write(batch: Batch): Promise<void> {
    const { segments, identity, options } = this
    const { frame, records } = batch
    const firstOffset = segments.durableOffset
    this.askedMs = this.lastCloseMs
    try {
      const writtenMs = options.clock.nowMs()
      const { writerId } = identity
      const header = { records, firstOffset, writtenMs, epoch: segments.epoch, writerId }
      stampFrame(frame, header, batch.checksum)
      await segments.append(batch, writtenMs, () => this.confirm(batch))
    } catch (error) {
      batch.fail(this.lost(error))
      return
    }
    segments.durableOffset += records
    this.onDurable(segments.durableOffset)
    this.batches++
    this.recordsWritten += records
    this.bytesWritten += frame.length
    batch.succeed({ firstOffset })
  }

  /** Whether what has just been synced counts. */
  private confirm(batch: Batch): Promise<void> | undefined {
    const looking = this.options.presence.confirm()
    if (looking !== undefined) return looking.then(() => batch.mustBeWanted())
    return void batch.mustBeWanted()
  }

  /** What must be there before the next batch comes: zeroes ahead, a spare segment. Sets the state; never rejects. */
  private async makeReady(): Promise<void> {
    if (this.state === 'closed' || (this.state === 'writable' && this.segments.ready)) return
    const { clock, presence } = this.options
    this.askedMs = clock.monoMs()
    try {
      await this.segments.makeReady(clock.nowMs())
      this.availability.writable()
    } catch (error) {
      // What was lost is somebody else's to open again, under its path.
      if (presence.lost === undefined) this.availability.unavailable(error)
    }
  }

  private async expire(): Promise<void> {
    if (this.busy || this.state !== 'writable') return
    await this.run(async () => {
      await this.segments.expire(this.options.clock.nowMs()).catch((error: unknown) => {
        this.options.say('warn', `old segments could not be removed: ${(error as Error).message}`)
      })
      // Refused meanwhile, should the disk have taken too long.
      await this.makeReady()
    })
  }

  private lost(error: unknown): LogUnavailable {
    const reason = (error as Error).message
    this.options.say('error', `a batch could not be written; its requests are answered 503: ${reason}`)
    return new LogUnavailable(isFull(error) ? 'full' : 'failed', reason, { cause: error })
  }

  private refusal(): LogUnavailable {
    return this.closing === undefined
      ? this.availability.refusal()
      : new LogUnavailable('closed', 'the log is closing')
  }
}
