/** Looks into a log's files and changes them behind its back, as crashes and bad sectors do. */
import { basename, join } from 'node:path'
import {
  blockEnd,
  decodeFrame,
  FRAME_HEADER_BYTES,
  frameBytes,
  SEGMENT_HEADER_BYTES,
  segmentNames,
} from '../../../src/log/format.js'
import type { Disk, Log } from '../../../src/log/types.js'
import type { MemoryDisk } from './memory-disk.js'
import { LOG, put, record, WRITER } from './run.js'

export interface Placed {
  readonly path: string
  readonly position: number
  readonly bytes: number
  readonly firstOffset: number
  readonly records: number
  readonly epoch: number
}

/** Paths of the segments, oldest first. */
export const segmentPaths = (disk: MemoryDisk): string[] =>
  segmentNames(
    disk
      .paths()
      .filter((path) => path.startsWith(`${LOG}/`))
      .map((path) => basename(path)),
  ).map(({ name }) => join(LOG, name))

/** The whole frames of a segment that follow each other. */
export function framesOf(disk: MemoryDisk, path: string): Placed[] {
  const file = disk.peek(path)!
  const found: Placed[] = []
  for (let position = SEGMENT_HEADER_BYTES; position + FRAME_HEADER_BYTES <= file.length;) {
    const bytes = frameBytes(file.subarray(position))
    const next = blockEnd(position)
    if (bytes === undefined && next > position && file.subarray(position, next).every((byte) => byte === 0)) {
      position = next
      continue
    }
    if (bytes === undefined || position + bytes > file.length) break
    const header = decodeFrame(file.subarray(position, position + bytes))
    if (header === undefined || header === 'newer') break
    const { firstOffset, records, epoch } = header
    found.push({ path, position, bytes, firstOffset, records, epoch })
    position += bytes
  }
  return found
}

export const allFrames = (disk: MemoryDisk): Placed[] =>
  segmentPaths(disk).flatMap((path) => framesOf(disk, path))

/** What was kept aside, by file name. */
export const quarantined = (disk: MemoryDisk): Map<string, Uint8Array> =>
  new Map(
    disk
      .paths()
      .filter((path) => path.startsWith(join(WRITER, 'quarantine')))
      .map((path) => [basename(path), disk.peek(path)!]),
  )

export async function overwrite(
  disk: Disk,
  path: string,
  position: number,
  bytes: Uint8Array,
): Promise<void> {
  const file = await disk.open(path, 'r+')
  await file.write(bytes, position)
  await file.sync()
  await file.close()
}

export async function truncate(disk: Disk, path: string, length: number): Promise<void> {
  const file = await disk.open(path, 'r+')
  await file.truncate(length)
  await file.sync()
  await file.close()
}

export async function create(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, 'wx+')
  await file.write(bytes, 0)
  await file.sync()
  await file.close()
}

export async function flipBit(disk: MemoryDisk, path: string, position: number, bit = 0): Promise<void> {
  await overwrite(disk, path, position, Uint8Array.of(disk.peek(path)![position]! ^ (1 << bit)))
}

/** Records `from` … `to - 1`, each in a batch of its own. */
export async function putEach(log: Log, from: number, to: number, bytes = 100): Promise<void> {
  for (let id = from; id < to; id++) await put(log, record(id, bytes))
}

/** Records in one batch. */
export async function putTogether(log: Log, ids: readonly number[], bytes = 100): Promise<void> {
  await Promise.all(ids.map((id) => put(log, record(id, bytes))))
}

export const count = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index)
