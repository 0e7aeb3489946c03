/** What the log tests share: a log on a simulated disk, records that can be told apart, and what is read back. */
import { ManualClock } from '../../../src/clock.js'
import type { Say } from '../../../src/say.js'
import { type LogOptions, openLog } from '../../../src/log/open.js'
import { readLog, type ReadOptions } from '../../../src/log/reader.js'
import type { CommittedBatch, Disk, Log } from '../../../src/log/types.js'
import { RECORD_HEADER_BYTES } from '../../../src/record.js'

export const WRITER = '/data/0'
export const LOG = '/data/0/log'

/** Small segments and batches, so that a few records show rolls. */
export function options(disk: Disk, more: Partial<LogOptions> = {}): LogOptions {
  const say: Say = () => {}
  return {
    writerDirectory: WRITER,
    name: 'log',
    disk,
    clock: new ManualClock(1_795_500_000_000),
    say,
    segmentBytes: 4096,
    batchBytesMax: 8192,
    bytesMax: 1024 * 1024,
    whenFull: 'refuse',
    retentionMs: 0,
    syncIntervalMs: 0,
    cursors: () => Promise.resolve([]),
    ...more,
  }
}

/**
 * Zeroes go ahead step by step, larger frames are whole blocks, and still larger ones let the file grow: as in a log of
 * real size. Neither segments nor steps are whole blocks.
 */
export const MIXED_FRAMES: Partial<LogOptions> = {
  segmentBytes: 65_000,
  zeroStepBytes: 8000,
  blockFrameBytes: 300,
  growingFrameBytes: 600,
}

export const open = (disk: Disk, more: Partial<LogOptions> = {}): ReturnType<typeof openLog> =>
  openLog(options(disk, more))

/** A record whose envelope is `{"id":…}`, padded to about `bytes`. */
export function record(id: number, bytes = 100): Uint8Array {
  const key = Buffer.from('t0k:u1')
  const value = Buffer.from(JSON.stringify({ id, pad: 'x'.repeat(Math.max(0, bytes - 60)) }))
  const made = Buffer.alloc(RECORD_HEADER_BYTES + key.length + value.length)
  made.writeUInt32LE(made.length, 0)
  made.writeUInt32LE(3, 12)
  made.writeUInt32LE(key.length, 16)
  made.set(key, RECORD_HEADER_BYTES)
  made.set(value, RECORD_HEADER_BYTES + key.length)
  return made
}

/** Commits one record into the open batch; undefined when there is no room now. */
export function put(log: Log, bytes: Uint8Array): Promise<CommittedBatch> | undefined {
  const room = log.open(bytes.length)
  if (room === undefined) return undefined
  room.bytes.set(bytes, room.position)
  return log.commit(room.position + bytes.length, 1)
}

/** When what the log does by itself, beside batches, is done as well. */
export const idle = (log: Log): Promise<void> => (log as unknown as { running: Promise<void> }).running

/** Ids of the records that a reader gets, with their offsets checked to go on. */
export async function read(
  disk: Disk,
  limit: number | undefined = undefined,
  more: Partial<ReadOptions> = {},
): Promise<number[]> {
  const ids: number[] = []
  let last = -1
  const durable = { offset: () => Promise.resolve(limit) }
  for await (const { offset, value } of readLog({ directory: LOG, from: 'start', disk, durable, ...more })) {
    if (offset <= last) throw new Error(`offset ${offset} came behind ${last}`)
    last = offset
    ids.push((JSON.parse(Buffer.from(value).toString()) as { id: number }).id)
  }
  return ids
}
