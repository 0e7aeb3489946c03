/**
 * The segment being written: one file, appended to, with zeroes written ahead of small frames so that their syncs have no
 * sizes to record.
 */
import { join } from 'node:path'
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentHeader, segmentName } from './format.js'
import { isNoSpace } from './disk-errors.js'
import { SPARE } from './recovery.js'
import type { Disk, DiskFile } from './types.js'

/** Zeroes are written in steps of this, one step ahead of the records. */
export const ZERO_STEP_BYTES = 2 * 1024 * 1024
const ZEROES = new Uint8Array(ZERO_STEP_BYTES)

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
   * @param confirm asked when the frame is on stable storage; when it throws or rejects, the frame does not count
   */
  async append(frame: Uint8Array, confirm: () => Promise<void> | undefined): Promise<void> {
    try {
      await this.file.writeDurably(frame, this.position)
      const confirming = confirm()
      if (confirming !== undefined) await confirming
    } catch (error) {
      this.broken = true
      if (!(await this.giveBack(error))) this.brokenEnd = this.position + frame.length
      throw error
    }
    this.position += frame.length
    if (this.position > this.zeroedEnd) this.zeroedEnd = this.position
  }

  /** Writes zeroes up to `end`. What fails here has cost no record. */
  async zeroTo(end: number): Promise<void> {
    if (end <= this.zeroedEnd) return
    let written = false
    try {
      await writeZeroes(this.file, this.zeroedEnd, end)
      written = true
      await this.file.sync()
    } catch (error) {
      // Without space nothing is wrong with this file; where the disk fails, another one may be elsewhere.
      this.broken = written || !isNoSpace(error)
      await this.giveBack(error)
      throw error
    }
    this.zeroedEnd = end
  }

  /** What found no space took the rest of it: a cursor could not move any more, and nothing ever be removed. */
  private async giveBack(cause: unknown): Promise<boolean> {
    if (!isNoSpace(cause)) return false
    return this.file.truncate(this.zeroedEnd).then(
      () => true,
      () => false,
    )
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
export async function createSpare(directory: string, bytes: number, disk: Disk): Promise<void> {
  const path = join(directory, SPARE)
  await disk.unlink(path).catch(() => {})
  const file = await disk.open(path, 'wx+')
  try {
    await writeZeroes(file, 0, bytes)
    await file.sync()
  } catch (error) {
    await disk.unlink(path).catch(() => {})
    throw error
  } finally {
    await file.close().catch(() => {})
  }
}

async function writeZeroes(file: DiskFile, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += ZEROES.length) {
    await file.write(ZEROES.subarray(0, Math.min(ZEROES.length, to - at)), at)
  }
}
