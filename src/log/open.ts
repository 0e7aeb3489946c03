/** Opens a log for writing: directories, recovery, identity, then the segments made ready. */
import { join } from 'node:path'
import type { Clock } from '../clock.js'
import type { Say } from '../say.js'
import type { Crc32 } from './crc32.js'
import { prepareDirectory } from './directories.js'
import { SEGMENT_HEADER_BYTES } from './format.js'
import { Identity } from './identity.js'
import { SegmentLog } from './log.js'
import { ALWAYS_PRESENT, type Confirmation } from './presence.js'
import { Quarantine } from './quarantine.js'
import { recover, type Recovered } from './recovery.js'
import { Retention } from './retention.js'
import { SegmentSet } from './segment-set.js'
import type { Disk } from './types.js'

export interface LogOptions {
  /** `DIR/<writer>`: the caller owns its lock. */
  readonly writerDirectory: string
  readonly name: 'log' | 'rejects'
  readonly disk: Disk
  readonly clock: Clock
  readonly say: Say
  readonly segmentBytes: number
  /** How far zeroes go ahead, and from which size on frames are whole blocks and let the file grow; see SegmentSet. */
  readonly zeroStepBytes?: number
  readonly blockFrameBytes?: number
  readonly growingFrameBytes?: number
  /** Most bytes of records in a batch, and so of one request. */
  readonly batchBytesMax: number
  /** How many of them while another batch is on its way; see WriterOptions. */
  readonly nextBatchBytes?: number
  /** Most bytes on disk. undefined: the smaller of 16 GiB and half of what is free. */
  readonly bytesMax: number | undefined
  readonly whenFull: 'refuse' | 'drop-oldest'
  readonly retentionMs: number
  /** 0: every batch is synced as soon as may be; else at most once in this time. */
  readonly syncIntervalMs: number
  /** Most bytes that the torn ends of both logs may take; 64 MiB unless given. */
  readonly quarantineBytesMax?: number
  /** The longest that a request waits for a disk that does not answer; 30 s unless given. */
  readonly commitTimeoutMs?: number
  readonly cursors: () => Promise<readonly number[]>
  /** This process has given out the offsets below, whatever the directory holds now. */
  readonly offsetMin?: number
  /** Without it nobody else can reach the directory. */
  readonly presence?: Confirmation
  /** zlib's unless given. */
  readonly checksum?: Crc32
}

const COMMIT_TIMEOUT_MS = 30_000
const QUARANTINE_BYTES_MAX = 64 * 2 ** 20

/**
 * The log, recovered and ready. A full or failing disk does not keep it from opening once its directory can be read:
 * it is then `full` or `failed`, and comes back by itself.
 */
export async function openLog(options: LogOptions): Promise<SegmentLog> {
  const { writerDirectory, name, disk, say } = options
  const directory = join(writerDirectory, name)
  const quarantineBytesMax = options.quarantineBytesMax ?? QUARANTINE_BYTES_MAX
  const quarantine = new Quarantine(join(writerDirectory, 'quarantine'), disk, quarantineBytesMax)
  await prepareDirectory(writerDirectory, disk)
  await disk.mkdir(directory)
  await quarantine.prepare()
  await disk.syncDirectory(writerDirectory)
  const recovered = await recover(directory, quarantine, disk)
  report(recovered, name, say)
  const identity = await Identity.load(writerDirectory, disk, recovered.writerId)
  const ahead = Math.max(options.offsetMin ?? 0, ...(await knownCursors(options)))
  const isBehind = ahead > recovered.nextOffset
  if (isBehind) await startAnew(identity, recovered.nextOffset, ahead, say)
  const segments = await segmentSet(options, recovered, identity, Math.max(ahead, recovered.nextOffset))
  const found = {
    damage: recovered.damage,
    quarantineDropped: quarantine.dropped,
    newIds: isBehind ? 1 : 0,
  }
  const log = new SegmentLog(segments, identity, found, {
    commitTimeoutMs: COMMIT_TIMEOUT_MS,
    presence: ALWAYS_PRESENT,
    ...options,
  })
  await log.start()
  return log
}

/** A cursor that cannot be read must not keep the log from opening; retention removes nothing as long as it is there. */
async function knownCursors({ cursors, say }: LogOptions): Promise<readonly number[]> {
  try {
    return await cursors()
  } catch (error) {
    say('error', `no segment is removed until this is mended: ${(error as Error).message}`)
    return []
  }
}

async function segmentSet(
  options: LogOptions,
  recovered: Recovered,
  identity: Identity,
  nextOffset: number,
): Promise<SegmentSet> {
  const { writerDirectory, name, disk, segmentBytes, presence = ALWAYS_PRESENT } = options
  const directory = join(writerDirectory, name)
  const { segments, end, epoch, writerId } = recovered
  const kept = segments.map((segment, index) => ({
    name: segment.name,
    firstOffset: segment.firstOffset,
    createdMs: createdMs(segments, index),
    bytes: segment.bytes,
  }))
  const retention = new Retention({ ...options, directory, presence })
  const set = new SegmentSet(
    {
      directory,
      disk,
      identity,
      segmentBytes,
      zeroStepBytes: options.zeroStepBytes,
      blockFrameBytes: options.blockFrameBytes,
      growingFrameBytes: options.growingFrameBytes,
      bytesMax: options.bytesMax,
      retention,
      presence,
    },
    kept,
    epoch + 1,
    nextOffset,
    recovered.previousEnd,
  )
  await set.learnLimit()
  const last = segments.at(-1)
  const sameWriter = writerId !== undefined && Buffer.from(writerId).equals(identity.writerId)
  if (last?.header !== undefined && end !== undefined && sameWriter && nextOffset === recovered.nextOffset) {
    if (end === SEGMENT_HEADER_BYTES) set.replaceEmpty(last.header)
    else await set.resume(last.name, last.header, end)
  }
  return set
}

/** Of a damaged header: not before the next segment was made, so that nothing goes too early. */
function createdMs(segments: Recovered['segments'], index: number): number {
  const next = segments.slice(index).find((segment) => segment.header !== undefined)
  return next?.header?.createdMs ?? Infinity
}

/**
 * A cursor, or this very process, knows offsets that this log does not have: it was wiped or restored. What comes now
 * must not be taken for what consumers have had, so the writer takes a new id and offsets go on behind them.
 */
async function startAnew(identity: Identity, nextOffset: number, ahead: number, say: Say): Promise<void> {
  await identity.renew()
  const message =
    'the log was wiped or restored: offsets beyond its end are known, and it goes on behind them with a new id'
  say('warn', message, { log_end: nextOffset, goes_on_at: ahead })
}

function report({ damage }: Recovered, name: string, say: Say): void {
  const { tornBytes, quarantinedBatches, quarantinedBytes } = damage
  if (tornBytes > 0) {
    say(
      'warn',
      `${name}: the end was torn by a crash; ${tornBytes} bytes, never acknowledged, were set aside in quarantine/`,
    )
  }
  if (quarantinedBytes > 0) {
    const lost =
      quarantinedBatches === 0 ? 'no record is' : `records of ${quarantinedBatches} batches or more are`
    say('error', `${name}: ${quarantinedBytes} damaged bytes in the newest segment are skipped; ${lost} lost`)
  }
}
