/** What a log directory holds: its segments by their headers, without reading their records. */
import { join } from 'node:path'
import { SluicegateError } from '../errors.js'
import { unlessMissing } from './disk-errors.js'
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  type SegmentName,
  segmentNames,
} from './format.js'
import type { Disk } from './types.js'

export interface SegmentFile extends SegmentName {
  readonly path: string
  readonly bytes: number
  /** undefined: the header is damaged; the frames behind it may be whole. */
  readonly header: SegmentHeader | undefined
}

/**
 * The segments in the order of their records.
 *
 * @param known segments that were listed before: their headers are not read again, since they never change
 * @throws SluicegateError `log_format_newer`: written by a later version of the program; nothing is touched
 */
export async function listSegments(
  directory: string,
  disk: Disk,
  known: readonly SegmentFile[] = [],
): Promise<SegmentFile[]> {
  const files: SegmentFile[] = []
  for (const segment of segmentNames(await disk.readdir(directory))) {
    const before = known.find((file) => file.name === segment.name)
    const file = before ?? (await openSegment(join(directory, segment.name), segment, disk))
    if (file !== undefined) files.push(file)
  }
  return files
}

/** undefined: gone meanwhile, by retention. */
async function openSegment(path: string, name: SegmentName, disk: Disk): Promise<SegmentFile | undefined> {
  const file = await unlessMissing(disk.open(path, 'r'))
  if (file === undefined) return undefined
  try {
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
    const read = await file.read(bytes, 0)
    const header = decodeSegmentHeader(bytes.subarray(0, read))
    if (header === 'newer') throw newerFormat(path)
    const fits = header !== 'invalid' && header.firstOffset === name.firstOffset
    return { ...name, path, bytes: await file.size(), header: fits ? header : undefined }
  } finally {
    await file.close()
  }
}

export function newerFormat(path: string): SluicegateError {
  const message = `${path} was written by a newer version of sluicegate; this one cannot read it and leaves it as it is`
  return new SluicegateError('log_format_newer', message)
}
