/** Rejected records as they are kept (docs/PROTOCOL.md 9.4). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { asBuffer } from '../../as-buffer.js'
import { UsageError } from '../../errors.js'
import { readLog } from '../../log/reader.js'
import type { Endpoint } from '../../record.js'
import type { RawMembers } from '../../rejects/envelope.js'
import { parseReplayed } from '../../rejects/replayed.js'
import { OffsetRanges } from '../../rejects/ranges.js'
import { extentOf, ownerOf, type WriterDirectory } from '../directory.js'
import { warnDamage } from '../output.js'

export interface RejectedEnvelope extends RawMembers {
  readonly endpoint: Endpoint
  readonly token: string | null
  readonly project_id?: string | null
  readonly received_ms: number
  readonly request_id: string
  readonly index: number
  readonly ip: string | null
  readonly ua: string | null
  readonly test?: boolean
  readonly problem: {
    readonly code: string
    readonly field: string
    readonly pointer: string
    readonly offset: number
    readonly message: string
  }
  readonly truncated?: boolean
}

export interface RejectedRecord {
  readonly offset: number
  /** One JSON object with `offset` as its first member, and a line feed. */
  readonly line: string
  readonly envelope: RejectedEnvelope
}

/** All records from an offset on, oldest first, up to the last durable one. */
export async function* readRejected(
  directory: WriterDirectory,
  from: 'start' | number = 'start',
): AsyncGenerator<RejectedRecord> {
  for await (const { offset, value } of readLog({
    directory: directory.rejects,
    from,
    onDamage: warnDamage,
  })) {
    const text = asBuffer(value).toString()
    yield {
      offset,
      line: `{"offset":${offset},${text.slice(1)}\n`,
      envelope: JSON.parse(text) as RejectedEnvelope,
    }
  }
}

/** @throws UsageError when no such record is there */
export async function findRejected(directory: WriterDirectory, offset: number): Promise<RejectedRecord> {
  const { firstOffset, endOffset } = await extentOf(directory, 'rejects', await ownerOf(directory))
  if (offset >= firstOffset && offset < endOffset) {
    for await (const record of readRejected(directory, offset)) {
      if (record.offset === offset) return record
      break
    }
  }
  const held = firstOffset === endOffset ? 'none' : `${firstOffset} to ${endOffset - 1}`
  throw new UsageError(`there is no rejected record with offset ${offset}; there are ${held}`)
}

/** Which offsets have been replayed, or perhaps, as the server noted it. */
export function replayedIn(directory: WriterDirectory): (offset: number) => 'yes' | 'perhaps' | '' {
  let text: string
  try {
    text = readFileSync(join(directory.path, 'replayed.json'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return () => ''
    throw error
  }
  const noted = parseReplayed(text)
  if (noted === undefined) return () => 'perhaps'
  const [done, begun] = [new OffsetRanges(noted.done), new OffsetRanges(noted.begun)]
  return (offset) => (done.has(offset) ? 'yes' : begun.has(offset) ? 'perhaps' : '')
}
