/**
 * The segment being written: one file, appended to, with zeroes written ahead of small frames so that their syncs have no
 * sizes to record. All but the smallest frames are written as whole blocks, and so are zeroes that are meant for such
 * (docs/LOG_FORMAT.md 5).
 */
import { join } from 'node:path'
import {
  blockEnd,
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from './format.js'
import { memoryOfBlocks } from './block-memory.js'
import { isNoSpace } from './disk-errors.js'
import { SPARE } from './recovery.js'
import type { Disk, DiskFile } from './types.js'

/** Zeroes are written in steps of this, one step ahead of the records. */
export const ZERO_STEP_BYTES = 2 * 1024 * 1024
const ZEROES = memoryOfBlocks(ZERO_STEP_BYTES)

/** A frame as it lies in memory, alone, and with zeroes behind it up to the end of a block. */
export interface WholeFrame {
  readonly frame: Uint8Array
  asBlocks(): Uint8Array
}

export class SegmentWriter {
  /** A write or a sync has failed: what the file holds behind `position` is unknown, and stays so. */
  broken = false
  /** How far what failed may reach. */
  private brokenEnd = 0

  private constructor(
    readonly name: string,
    private readonly file: DiskFile,
    /** Where the next frame goes; what lies before is on stable storage. */
    public position: number,
    /** Allocated and zero from `position` to here. */
    public zeroedEnd: number,
  ) {}

  /** What it may take on the disk. */
  get bytes(): number {
    return Math.max(this.zeroedEnd, this.brokenEnd)
  }

  /** Goes on in a segment that recovery has read. */
  static async reopen(path: string, name: string, end: number, disk: Disk): Promise<SegmentWriter> {
    const file = await disk.open(path, 'r+')
    return new SegmentWriter(name, file, end, Math.max(end, await file.size()))
  }

  /**
   * Makes a segment out of the spare file. It can be read under its name only once its header is on stable storage.
   *
   * @param isTaken there is one of this offset, which failed before its first record
   */
  static async create(
    directory: string,
    header: SegmentHeader,
    isTaken: boolean,
    disk: Disk,
  ): Promise<SegmentWriter> {
    const name = segmentName(header.firstOffset, isTaken ? header.epoch : 0)
    const spare = join(directory, SPARE)
    const file = await disk.open(spare, 'r+')
    try {
      await file.writeDurably(encodeSegmentHeader(header), 0)
      await disk.rename(spare, join(directory, name))
      await disk.syncDirectory(directory)
      const size = await file.size()
      return new SegmentWriter(name, file, SEGMENT_HEADER_BYTES, size)
    } catch (error) {
      await file.close().catch(() => {})
      throw error
    }
  }

  /**
   * Writes a frame behind the last one, durably. After an error the segment is broken.
   *
   * @param asBlocks from the next beginning of a block on
   * @param confirm asked when the frame is on stable storage; when it throws or rejects, the frame does not count
   */
  async append(
    whole: WholeFrame,
    asBlocks: boolean,
    confirm: () => Promise<void> | undefined,
  ): Promise<void> {
    const { file } = this
    const bytes = asBlocks ? whole.asBlocks() : whole.frame
    const at = asBlocks ? blockEnd(this.position) : this.position
    try {
      await (asBlocks ? file.writeBlocks(bytes, at) : file.writeDurably(bytes, at))
      const confirming = confirm()
      if (confirming !== undefined) await confirming
    } catch (error) {
      this.broken = true
      await this.giveBack(error, at + bytes.length)
      throw error
    }
    this.position = at + whole.frame.length
    this.zeroedEnd = Math.max(this.zeroedEnd, at + bytes.length)
  }

  /**
   * Writes zeroes up to `end`, which is the end of a block. What fails here has cost no record.
   *
   * @param asBlocks for frames that are; other ones are written into the kernel's cache, and it must have the zeroes
   */
  async zeroTo(end: number, asBlocks: boolean): Promise<void> {
    if (end <= this.zeroedEnd) return
    let isWritten = false
    try {
      await writeZeroes(this.file, this.zeroedEnd, end, asBlocks)
      isWritten = true
      if (!asBlocks) await this.file.sync()
    } catch (error) {
      // Without space nothing is wrong with this file; where the disk fails, another one may be elsewhere.
      this.broken = !(await this.giveBack(error, end)) || isWritten
      throw error
    }
    this.zeroedEnd = end
  }

  /**
   * What found no space took the rest of it: a cursor could not move any more, and nothing ever be removed.
   *
   * @param end how far it may reach
   */
  private async giveBack(cause: unknown, end: number): Promise<boolean> {
    const truncate = (): Promise<boolean> =>
      this.file.truncate(this.zeroedEnd).then(
        () => true,
        () => false,
      )
    const isBack = isNoSpace(cause) && (await truncate())
    if (!isBack) this.brokenEnd = end
    return isBack
  }

  /** False when its file is gone from `directory`, or another one stands there under its name. */
  isIn(directory: string): Promise<boolean> {
    return this.file.isAt(join(directory, this.name))
  }

  /** Gives the unused rest back and closes; both may fail without harm. */
  async finish(): Promise<void> {
    await this.file.truncate(this.position).catch(() => {})
    await this.abandon()
  }

  /** Closes without touching the file again. */
  async abandon(): Promise<void> {
    await this.file.close().catch(() => {})
  }
}

/** Makes the file that becomes the next segment, with its first step allocated. */
export async function createSpare(
  directory: string,
  bytes: number,
  asBlocks: boolean,
  disk: Disk,
): Promise<void> {
  const path = join(directory, SPARE)
  await disk.unlink(path).catch(() => {})
  const file = await disk.open(path, 'wx+')
  try {
    await writeZeroes(file, 0, bytes, asBlocks)
    if (!asBlocks) await file.sync()
  } catch (error) {
    await disk.unlink(path).catch(() => {})
    throw error
  } finally {
    await file.close().catch(() => {})
  }
}

/** As blocks, which are synced, from the first one on that begins behind `from`: what lies before reads as zeroes as well. */
async function writeZeroes(file: DiskFile, from: number, to: number, asBlocks: boolean): Promise<void> {
  for (let at = asBlocks ? blockEnd(from) : from; at < to; at += ZEROES.length) {
    const zeroes = ZEROES.subarray(0, Math.min(ZEROES.length, to - at))
    await (asBlocks ? file.writeBlocks(zeroes, at) : file.write(zeroes, at))
  }
}
