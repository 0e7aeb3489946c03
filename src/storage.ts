/** The data directory of a running server: its lock, the log, the log of rejects, and what their owner tells readers. */
import { join, resolve } from 'node:path'
import type { Clock } from './clock.js'
import type { Config } from './config.js'
import { Cursors } from './log/cursor.js'
import { prepareDirectory } from './log/directories.js'
import { acquireLock, type Lock } from './log/lock.js'
import type { SegmentLog, Say } from './log/log.js'
import { openLog } from './log/open.js'
import type { Disk } from './log/types.js'
import type { Logger } from './logger.js'

export interface StorageParts {
  readonly logger: Logger
  readonly clock: Clock
  readonly disk: Disk
}

/** A record's text is kept up to 64 KiB, which escapes may make six times as long. */
const REJECTS_BATCH_BYTES = 1024 * 1024
const REJECTS_SEGMENT_BYTES_MAX = 8 * 1024 * 1024
const REJECTS_SEGMENTS_MIN = 4
const REJECTS_SYNC_INTERVAL_MS = 1000
/** Of the log's limit. */
const REJECTS_SHARE = 0.1

export class Storage {
  private constructor(
    /** `DIR/<writer>`. */
    readonly directory: string,
    private readonly lock: Lock,
    private readonly answer: Answer,
    readonly log: SegmentLog,
    readonly rejectsLog: SegmentLog,
  ) {}

  /**
   * Takes the lock, then recovers and opens both logs.
   *
   * @throws SluicegateError `data_dir_locked`, `log_format_newer`; what the disk answers
   */
  static async open(config: Config, parts: StorageParts): Promise<Storage> {
    const directory = join(resolve(config.dataDir), config.writer)
    await prepareDirectory(directory, parts.disk)
    const answer = new Answer()
    const lock = await acquireLock(directory, () => answer.text)
    let log: SegmentLog | undefined
    try {
      log = await openMainLog(directory, config, parts)
      const rejectsLog = await openRejectsLog(directory, config, parts, log.status().bytesMax)
      answer.log = log
      answer.rejects = rejectsLog
      return new Storage(directory, lock, answer, log, rejectsLog)
    } catch (error) {
      // Nothing of ours may touch the directory once it can be another's.
      await log?.close()
      await lock.release()
      throw error
    }
  }

  /** Where commands find the ops listener. */
  announce(opsAddress: string): void {
    this.answer.ops = opsAddress
  }

  async close(): Promise<void> {
    await this.log.close()
    await this.rejectsLog.close()
    await this.lock.release()
  }
}

/** What the owner of a directory says to whoever connects to its lock (src/log/durable.ts). */
class Answer {
  log: SegmentLog | undefined
  rejects: SegmentLog | undefined
  ops: string | null = null

  get text(): string {
    const { log, rejects, ops } = this
    return JSON.stringify({ pid: process.pid, log: log?.durableOffset, rejects: rejects?.durableOffset, ops })
  }
}

function openMainLog(directory: string, config: Config, parts: StorageParts): Promise<SegmentLog> {
  const cursors = new Cursors(directory, parts.disk, parts.clock)
  return openLog({
    ...common(directory, parts),
    name: 'log',
    segmentBytes: config.logSegmentBytes,
    batchBytesMax: config.batchBytesMax,
    bytesMax: config.logMaxBytes,
    whenFull: config.logWhenFull,
    retentionMs: config.logRetentionMs,
    syncIntervalMs: 0,
    cursors: async () => (await cursors.list()).map((cursor) => cursor.offset),
  })
}

function openRejectsLog(
  directory: string,
  config: Config,
  parts: StorageParts,
  logBytesMax: number,
): Promise<SegmentLog> {
  const bytesMax = config.rejectBytesMax ?? Math.floor(logBytesMax * REJECTS_SHARE)
  return openLog({
    ...common(directory, parts),
    name: 'rejects',
    segmentBytes: Math.min(REJECTS_SEGMENT_BYTES_MAX, Math.floor(bytesMax / REJECTS_SEGMENTS_MIN)),
    batchBytesMax: REJECTS_BATCH_BYTES,
    bytesMax,
    whenFull: 'drop-oldest',
    retentionMs: 0,
    syncIntervalMs: REJECTS_SYNC_INTERVAL_MS,
    cursors: () => Promise.resolve([]),
  })
}

function common(writerDirectory: string, { logger, clock, disk }: StorageParts) {
  const say: Say = (level, message, fields) => logger[level](fields ?? {}, message)
  return { writerDirectory, clock, disk, say }
}
