/**
 * What a start finds after a crash (promise P9). Only the last segment can have been written to; it is read whole, what
 * a crash tore off its end is cut and kept aside, damage in its middle is skipped by readers and counted here.
 */
import { basename, dirname, join } from 'node:path'
import { type FrameHeader, SEGMENT_HEADER_BYTES } from './format.js'
import { FrameReader } from './frames.js'
import { listSegments, type SegmentFile } from './segments.js'
import type { Damage, Disk, DiskFile } from './types.js'

/** Written by no released version: a segment that was being made ready when the process ended. */
export const SPARE = 'spare'
const COPY_BYTES = 1024 * 1024

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
  readonly damage: Damage
}

/** Brings `directory` into a state that can be appended to. Everything that stays is synced. */
export async function recover(directory: string, quarantine: string, disk: Disk): Promise<Recovered> {
  const names = await disk.readdir(directory)
  if (names.includes(SPARE)) await disk.unlink(join(directory, SPARE))
  // A process that ended between a rename and its sync left an entry that the next power loss would take.
  await disk.syncDirectory(directory)
  const segments = await listSegments(directory, disk)
  const last = segments.at(-1)
  const epoch = Math.max(0, ...segments.map((segment) => segment.header?.epoch ?? segment.epoch))
  if (last === undefined) {
    const damage = { tornBytes: 0, quarantinedBatches: 0, quarantinedBytes: 0 }
    return { segments, nextOffset: 0, epoch, writerId: undefined, end: undefined, damage }
  }
  const found = await recoverLast(last, quarantine, disk)
  const writerId = segments.findLast((segment) => segment.header !== undefined)?.header?.writerId
  return { segments, writerId, ...found, epoch: Math.max(epoch, found.epoch) }
}

async function recoverLast(
  last: SegmentFile,
  quarantine: string,
  disk: Disk,
): Promise<Pick<Recovered, 'nextOffset' | 'epoch' | 'end' | 'damage'>> {
  const file = await disk.open(last.path, 'r+')
  try {
    const walk = await walkFrames(file, last)
    const tornBytes = walk.endOfData - walk.end
    if (tornBytes > 0) {
      await setAside(
        file,
        walk.end,
        walk.endOfData,
        join(quarantine, `${basename(last.path)}.${walk.end}.torn`),
        disk,
      )
    }
    if (tornBytes > 0) await file.truncate(walk.end)
    // What was read may have been in memory alone: from here on it counts as durable.
    await file.sync()
    const damage = { tornBytes, quarantinedBatches: walk.gaps, quarantinedBytes: walk.gapBytes }
    const end = last.header === undefined ? undefined : walk.end
    return { nextOffset: walk.nextOffset, epoch: walk.epoch, end, damage }
  } finally {
    await file.close()
  }
}

interface Walk {
  readonly nextOffset: number
  readonly epoch: number
  /** Behind the last whole frame. */
  readonly end: number
  readonly endOfData: number
  readonly gaps: number
  readonly gapBytes: number
}

async function walkFrames(file: DiskFile, segment: SegmentFile): Promise<Walk> {
  let nextOffset = segment.firstOffset
  let epoch = segment.header?.epoch ?? 0
  const frames = new FrameReader(file, (header) => goesOn(header, segment, nextOffset, epoch))
  let gaps = 0
  let gapBytes = segment.header === undefined ? SEGMENT_HEADER_BYTES : 0
  for (;;) {
    const frame = await frames.next()
    if (frame !== undefined) {
      nextOffset = frame.firstOffset + frame.records
      epoch = frame.epoch
      continue
    }
    // One batch is written at a time: a whole one behind what is not whole means damage, not a torn end.
    const before = frames.position
    if (!(await frames.resync())) break
    gaps++
    gapBytes += frames.position - before
  }
  const end = frames.position
  const endOfData = await frames.endOfData()
  return { nextOffset, epoch, end, endOfData, gaps, gapBytes }
}

/** Of this writer, and behind what was read. */
function goesOn(header: FrameHeader, segment: SegmentFile, nextOffset: number, epoch: number): boolean {
  const sameWriter =
    segment.header === undefined || Buffer.from(segment.header.writerId).equals(header.writerId)
  return sameWriter && header.firstOffset >= nextOffset && header.epoch >= epoch
}

/** Copies bytes that are about to be cut: somebody may want to look at them. */
async function setAside(file: DiskFile, from: number, to: number, path: string, disk: Disk): Promise<void> {
  const copy = await openNew(path, disk)
  try {
    const bytes = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, to - from))
    for (let at = from; at < to;) {
      const read = await file.read(bytes.subarray(0, Math.min(bytes.length, to - at)), at)
      if (read === 0) break
      await copy.write(bytes.subarray(0, read), at - from)
      at += read
    }
    await copy.sync()
  } finally {
    await copy.close()
  }
  await disk.syncDirectory(dirname(path))
}

/** The same place may have been torn before: the newest copy stays under a name of its own. */
async function openNew(path: string, disk: Disk): Promise<DiskFile> {
  for (let number = 0; ; number++) {
    try {
      return await disk.open(number === 0 ? path : `${path}.${number}`, 'wx+')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
