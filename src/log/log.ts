/**
 * The durable log: requests write records into the open batch, the batch is written and synced as one frame, then they
 * are released (promise P1). While one sync runs, all requests that arrive fill the next batch (group commit).
 *
 * Two batches take turns: one is filled, the other is on its way to the disk. At most one write and sync is in flight.
 */
import type { Clock } from '../clock.js'
import { LogUnavailable } from '../errors.js'
import { Batch } from './batch.js'
import { stampFrame } from './format.js'
import { hexOf, type Identity } from './identity.js'
import { isNoSpace } from './disk-errors.js'
import { type SegmentSet } from './segment-set.js'
import type { CommittedBatch, Damage, Log, LogState, LogStatus, OpenBatch } from './types.js'

/** What the log has to say to the operator. */
export type Say = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Record<string, unknown>,
) => void

export interface WriterOptions {
  readonly clock: Clock
  readonly say: Say
  /** Most bytes of records in a batch, and so of one request. */
  readonly batchBytesMax: number
  /** 0: a batch is closed at the end of the event-loop turn; else at most once in this time. */
  readonly syncIntervalMs: number
}

/** While full the cause may go at any time: a cursor moves, files are removed. */
const FULL_RETRY_MS = 1000
const FAILED_RETRY_MS_MIN = 1000
const FAILED_RETRY_MS_MAX = 30_000
/** How often segments are looked through for what is too old. */
const EXPIRE_EVERY_MS = 60_000

export class SegmentLog implements Log {
  state: LogState = 'writable'
  onRoom: () => void = () => {}

  private reason = ''
  private filling: Batch
  private idle: Batch
  /** A batch is on its way, or segments are being made ready. */
  private busy = false
  private running: Promise<void> = Promise.resolve()
  /** Stops the timer that closes the open batch. */
  private stopCloseTimer: (() => void) | undefined
  private retryTimer: NodeJS.Timeout | undefined
  private retryMs = FAILED_RETRY_MS_MIN
  private readonly expireTimer: NodeJS.Timeout
  private closing: Promise<void> | undefined
  private lastCloseMs = -Infinity

  private batches = 0
  private recordsWritten = 0
  private bytesWritten = 0

  constructor(
    private readonly segments: SegmentSet,
    private readonly identity: Identity,
    private readonly damage: Damage,
    private readonly newIds: number,
    private readonly options: WriterOptions,
  ) {
    this.filling = new Batch(options.batchBytesMax)
    this.idle = new Batch(options.batchBytesMax)
    this.expireTimer = setInterval(() => void this.expire(), EXPIRE_EVERY_MS).unref()
  }

  get durableOffset(): number {
    return this.segments.durableOffset
  }

  get nextOffset(): number {
    return this.durableOffset + this.filling.records + this.idle.records
  }

  open(bytes: number): OpenBatch | undefined {
    if (this.state !== 'writable' || this.closing !== undefined) throw this.unavailable()
    if (bytes > this.options.batchBytesMax) {
      throw new RangeError(`${bytes} bytes are more than a batch holds (${this.options.batchBytesMax})`)
    }
    if (this.filling.end - this.filling.position >= bytes) return this.filling
    if (this.busy) return undefined
    void this.pump()
    return this.filling
  }

  commit(end: number, records: number): Promise<CommittedBatch> {
    const committed = this.filling.add(end, records)
    if (!this.busy) this.closeSoon()
    return committed
  }

  status(): LogStatus {
    const { segments, state, reason, damage } = this
    return {
      state,
      reason,
      writerId: hexOf(this.identity.writerId),
      epoch: segments.epoch,
      firstOffset: segments.firstOffset,
      nextOffset: this.nextOffset,
      durableOffset: this.durableOffset,
      bytes: segments.bytes,
      bytesMax: segments.bytesMax,
      bytesWritten: this.bytesWritten,
      segments: segments.count,
      damage,
      batches: this.batches,
      records: this.recordsWritten,
      failovers: segments.failovers,
      dropped: segments.dropped,
      newIds: this.newIds,
    }
  }

  /** Writes what has been committed, then closes. Later calls of `open` throw. */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  /** Brings the segments into a state that takes a batch; called once before the log is used. */
  async start(): Promise<void> {
    await this.run(() => this.makeReady())
  }

  private async finish(): Promise<void> {
    while (this.busy || this.filling.records > 0) await (this.busy ? this.running : this.pump())
    this.cancelClose()
    clearTimeout(this.retryTimer)
    clearInterval(this.expireTimer)
    this.state = 'closed'
    this.reason = 'the log is closed'
    await this.segments.close()
  }

  private closeSoon(): void {
    if (this.stopCloseTimer !== undefined) return
    const { syncIntervalMs, clock } = this.options
    const close = (): void => {
      this.stopCloseTimer = undefined
      if (!this.busy && this.filling.records > 0) void this.pump()
    }
    if (syncIntervalMs === 0) {
      const immediate = setImmediate(close)
      this.stopCloseTimer = () => clearImmediate(immediate)
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
        await this.makeReady()
        if (!this.hasMore) return
        written = this.write(this.swap())
        this.announceRoom()
      }
    })
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
    try {
      const writtenMs = options.clock.nowMs()
      const segment = await segments.segmentFor(frame.length, writtenMs)
      const { writerId } = identity
      stampFrame(frame, { records, firstOffset, writtenMs, epoch: segments.epoch, writerId })
      await segment.append(frame)
    } catch (error) {
      batch.fail(this.lost(error))
      return
    }
    segments.durableOffset += records
    this.batches++
    this.recordsWritten += records
    this.bytesWritten += frame.length
    batch.succeed({ firstOffset })
  }

  /** What must be there before the next batch comes: zeroes ahead, a spare segment. Sets the state; never rejects. */
  private async makeReady(): Promise<void> {
    if (this.state === 'writable' && this.segments.ready) return
    try {
      await this.segments.makeReady(this.options.clock.nowMs())
      this.becomeWritable()
    } catch (error) {
      this.becomeUnavailable(error)
    }
  }

  private becomeWritable(): void {
    if (this.state !== 'writable') this.options.say('warn', `the log was ${this.state} and is writable again`)
    this.state = 'writable'
    this.reason = ''
    this.retryMs = FAILED_RETRY_MS_MIN
    clearTimeout(this.retryTimer)
    this.retryTimer = undefined
  }

  private becomeUnavailable(error: unknown): void {
    const state = isFull(error) ? 'full' : 'failed'
    const reason = (error as Error).message
    if (state !== this.state) {
      const level = state === 'full' ? 'warn' : 'error'
      this.options.say(level, `the log is ${state}; requests are answered 503 until that changes: ${reason}`)
    }
    this.state = state
    this.reason = reason
    const waitMs = state === 'full' ? FULL_RETRY_MS : this.retryMs
    if (state === 'failed') this.retryMs = Math.min(FAILED_RETRY_MS_MAX, this.retryMs * 2)
    this.retryTimer ??= setTimeout(() => {
      this.retryTimer = undefined
      if (!this.busy) void this.run(() => this.makeReady())
    }, waitMs).unref()
  }

  private async expire(): Promise<void> {
    if (this.busy || this.state !== 'writable') return
    await this.run(async () => {
      await this.segments.expire(this.options.clock.nowMs()).catch((error: unknown) => {
        this.options.say('warn', `old segments could not be removed: ${(error as Error).message}`)
      })
    })
  }

  private lost(error: unknown): LogUnavailable {
    const reason = (error as Error).message
    this.options.say('error', `a batch could not be written; its requests are answered 503: ${reason}`)
    return new LogUnavailable(isFull(error) ? 'full' : 'failed', reason, { cause: error })
  }

  private unavailable(): LogUnavailable {
    const reason = this.closing !== undefined || this.state === 'writable' ? 'closed' : this.state
    return new LogUnavailable(reason, this.reason || 'the log is closing')
  }
}

/** On the disk, or under the log's own limit. */
function isFull(error: unknown): boolean {
  return isNoSpace(error) || (error as { code?: string }).code === 'log_full'
}
