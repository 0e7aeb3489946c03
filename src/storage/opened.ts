/** A data directory that is open: its lock, both logs, and whether all of it still is where its paths say. */
import type { Clock } from '../clock.js'
import type { Config } from '../config.js'
import type { LogUnavailable } from '../errors.js'
import type { Say } from '../say.js'
import { type Crc32, loadCrc32 } from '../log/crc32.js'
import { Cursors } from '../log/cursor.js'
import { prepareDirectory } from '../log/directories.js'
import { acquireLock, type Lock } from '../log/lock.js'
import type { SegmentLog } from '../log/log.js'
import { openLog } from '../log/open.js'
import { Presence } from '../log/presence.js'
import type { Disk } from '../log/types.js'

export interface OpenParts {
  readonly config: Config
  readonly clock: Clock
  readonly disk: Disk
  readonly say: Say
  /** `DIR/<writer>`. */
  readonly directory: string
  /** What the lock's owner tells readers (src/log/durable.ts). */
  readonly answer: () => string
  /** Offsets below were given out by this process, whatever the directory holds. */
  readonly offsetMin: { readonly log: number; readonly rejects: number }
  /** Called once when the directory, or a file being written, is not where it was. */
  readonly onLost: (error: Error) => void
}

/** What Kafka refuses is kept whole: 1 MiB, threefold when it was mended, twofold when its quotes are escaped. */
const REJECTS_BATCH_BYTES = 8 * 1024 * 1024
const REJECTS_SEGMENT_BYTES_MAX = 8 * 1024 * 1024
const REJECTS_SEGMENTS_MIN = 4
const REJECTS_SYNC_INTERVAL_MS = 1000
/** Of the log's limit; on a disk that was nearly full at the start, that may be next to nothing. */
const REJECTS_SHARE = 0.1
const REJECTS_BYTES_MIN = 1024 * 1024

export class OpenedStorage {
  private constructor(
    private readonly lock: Lock,
    readonly log: SegmentLog,
    readonly rejectsLog: SegmentLog,
    readonly presence: Presence,
    /** The file system that holds the directory. */
    readonly device: string,
  ) {}

  /**
   * Takes the lock, then recovers and opens both logs.
   *
   * @throws SluicegateError `data_dir_locked`, `log_format_newer`; what the disk answers
   */
  static async open(parts: OpenParts): Promise<OpenedStorage> {
    const { directory, disk, clock } = parts
    await prepareDirectory(directory, disk)
    const presence = new Presence(clock, parts.onLost)
    const lock = await acquireLock(directory, parts.answer)
    presence.add(() => lock.missing())
    let log: SegmentLog | undefined
    try {
      const { device } = await disk.stat(directory)
      log = await openMainLog(parts, presence, await loadCrc32())
      const rejectsLog = await openRejectsLog(parts, presence, log.status().bytesMax)
      for (const one of [log, rejectsLog]) presence.add(() => one.missing())
      return new OpenedStorage(lock, log, rejectsLog, presence, device)
    } catch (error) {
      // Nothing of ours may touch the directory once it can be another's.
      await log?.close()
      await lock.release()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.log.close()
    await this.rejectsLog.close()
    await this.lock.release()
  }

  /** Lets go of what may be another's by now, touching nothing; resolves when nothing is under way any more. */
  async abandon(refusal: LogUnavailable): Promise<void> {
    await Promise.all([this.log.abandon(refusal), this.rejectsLog.abandon(refusal)])
    await this.lock.release()
  }
}

/** Of records: what a few dozen large requests bring, and caches of today hold beside what else is under way. */
const NEXT_BATCH_BYTES = 2 * 1024 * 1024

function openMainLog(parts: OpenParts, presence: Presence, checksum: Crc32): Promise<SegmentLog> {
  const { config, directory, disk, clock, offsetMin } = parts
  const cursors = new Cursors(directory, disk, clock)
  return openLog({
    ...common(parts, presence),
    name: 'log',
    segmentBytes: config.logSegmentBytes,
    batchBytesMax: config.batchBytesMax,
    nextBatchBytes: NEXT_BATCH_BYTES,
    bytesMax: config.logMaxBytes,
    whenFull: config.logWhenFull,
    retentionMs: config.logRetentionMs,
    syncIntervalMs: 0,
    checksum,
    cursors: async () => (await cursors.list()).map((cursor) => cursor.offset),
    offsetMin: offsetMin.log,
  })
}

function openRejectsLog(parts: OpenParts, presence: Presence, logBytesMax: number): Promise<SegmentLog> {
  const share = Math.max(REJECTS_BYTES_MIN, Math.floor(logBytesMax * REJECTS_SHARE))
  const bytesMax = parts.config.rejectBytesMax ?? share
  return openLog({
    ...common(parts, presence),
    name: 'rejects',
    segmentBytes: Math.min(REJECTS_SEGMENT_BYTES_MAX, Math.floor(bytesMax / REJECTS_SEGMENTS_MIN)),
    batchBytesMax: REJECTS_BATCH_BYTES,
    bytesMax,
    whenFull: 'drop-oldest',
    retentionMs: 0,
    syncIntervalMs: REJECTS_SYNC_INTERVAL_MS,
    cursors: () => Promise.resolve([]),
    offsetMin: parts.offsetMin.rejects,
  })
}

function common({ config, clock, disk, say, directory }: OpenParts, presence: Presence) {
  const { commitTimeoutMs, quarantineBytesMax } = config
  return { writerDirectory: directory, clock, disk, say, commitTimeoutMs, quarantineBytesMax, presence }
}
