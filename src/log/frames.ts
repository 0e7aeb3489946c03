/** Goes through the frames of one segment file, for recovery and for readers. */
import { asBuffer } from '../as-buffer.js'
import {
  blockEnd,
  decodeFrame,
  type FrameHeader,
  FRAME_HEADER_BYTES,
  frameBytes,
  FRAME_MAGIC,
  SEGMENT_HEADER_BYTES,
} from './format.js'
import { newerFormat, type SegmentFile } from './segments.js'
import type { DiskFile } from './types.js'

/** Bytes read at once: few at the live end, behind which there are only zeroes, twice as many each time that a reader goes on. */
const WINDOW_BYTES_MIN = 64 * 1024
const WINDOW_BYTES_MAX = 1024 * 1024

export interface Frame extends FrameHeader {
  /** Where it stands in the file. */
  readonly position: number
  /** Header and records; valid until the next call. */
  readonly bytes: Uint8Array
}

export class FrameReader {
  /** Times that bytes were read from the file: what `next` answers was there before the last of them. */
  loads = 0
  /** Where the next frame is looked for. */
  position = SEGMENT_HEADER_BYTES
  /** Behind the last record read. */
  nextOffset: number
  /** Of the last frame read. */
  epoch: number

  private window = new Uint8Array(0)
  private windowStart = 0
  private windowBytes = WINDOW_BYTES_MIN
  private buffer = Buffer.allocUnsafeSlow(WINDOW_BYTES_MAX)

  constructor(
    private readonly file: DiskFile,
    private readonly segment: SegmentFile,
  ) {
    this.nextOffset = segment.firstOffset
    this.epoch = segment.header?.epoch ?? 0
  }

  /**
   * The frame that stands at `position`, or at the next block behind zeroes; `position` moves behind it. undefined when no
   * valid one stands there.
   *
   * @throws SluicegateError `log_format_newer`
   */
  async next(): Promise<Frame | undefined> {
    const frame = await this.frameFrom(this.position)
    if (frame === undefined) return undefined
    this.position = frame.position + frame.bytes.length
    this.nextOffset = frame.firstOffset + frame.records
    this.epoch = frame.epoch
    return frame
  }

  /** Goes back in front of the frame that was read last. */
  unread({ position, firstOffset }: Frame): void {
    this.position = position
    this.nextOffset = firstOffset
  }

  /** Goes to `position` if a valid frame stands there by now. */
  async returnTo(position: number): Promise<boolean> {
    this.refresh()
    if ((await this.frameFrom(position)) === undefined) return false
    this.position = position
    return true
  }

  /** Moves to the next valid frame behind what is not valid here; false (and nowhere) when there is none. */
  async resync(): Promise<boolean> {
    for (let at = this.position + 1; ; at++) {
      const found = await this.findMagic(at)
      if (found === undefined) return false
      at = found
      if ((await this.frameAt(found)) !== undefined) {
        this.position = found
        return true
      }
    }
  }

  /** Forgets what was read: a live file has more by now. */
  refresh(): void {
    this.window = new Uint8Array(0)
    this.windowBytes = WINDOW_BYTES_MIN
  }

  /** End of the last byte that is not zero, `position` if there is none behind it. */
  async endOfData(): Promise<number> {
    let end = this.position
    for (let at = this.position; ;) {
      const bytes = await this.load(at, 1)
      if (bytes.length === 0) return end
      const last = lastNonZero(bytes)
      if (last >= 0) end = at + last + 1
      at += bytes.length
    }
  }

  private async frameFrom(position: number): Promise<Frame | undefined> {
    const frame = await this.frameAt(position)
    if (frame !== undefined) return frame
    const next = await this.paddingEnd(position)
    if (next === position) return undefined
    const behind = await this.frameAt(next)
    // Where offsets are missing, the zeroes are a frame that was lost.
    return behind?.firstOffset === this.nextOffset ? behind : undefined
  }

  /** The beginning of the next block when there are only zeroes up to it, else `position`. */
  async paddingEnd(position: number): Promise<number> {
    const end = blockEnd(position)
    const padding = (await this.load(position, end - position)).subarray(0, end - position)
    return position + padding.length === end && lastNonZero(padding) < 0 ? end : position
  }

  private async frameAt(position: number): Promise<Frame | undefined> {
    const head = await this.load(position, FRAME_HEADER_BYTES)
    const length = frameBytes(head)
    if (length === undefined) return undefined
    const bytes = head.length >= length ? head : await this.load(position, length)
    if (bytes.length < length) return undefined
    const frame = bytes.subarray(0, length)
    const header = decodeFrame(frame)
    if (header === 'newer') throw newerFormat(this.segment.path)
    return header !== undefined && this.goesOn(header) ? { ...header, position, bytes: frame } : undefined
  }

  /** Of this writer, and behind what was read: left-overs of other logs and of earlier lives are not. */
  private goesOn({ writerId, firstOffset, epoch }: FrameHeader): boolean {
    const { header } = this.segment
    const sameWriter = header === undefined || Buffer.from(header.writerId).equals(writerId)
    return sameWriter && firstOffset >= this.nextOffset && epoch >= this.epoch
  }

  /** Position of the next magic word, whatever follows it. */
  async findMagic(from: number): Promise<number | undefined> {
    for (let at = from; ;) {
      const bytes = await this.load(at, FRAME_MAGIC.length)
      if (bytes.length < FRAME_MAGIC.length) return undefined
      const found = asBuffer(bytes).indexOf(FRAME_MAGIC)
      if (found >= 0) return at + found
      // A magic word may lie across the window's end.
      at += bytes.length - FRAME_MAGIC.length + 1
    }
  }

  /** What the file holds from `position` on: at least `bytes` if it has them, more if they are at hand. */
  private async load(position: number, bytes: number): Promise<Uint8Array> {
    const at = position - this.windowStart
    if (at >= 0 && at + bytes <= this.window.length) return this.window.subarray(at)
    if (bytes > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(await this.bounded(position, bytes))
    const room = this.buffer.subarray(0, Math.max(bytes, this.windowBytes))
    this.windowBytes = Math.min(WINDOW_BYTES_MAX, this.windowBytes * 2)
    let filled = 0
    this.loads++
    while (filled < room.length) {
      const read = await this.file.read(room.subarray(filled), position + filled)
      if (read === 0) break
      filled += read
      if (filled >= bytes) break
    }
    this.windowStart = position
    this.window = this.buffer.subarray(0, filled)
    return this.window
  }

  /** A damaged length must not make us ask for more memory than the file has bytes. */
  private async bounded(position: number, bytes: number): Promise<number> {
    return Math.max(this.buffer.length, Math.min(bytes, (await this.file.size()) - position))
  }
}

/** Index of the last byte that is not zero, -1 when all are. */
function lastNonZero(bytes: Uint8Array): number {
  let index = bytes.length - 1
  while (index >= 0 && bytes[index] === 0) index--
  return index
}
