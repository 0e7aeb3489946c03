/**
 * What a start finds after a crash (promise P9). Only the last segment can have been written to; it is read whole, what
 * a crash tore off its end is cut and kept aside, damage in its middle is skipped by readers and counted here.
 */
import { basename, join } from 'node:path'
import { SEGMENT_HEADER_BYTES } from './format.js'
import { FrameReader } from './frames.js'
import { isNoSpace } from './disk-errors.js'
import type { Quarantine } from './quarantine.js'
import { listSegments, type SegmentFile } from './segments.js'
import type { Damage, Disk, DiskFile } from './types.js'

/** The next segment, being made ready: it never holds records, and what a last run left of it goes. */
export const SPARE = 'spare'

export interface Recovered {
  readonly segments: readonly SegmentFile[]
  /** Offset behind the last whole record. */
  readonly nextOffset: number
  /** The highest in use. */
  readonly epoch: number
  /** Writer id of the newest segment. */
  readonly writerId: Uint8Array | undefined
  /** Where the last segment's frames end; undefined when it cannot be written to and a new one is needed. */
  readonly end: number | undefined
  /** Where the last segment's frames end when there was no space to cut what lies behind; else 0. */
  readonly previousEnd: number
  readonly damage: Damage
}

type RecoveredLast = Omit<Recovered, 'segments' | 'writerId'>

/**
 * Brings `directory` into a state that can be appended to. Everything that stays is synced.
 *
 * @throws SluicegateError `log_format_newer`, before anything is touched
 */
export async function recover(directory: string, quarantine: Quarantine, disk: Disk): Promise<Recovered> {
  const segments = await listSegments(directory, disk)
  const last = segments.at(-1)
  const epoch = Math.max(0, ...segments.map((segment) => segment.header?.epoch ?? segment.epoch))
  if (last === undefined) {
    await removeSpare(directory, disk)
    const damage = { tornBytes: 0, quarantinedBatches: 0, quarantinedBytes: 0 }
    return { segments, nextOffset: 0, epoch, writerId: undefined, end: undefined, previousEnd: 0, damage }
  }
  const found = await recoverLast(last, directory, quarantine, disk)
  const writerId = segments.findLast((segment) => segment.header !== undefined)?.header?.writerId
  return { segments, writerId, ...found, epoch: Math.max(epoch, found.epoch) }
}

async function removeSpare(directory: string, disk: Disk): Promise<void> {
  const names = await disk.readdir(directory)
  if (names.includes(SPARE)) await disk.unlink(join(directory, SPARE))
}

async function recoverLast(
  last: SegmentFile,
  directory: string,
  quarantine: Quarantine,
  disk: Disk,
): Promise<RecoveredLast> {
  const file = await disk.open(last.path, 'r+')
  try {
    const walk = await walkFrames(file, last)
    const { nextOffset, epoch, end, endOfData, tornBytes } = walk
    const damage = { tornBytes, quarantinedBatches: walk.gaps, quarantinedBytes: walk.gapBytes }
    await removeSpare(directory, disk)
    const name = `${basename(last.path)}.${end}`
    const isCut =
      endOfData === end || (await cut(file, end, () => quarantine.keep(file, end, endOfData, name)))
    await writeAgain(file, walk)
    // What was read may have been in memory alone: from here on it counts as durable.
    await file.sync()
    const canGoOn = isCut && last.header !== undefined
    return { nextOffset, epoch, end: canGoOn ? end : undefined, previousEnd: isCut ? 0 : end, damage }
  } finally {
    await file.close()
  }
}

interface Walk {
  readonly nextOffset: number
  readonly epoch: number
  /** Where the last whole frame stands, and behind it. */
  readonly lastFrame: number
  readonly end: number
  readonly endOfData: number
  /** Of the batch that the end of the last run cut off. */
  readonly tornBytes: number
  readonly gaps: number
  readonly gapBytes: number
}

async function walkFrames(file: DiskFile, segment: SegmentFile): Promise<Walk> {
  const frames = new FrameReader(file, segment)
  let lastFrame = frames.position
  let isDamaged = false
  let gaps = 0
  let gapBytes = segment.header === undefined ? SEGMENT_HEADER_BYTES : 0
  for (;;) {
    const { nextOffset } = frames
    const frame = await frames.next()
    if (frame !== undefined) {
      // What was damaged may have been no more than zeroes between two frames.
      if (isDamaged && frame.firstOffset > nextOffset) gaps++
      isDamaged = false
      lastFrame = frame.position
      continue
    }
    // One batch is written at a time: a whole one behind what is not whole means damage, not a torn end.
    const before = frames.position
    if (!(await frames.resync())) break
    isDamaged = true
    gapBytes += frames.position - before
  }
  const { nextOffset, epoch, position: end } = frames
  const endOfData = await frames.endOfData()
  const tail = await damageOfTail(frames, endOfData)
  return {
    nextOffset,
    epoch,
    lastFrame,
    end,
    endOfData,
    tornBytes: tail.tornBytes,
    gaps: gaps + tail.gaps,
    gapBytes: gapBytes + tail.gapBytes,
  }
}

/** Only the last batch can be torn: one that has another behind it was whole once, and is damaged. */
async function damageOfTail(
  frames: FrameReader,
  to: number,
): Promise<{ gaps: number; gapBytes: number; tornBytes: number }> {
  if (frames.position === to) return { gaps: 0, gapBytes: 0, tornBytes: 0 }
  const from = await frames.paddingEnd(frames.position)
  let tornAt = from
  for (let gaps = 0; ; gaps++) {
    const next = await frames.findMagic(tornAt + 1)
    if (next === undefined || next >= to) return { gaps, gapBytes: tornAt - from, tornBytes: to - tornAt }
    tornAt = next
  }
}

/**
 * Cuts off what lies behind the last whole frame, and keeps a copy. False when there is no space for one: then the
 * bytes stay where they are and a new segment takes over.
 */
async function cut(file: DiskFile, from: number, keep: () => Promise<void>): Promise<boolean> {
  try {
    await keep()
  } catch (error) {
    if (isNoSpace(error)) return false
    throw error
  }
  await file.truncate(from)
  return true
}

/**
 * A sync that fails marks its bytes as written although they are not, and no later sync writes them. Should the last
 * run have ended after such a failure, its last frame is in memory alone: written once more, it will be synced.
 */
async function writeAgain(file: DiskFile, { lastFrame, end }: Walk): Promise<void> {
  if (lastFrame === end) return
  const bytes = Buffer.allocUnsafeSlow(end - lastFrame)
  if ((await file.read(bytes, lastFrame)) < bytes.length) throw new Error('a frame became shorter')
  await file.write(bytes, lastFrame)
}
