/** A log directory as `doctor` shows it: read only, headers alone, beside a live owner or none. */
import { hexOf } from './identity.js'
import { nodeDisk } from './node-disk.js'
import { listSegments } from './segments.js'

export interface InspectedSegment {
  readonly name: string
  readonly firstOffset: number
  readonly bytes: number
  readonly createdMs: number
  readonly epoch: number
  /** '' when the header is damaged. */
  readonly writerId: string
}

export interface Inspection {
  readonly segments: readonly InspectedSegment[]
  readonly firstOffset: number
  readonly bytes: number
}

/** @throws SluicegateError `log_format_newer` */
export async function inspectLog(directory: string): Promise<Inspection> {
  const files = await listSegments(directory, nodeDisk)
  const segments = files.map(({ name, firstOffset, bytes, header }) => ({
    name,
    firstOffset,
    bytes,
    createdMs: header?.createdMs ?? 0,
    epoch: header?.epoch ?? 0,
    writerId: header === undefined ? '' : hexOf(header.writerId),
  }))
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  return { segments, firstOffset: segments[0]?.firstOffset ?? 0, bytes }
}
