/** The log's seams: what intake writes to, what readers read from, and the disk below. */

/** A batch that is being filled. It is shared memory of its own, untouched between close and sync. */
export interface OpenBatch {
  readonly bytes: Uint8Array<SharedArrayBuffer>
  /** Records go here; moved only by `commit`. */
  readonly position: number
  readonly end: number
  /** Records in it already: the next one's place behind the batch's first offset. */
  readonly records: number
}

/** What a commit waits for: one object a batch, shared by all requests in it. */
export interface CommittedBatch {
  /** Offset of the batch's first record. */
  readonly firstOffset: number
}

/**
 * `full`: there is no space and nothing may be removed; comes back by itself. `failed`: the disk refuses; tried again
 * with back-off. Both answer 503.
 */
export type LogState = 'writable' | 'full' | 'failed' | 'closed'

export interface Log {
  readonly state: LogState
  /** Offset that the next record gets. */
  readonly nextOffset: number
  /** Offset behind the last record that is on stable storage; readers never pass it. */
  readonly durableOffset: number
  /** Called whenever there may be room again: a batch has left or takes long, or the log is writable again or not at all. */
  onRoom: () => void
  /**
   * The open batch with room for at least `bytes` more, or undefined when there is none for now (then wait for `onRoom`).
   * Throws LogUnavailable when the log is not writable or `bytes` is more than a batch can hold.
   */
  open(bytes: number): OpenBatch | undefined
  /**
   * Takes over the records that the caller wrote from the open batch's position up to `end`. Resolves when they are on
   * stable storage; rejects with LogUnavailable when they are not: then none of them will ever be read.
   */
  commit(end: number, records: number): Promise<CommittedBatch>
  /** What /status shows. */
  status(): LogStatus
  close(): Promise<void>
}

/** Bytes that recovery set aside, and what it skipped (promise P9); since this process started. */
export interface Damage {
  /** Of a batch that the end of the last run cut off: never acknowledged. */
  readonly tornBytes: number
  readonly quarantinedBatches: number
  readonly quarantinedBytes: number
}

export interface LogStatus {
  readonly state: LogState
  /** Why it is not writable, in a sentence; '' when it is. */
  readonly reason: string
  /** 32 hexadecimal digits. */
  readonly writerId: string
  readonly epoch: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly durableOffset: number
  /** On disk, what is preallocated, or taken for the next batches, included. */
  readonly bytes: number
  readonly bytesMax: number
  /** Bytes of records and frames written since the start. */
  readonly bytesWritten: number
  readonly segments: number
  readonly damage: Damage
  /** Torn ends, set aside after crashes, that went to keep quarantine/ under its limit. */
  readonly quarantineDropped: number
  /** Batches written and synced since the start, and records in them. */
  readonly batches: number
  readonly records: number
  /** Segments given up after a failed write or sync. */
  readonly failovers: number
  /** Records that went with segments removed to make room (`drop-oldest`) or by age. */
  readonly dropped: number
  /** Times the writer took a new id because a cursor was ahead of the log. */
  readonly newIds: number
  /** Times the log was opened again because its files had been removed or replaced under the running server. */
  readonly reopened: number
}

/** A record as a reader sees it; the views are valid until the next one is asked for. */
export interface LogRecord {
  readonly offset: number
  /** Index into KINDS. */
  readonly kind: number
  readonly flags: number
  readonly keyHash: number
  readonly tokenLength: number
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** When its batch was written, ms since 1970. */
  readonly writtenMs: number
}

/** The file system as the log uses it; injected, so that tests can make it fail, fill up and forget. */
export interface Disk {
  open(path: string, flags: 'r' | 'r+' | 'wx+'): Promise<DiskFile>
  mkdir(path: string): Promise<void>
  readdir(path: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Makes creations, renames and removals in this directory durable. */
  syncDirectory(path: string): Promise<void>
  /** Bytes free for us on the file system that holds `path`. */
  freeBytes(path: string): Promise<number>
  stat(path: string): Promise<PathStat>
}

export interface PathStat {
  /** Tells the file system that holds it from others that are mounted. */
  readonly device: string
  readonly bytes: number
  readonly modifiedMs: number
}

export interface DiskFile {
  /** Writes all of `bytes` at `position` or rejects. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /**
   * As `write` and then `sync` of what was written: resolves when the bytes, and a length that they gave the file, are
   * on stable storage. Covers no other write. After an error any part of it may be there, durable or not.
   */
  writeDurably(bytes: Uint8Array, position: number): Promise<void>
  /**
   * As `writeDurably`, for whole blocks (src/log/format.ts) at the beginning of a block: where it can be, the drive reads
   * them from the memory itself, and neither are they copied nor do they push out what the kernel keeps of other files.
   */
  writeBlocks(bytes: Uint8Array, position: number): Promise<void>
  /** Reads up to `bytes.length` bytes; the number read, 0 at the end. */
  read(bytes: Uint8Array, position: number): Promise<number>
  /** fdatasync. */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  size(): Promise<number>
  /** Whether `path` names this very file; false when it is gone, or another one stands there. */
  isAt(path: string): Promise<boolean>
  close(): Promise<void>
}
