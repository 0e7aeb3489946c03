/**
 * Reads a log in order, also while it is written: over rolls, given-up segments and retention, skipping what is damaged.
 * Records are handed out only once they are durable.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { asBuffer } from '../as-buffer.js'
import { unlessMissing } from './disk-errors.js'
import { type DurableSource, ownersOffset } from './durable.js'
import { FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './format.js'
import { RecordAt } from '../record.js'
import { FrameRecord } from './frame-record.js'
import { type Frame, FrameReader } from './frames.js'
import { nodeDisk } from './node-disk.js'
import { listSegments, type SegmentFile } from './segments.js'
import type { Disk, DiskFile, LogRecord } from './types.js'

export interface Gap {
  /** Offsets that are not there: `from` inclusive, `to` exclusive. Removed by retention, or lost to damage. */
  readonly from: number
  readonly to: number
}

export interface DamagedPlace {
  readonly path: string
  readonly position: number
  readonly bytes: number
}

export interface ReadOptions {
  /** `DIR/<writer>/log` or `DIR/<writer>/rejects`. */
  readonly directory: string
  readonly from: 'start' | 'end' | number
  /** Goes on when the end is reached, until `signal` aborts. */
  readonly follow?: boolean
  readonly signal?: AbortSignal
  readonly disk?: Disk
  readonly durable?: DurableSource
  /** Waits until there may be more than `limit`; without it the reader looks again now and then. */
  readonly wait?: (limit: number, signal: AbortSignal | undefined) => Promise<void>
  readonly onGap?: (gap: Gap) => void
  readonly onDamage?: (place: DamagedPlace) => void
}

/** How long a follower waits for more: short after a record has come, longer the longer none does. */
const POLL_MS_MIN = 10
const POLL_MS_MAX = 160
/** An owner lives, but cannot say anything now (src/log/lock.ts): a follower asks again. */
const UNANSWERED: ReadonlySet<string | undefined> = new Set(['owner_silent', 'owner_recovering'])

/** Records from an offset on, oldest first. Views are valid until the next record is asked for. */
export async function* readLog(options: ReadOptions): AsyncGenerator<LogRecord> {
  for await (const records of readBatches(options)) yield* records
}

/** The same, a frame at a time; a frame's records have to be gone through before the next one is asked for. */
export async function* readBatches(options: ReadOptions): AsyncGenerator<Iterable<LogRecord>> {
  const reader = new LogReader(options)
  try {
    yield* reader.read()
  } finally {
    await reader.close()
  }
}

/** One segment, opened, with the place in it. */
interface OpenSegment {
  readonly segment: SegmentFile
  readonly file: DiskFile
  readonly frames: FrameReader
  /** `frames.loads` when the file was last synced. */
  syncedLoads: number
  /** Position of the last damage reported, which a follower comes to again. */
  damagedAt: number
}

class LogReader {
  private readonly disk: Disk
  private readonly durable: DurableSource
  private segments: SegmentFile[] = []
  private opened: OpenSegment | undefined
  /** The next record that is wanted. */
  private offset = 0
  /** Nothing at or behind it may be shown; Infinity when nobody writes. */
  private limit = 0
  private pollMs = POLL_MS_MIN

  constructor(private readonly options: ReadOptions) {
    this.disk = options.disk ?? nodeDisk
    this.durable = options.durable ?? ownersOffset(options.directory)
  }

  async *read(): AsyncGenerator<Iterable<LogRecord>> {
    await this.learnLimit()
    this.offset = await this.startOffset()
    for (;;) {
      if (this.aborted) return
      const frame = this.offset < this.limit ? await this.nextFrame() : undefined
      if (frame !== undefined) {
        this.pollMs = POLL_MS_MIN
        yield this.recordsOf(frame)
      } else if (this.options.follow !== true || !(await this.waitForMore())) {
        return
      }
    }
  }

  async close(): Promise<void> {
    await this.opened?.file.close()
    this.opened = undefined
  }

  private get aborted(): boolean {
    return this.options.signal?.aborted === true
  }

  /**
   * Asks for the limit first and lists the segments then: whatever holds an offset below the limit is listed, also a
   * segment that took over from one that was given up.
   */
  private async learnLimit(): Promise<void> {
    this.limit = (await this.durable.offset()) ?? Infinity
    this.segments = await listSegments(this.options.directory, this.disk, this.segments)
    // An empty segment may have been replaced under its name: none of its records was ever durable.
    if (this.opened?.frames.position === SEGMENT_HEADER_BYTES) await this.close()
    this.opened?.frames.refresh()
  }

  private async startOffset(): Promise<number> {
    const { from } = this.options
    if (typeof from === 'number') return from
    const first = this.segments[0]?.firstOffset ?? 0
    if (from === 'start') return first
    return this.limit === Infinity ? this.lastOffset() : this.limit
  }

  /** Without a writer to ask, the end is where the whole frames end. */
  private async lastOffset(): Promise<number> {
    const last = this.segments.at(-1)
    if (last === undefined) return 0
    this.offset = last.firstOffset
    for (let frame = await this.nextFrame(); frame !== undefined; frame = await this.nextFrame()) {
      this.offset = frame.firstOffset + frame.records
    }
    return this.offset
  }

  /** The next whole frame with wanted records, which are not yet counted as read. undefined: there is none yet. */
  private async nextFrame(): Promise<Frame | undefined> {
    for (;;) {
      const place = await this.placeOf(this.offset)
      if (place === undefined) return undefined
      const { opened, end } = place
      const frame = await opened.frames.next()
      if (frame !== undefined && frame.firstOffset < end) {
        if (frame.firstOffset + frame.records <= this.offset) continue
        if (frame.firstOffset > this.offset) this.reportGap(frame.firstOffset)
        await this.makeDurable(opened)
        return frame
      }
      // Not durable yet, or left from a segment that was given up, whose offsets the next one took over.
      if (frame !== undefined) opened.frames.unread(frame)
      else if (await this.resync(opened, end)) continue
      if (end === Infinity) return undefined
      this.reportGap(end)
      if (end === this.limit) return undefined
    }
  }

  /** The segment that holds `offset`, and the offset at which it ends. */
  private async placeOf(offset: number): Promise<{ opened: OpenSegment; end: number } | undefined> {
    const index = this.segments.findLastIndex((segment) => segment.firstOffset <= offset)
    if (index < 0) {
      const [first] = this.segments
      if (first === undefined || first.firstOffset >= this.limit) return undefined
      this.reportGap(first.firstOffset)
      return this.placeOf(first.firstOffset)
    }
    const segment = this.segments[index]!
    const opened = await this.openSegment(segment)
    if (opened === undefined) {
      // Removed by retention since the directory was listed.
      this.segments = this.segments.slice(index + 1)
      return this.placeOf(offset)
    }
    return { opened, end: Math.min(this.limit, this.segments[index + 1]?.firstOffset ?? Infinity) }
  }

  private async openSegment(segment: SegmentFile): Promise<OpenSegment | undefined> {
    if (this.opened?.segment.name === segment.name) return this.opened
    await this.close()
    const file = await unlessMissing(this.disk.open(segment.path, 'r'))
    if (file === undefined) return undefined
    if (segment.header === undefined)
      this.options.onDamage?.({ path: segment.path, position: 0, bytes: SEGMENT_HEADER_BYTES })
    const frames = new FrameReader(file, segment)
    this.opened = { segment, file, frames, syncedLoads: 0, damagedAt: -1 }
    return this.opened
  }

  /**
   * Nobody writes: what is whole may still be in memory alone, and must not be lost once it has been shown. The sync
   * comes after the read, since somebody may have begun to write meanwhile.
   */
  private async makeDurable(opened: OpenSegment): Promise<void> {
    if (this.limit !== Infinity || opened.segment.name !== this.segments.at(-1)?.name) return
    const { loads } = opened.frames
    if (opened.syncedLoads === loads) return
    await opened.file.sync()
    opened.syncedLoads = loads
  }

  /** Looks behind damage for the next whole frame; nothing is damaged where the log simply ends. */
  private async resync(opened: OpenSegment, end: number): Promise<boolean> {
    const { frames } = opened
    const { position } = frames
    frames.refresh()
    const found = await frames.resync()
    // Was just being written when it was looked at, since a whole one stands behind it now.
    if (found && (await frames.returnTo(position))) return true
    if (found) this.reportDamage(opened, position, frames.position)
    else if (end !== Infinity) this.reportDamage(opened, position, await frames.endOfData())
    return found
  }

  private reportDamage(opened: OpenSegment, position: number, end: number): void {
    if (end === position || opened.damagedAt === position) return
    opened.damagedAt = position
    this.options.onDamage?.({ path: opened.segment.path, position, bytes: end - position })
  }

  /** What should have been here up to `to` is not: goes on there. */
  private reportGap(to: number): void {
    if (to > this.offset) this.options.onGap?.({ from: this.offset, to })
    this.offset = to
  }

  /** Resolves when there may be more; false when the reader was told to stop. */
  private async waitForMore(): Promise<boolean> {
    const { signal, wait = () => this.poll() } = this.options
    await wait(this.limit, signal)
    if (this.aborted) return false
    try {
      await this.learnLimit()
    } catch (error) {
      if (!UNANSWERED.has((error as { code?: string }).code)) throw error
      // Stopped for a while, or recovering: what it had made durable is out already.
      this.limit = this.offset
    }
    return true
  }

  private async poll(): Promise<void> {
    const options = this.options.signal === undefined ? {} : { signal: this.options.signal }
    this.pollMs = Math.min(POLL_MS_MAX, this.pollMs * 2)
    await sleep(this.pollMs, undefined, options).catch(() => {})
  }

  private *recordsOf(frame: Frame): Generator<LogRecord> {
    const bytes = asBuffer(frame.bytes)
    let at = FRAME_HEADER_BYTES
    const end = frame.firstOffset + frame.records
    for (let offset = frame.firstOffset; offset < end; offset++) {
      const length = bytes.readUInt32LE(at + RecordAt.length)
      if (offset >= this.offset) {
        this.offset = offset + 1
        yield new FrameRecord(bytes, at, at + length, offset, frame.writtenMs)
      }
      at += length
    }
  }
}
