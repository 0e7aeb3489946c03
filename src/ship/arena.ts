/**
 * Memory for the records of one lane: the reader's bytes go with the next frame, and an allocation a record would cost
 * more than its copy. Chunks go when their last record has gone; one lane's records never hold another's.
 */
import { FrameRecord } from '../log/frame-record.js'
import type { LogRecord } from '../log/types.js'
import { OutRecord } from './sink.js'

const CHUNK_BYTES_MIN = 4 * 1024
const CHUNK_BYTES_MAX = 64 * 1024

/** A copy of a record. */
export class ShipRecord extends OutRecord {
  constructor(
    offset: number,
    readonly writtenMs: number,
    memory: Buffer,
    keyAt: number,
    valueAt: number,
    end: number,
  ) {
    super(offset, memory, keyAt, valueAt, end)
  }
}

export class Arena {
  private chunk = Buffer.alloc(0)
  private used = 0
  private nextBytes = CHUNK_BYTES_MIN

  copy(record: LogRecord): ShipRecord {
    if (record instanceof FrameRecord) return this.copyFrom(record)
    const { offset, writtenMs, key, value } = record
    const at = this.reserve(key.length + value.length)
    this.chunk.set(key, at)
    this.chunk.set(value, at + key.length)
    return new ShipRecord(offset, writtenMs, this.chunk, at, at + key.length, this.used)
  }

  /** Key and value stand together, so that one copy takes both. */
  private copyFrom({ offset, writtenMs, bytes, keyAt, valueAt, end }: FrameRecord): ShipRecord {
    const at = this.reserve(end - keyAt)
    bytes.copy(this.chunk, at, keyAt, end)
    return new ShipRecord(offset, writtenMs, this.chunk, at, at + valueAt - keyAt, this.used)
  }

  private reserve(length: number): number {
    if (this.used + length > this.chunk.length) this.grow(length)
    const at = this.used
    this.used += length
    return at
  }

  private grow(length: number): void {
    this.chunk = Buffer.allocUnsafeSlow(Math.max(length, this.nextBytes))
    this.used = 0
    this.nextBytes = Math.min(CHUNK_BYTES_MAX, this.nextBytes * 2)
  }
}
