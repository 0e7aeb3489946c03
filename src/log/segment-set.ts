/**
 * All segments of a log: the one being written, the spare that comes next, and those before. Decides when the log rolls
 * to the next segment, gives up one that failed, and keeps all of them under the log's limit.
 */
import { join } from 'node:path'
import { SluicegateError } from '../errors.js'
import { BLOCK_BYTES, blockEnd, SEGMENT_HEADER_BYTES, type SegmentHeader } from './format.js'
import type { Identity } from './identity.js'
import { isNoSpace } from './disk-errors.js'
import { type KeptSegment, Retention } from './retention.js'
import type { Confirmation } from './presence.js'
import { createSpare, SegmentWriter, type WholeFrame, ZERO_STEP_BYTES } from './segment.js'
import type { Disk } from './types.js'

export interface SegmentSetOptions {
  readonly directory: string
  readonly disk: Disk
  readonly identity: Identity
  /** A batch larger than this gets a segment of its own. */
  readonly segmentBytes: number
  /** ZERO_STEP_BYTES unless given. */
  readonly zeroStepBytes: number | undefined
  /** BLOCK_FRAME_BYTES unless given. */
  readonly blockFrameBytes: number | undefined
  /** GROWING_FRAME_BYTES unless given. */
  readonly growingFrameBytes: number | undefined
  /** Most bytes on disk, what is preallocated included; undefined: LIMIT_BYTES_MAX, or half of what is free beside it. */
  readonly bytesMax: number | undefined
  readonly retention: Retention
  readonly presence: Confirmation
}

const LIMIT_BYTES_MAX = 16 * 2 ** 30
/**
 * From so many bytes on a frame is written as whole blocks, past the kernel's cache of files. Smaller ones would waste too
 * much of their last block.
 */
const BLOCK_FRAME_BYTES = 16 * 1024
/**
 * From so many bytes on a frame lets its file grow: what its sync then has to record costs about as much as zeroes of this
 * length, which are written and synced as well, and hold up the next batch meanwhile.
 */
const GROWING_FRAME_BYTES = 256 * 1024
/** While less is free, zeroes go ahead of all frames: what finds no space then is they, and not a batch. */
const GROWTH_FREE_BYTES_MIN = 128 * 1024 * 1024

export class SegmentSet {
  failovers = 0
  /** Most bytes on disk. */
  bytesMax = 0
  private current: SegmentWriter | undefined
  private spareBytes = 0
  /** What the current segment's header names as the end of the one before. */
  private currentPreviousEnd = 0
  /** Given up before its first record, or found without any: goes once the next one stands. */
  private empty: KeptSegment | undefined
  /** Both are whole blocks. */
  private readonly segmentBytes: number
  private readonly stepBytes: number
  private readonly blockFrameBytes: number
  private readonly growingFrameBytes: number
  private lastFrameBytes = 0
  /** Up to here frames may let the current segment grow: taken in the log's limit already. */
  private growthEnd = 0

  constructor(
    private readonly options: SegmentSetOptions,
    /** Oldest first; the last one is being written, if one is. */
    private readonly kept: KeptSegment[],
    /** Of the writer; every start and every given-up segment raises it. */
    public epoch: number,
    /** Offset behind the last record on stable storage. */
    public durableOffset: number,
    /** Where the last given-up segment ends; the next one's header names it. */
    private previousEnd = 0,
  ) {
    this.segmentBytes = Math.max(BLOCK_BYTES, options.segmentBytes - (options.segmentBytes % BLOCK_BYTES))
    this.stepBytes = blockEnd(Math.min(options.zeroStepBytes ?? ZERO_STEP_BYTES, this.segmentBytes))
    this.blockFrameBytes = options.blockFrameBytes ?? BLOCK_FRAME_BYTES
    this.growingFrameBytes = options.growingFrameBytes ?? GROWING_FRAME_BYTES
  }

  /** Looks how much the log may take; never less than before. */
  async learnLimit(): Promise<void> {
    const { bytesMax, directory, disk } = this.options
    const half = async (): Promise<number> => (this.bytes + (await disk.freeBytes(directory))) / 2
    const limit = bytesMax ?? Math.min(LIMIT_BYTES_MAX, await half())
    this.bytesMax = Math.max(this.bytesMax, limit)
  }

  /** Goes on behind the last whole frame of the newest segment. */
  async resume(name: string, header: SegmentHeader, end: number): Promise<void> {
    const { directory, disk } = this.options
    this.current = await SegmentWriter.reopen(join(directory, name), name, end, disk)
    this.currentPreviousEnd = header.previousEnd
  }

  /**
   * Instead of going on in a newest segment that holds nothing: the process that made it may have ended before its
   * name was durable, and where that sync failed, no later one would make it so. A rename of its own does.
   */
  replaceEmpty({ previousEnd }: SegmentHeader): void {
    this.empty = this.kept.at(-1)
    this.previousEnd = previousEnd
  }

  /** Its part of the log's status. */
  get status() {
    const { epoch, durableOffset, failovers, bytes, bytesMax, kept } = this
    const firstOffset = kept[0]?.firstOffset ?? durableOffset
    const { dropped } = this.options.retention
    return { epoch, firstOffset, durableOffset, bytes, bytesMax, segments: kept.length, failovers, dropped }
  }

  get bytes(): number {
    const last = this.current === undefined ? 0 : this.endOf(this.current) - this.kept.at(-1)!.bytes
    return this.kept.reduce((sum, segment) => sum + segment.bytes, last + this.spareBytes)
  }

  /** Nothing has to be done before the next batch. */
  get ready(): boolean {
    const { current } = this
    return current !== undefined && !current.broken && this.spareBytes > 0 && this.hasRoomAhead(current)
  }

  /** Makes everything ready for the next batch. What fails here has cost no record. */
  async makeReady(nowMs: number): Promise<void> {
    try {
      await this.prepare(nowMs)
    } catch (error) {
      if (this.current?.broken !== true) throw error
      // Broke just now: batches may be waiting that another segment can take.
      await this.prepare(nowMs)
    }
  }

  private async prepare(nowMs: number): Promise<void> {
    if (this.current?.broken === true) await this.giveUp(this.current)
    const current = this.current ?? (await this.startSegment(nowMs))
    if (!this.hasRoomAhead(current)) await this.makeRoomAhead(current)
    await this.ensureSpare()
  }

  /** Writes a frame durably behind the last one; rolls to the next segment when it does not fit. See SegmentWriter.append. */
  async append(whole: WholeFrame, nowMs: number, confirm: () => Promise<void> | undefined): Promise<void> {
    this.lastFrameBytes = whole.frame.length
    const segment = await this.segmentFor(this.lastFrameBytes, nowMs)
    await segment.append(whole, this.framesAreBlocks, confirm)
  }

  private async segmentFor(bytes: number, nowMs: number): Promise<SegmentWriter> {
    const { current } = this
    if (current === undefined || current.broken)
      throw new SluicegateError('log_failed', 'no segment can be written to')
    const fits = this.endWith(bytes, current) <= this.segmentBytes
    const isEmpty = current.position === SEGMENT_HEADER_BYTES
    const segment = fits || isEmpty ? current : await this.roll(current, nowMs)
    const missing = this.endWith(bytes, segment) - this.endOf(segment)
    if (missing > 0) await this.reserve(missing)
    return segment
  }

  /** Where `segment` ends once it has a frame of `bytes` more. */
  private endWith(bytes: number, { position }: SegmentWriter): number {
    return this.framesAreBlocks ? blockEnd(blockEnd(position) + bytes) : position + bytes
  }

  async expire(nowMs: number): Promise<void> {
    await this.options.retention.expire(this.kept, nowMs)
  }

  async close(): Promise<void> {
    await this.current?.finish()
    this.current = undefined
  }

  /** Closes without touching anything: its files may be another's by now. */
  async abandon(): Promise<void> {
    await this.current?.abandon()
    this.current = undefined
  }

  /** What is not in its place any more: the segment being written, or the directory while there is none. */
  async missing(): Promise<string | undefined> {
    const { current } = this
    const { directory, disk } = this.options
    const looking = current === undefined ? disk.stat(directory) : current.isIn(directory)
    // What cannot be looked at counts as gone.
    const found = await looking.catch(() => false)
    // Meanwhile it may have been followed by another one, and removed.
    if (found !== false || this.current !== current) return undefined
    const what =
      current === undefined ? directory : `${join(directory, current.name)}, which is being written,`
    return `${what} was removed or replaced`
  }

  /** What the current segment takes, or may take without being asked again. */
  private endOf(current: SegmentWriter): number {
    return Math.max(current.bytes, this.growthEnd)
  }

  private get framesAreBlocks(): boolean {
    return this.lastFrameBytes >= this.blockFrameBytes
  }

  private get framesGrow(): boolean {
    return this.lastFrameBytes >= this.growingFrameBytes
  }

  private hasRoomAhead({ position, zeroedEnd }: SegmentWriter): boolean {
    const end = Math.min(this.segmentBytes, position + this.stepBytes)
    return zeroedEnd >= end || (this.framesGrow && this.growthEnd >= end)
  }

  private async makeRoomAhead(current: SegmentWriter): Promise<void> {
    const { position, zeroedEnd } = current
    const ahead = this.framesGrow ? position + this.stepBytes : zeroedEnd
    const end = blockEnd(Math.min(this.segmentBytes, ahead + this.stepBytes))
    const bytes = Math.max(0, end - this.endOf(current))
    if (this.framesGrow && (await this.mayGrow(bytes))) this.growthEnd = end
    else await this.allocate(bytes, () => current.zeroTo(end, this.framesAreBlocks))
  }

  private async mayGrow(bytes: number): Promise<boolean> {
    await this.reserve(bytes)
    const { directory, disk } = this.options
    const free = await disk.freeBytes(directory).catch(() => 0)
    return free >= GROWTH_FREE_BYTES_MIN
  }

  private async roll(full: SegmentWriter, nowMs: number): Promise<SegmentWriter> {
    const next = await this.startSegment(nowMs)
    await full.finish()
    return next
  }

  /** Only once the new segment is on stable storage does it become the current one. */
  private async startSegment(createdMs: number): Promise<SegmentWriter> {
    const { directory, disk, identity, presence } = this.options
    await this.ensureSpare()
    await presence.look()
    const { durableOffset: firstOffset, epoch, previousEnd } = this
    const header = { firstOffset, createdMs, epoch, previousEnd, writerId: identity.writerId }
    // Names of one offset only rise: one that was removed may be back after a power loss, and must not come last.
    const isTaken = this.kept.some((segment) => segment.firstOffset === firstOffset)
    this.spareBytes = 0
    const next = await SegmentWriter.create(directory, header, isTaken, disk).catch((error: unknown) => {
      // The new name may be there all the same: readers would not look behind it in the old segment any more.
      if (this.current !== undefined) this.current.broken = true
      throw error
    })
    this.settleCurrent()
    this.kept.push({ name: next.name, firstOffset, createdMs, bytes: 0 })
    this.current = next
    this.growthEnd = 0
    this.currentPreviousEnd = previousEnd
    this.previousEnd = 0
    await this.removeEmpty()
    return next
  }

  /** Without this a disk that keeps failing would fill up with empty segments. */
  private async removeEmpty(): Promise<void> {
    const { empty, kept } = this
    this.empty = undefined
    if (empty === undefined || !kept.includes(empty)) return
    const { directory, disk } = this.options
    await disk.unlink(join(directory, empty.name)).then(
      () => kept.splice(kept.indexOf(empty), 1),
      () => undefined,
    )
  }

  /** The segment that was current keeps what it has. */
  private settleCurrent(): void {
    if (this.current !== undefined) this.kept.at(-1)!.bytes = this.current.position
  }

  private async ensureSpare(): Promise<void> {
    if (this.spareBytes > 0) return
    const { directory, disk, presence } = this.options
    await this.allocate(this.stepBytes, async () => {
      await presence.look()
      await createSpare(directory, this.stepBytes, this.framesAreBlocks, disk)
    })
    this.spareBytes = this.stepBytes
  }

  /** A failed write or sync is final: nobody knows what the disk holds behind the last sync. */
  private async giveUp(failed: SegmentWriter): Promise<void> {
    this.failovers++
    this.epoch++
    this.current = undefined
    const kept = this.kept.at(-1)!
    if (failed.position > SEGMENT_HEADER_BYTES) {
      kept.bytes = failed.bytes
      this.previousEnd = failed.position
      return failed.abandon()
    }
    // It stays until the next one stands, or a refused batch behind the end of the one before could come back.
    kept.bytes = failed.position
    this.previousEnd = this.currentPreviousEnd
    this.empty = kept
    await failed.finish()
  }

  /** Takes space in the log's limit and on the disk, and makes it in both where segments may go. */
  private async allocate(bytes: number, take: () => Promise<void>): Promise<void> {
    await this.reserve(bytes)
    try {
      await take()
    } catch (error) {
      if (!isNoSpace(error) || (await this.options.retention.makeRoom(this.kept, bytes)) === 0) throw error
      await take()
    }
  }

  private async reserve(bytes: number): Promise<void> {
    const missing = (): number => this.bytes + bytes - this.bytesMax
    if (missing() <= 0) return
    await this.options.retention.makeRoom(this.kept, missing())
    // A disk that was nearly full at the start may have space by now.
    if (missing() > 0) await this.learnLimit()
    if (missing() <= 0) return
    throw new SluicegateError(
      'log_full',
      `the log has reached its limit of ${Math.floor(this.bytesMax)} bytes and nothing may be removed`,
    )
  }
}
