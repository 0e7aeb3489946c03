/** A record where it stands in its frame: views of its bytes are made only when somebody looks at them. */
import { RECORD_HEADER_BYTES, RecordAt } from '../record.js'
import type { LogRecord } from './types.js'

export class FrameRecord implements LogRecord {
  readonly kind: number
  readonly flags: number
  readonly keyHash: number
  readonly tokenLength: number
  /** The key stands from here on, the value from there to `end`. */
  readonly keyAt: number
  readonly valueAt: number

  /** @param end behind its last byte in `bytes` */
  constructor(
    readonly bytes: Buffer,
    at: number,
    readonly end: number,
    readonly offset: number,
    readonly writtenMs: number,
  ) {
    this.kind = bytes[at + RecordAt.kind]!
    this.flags = bytes.readUInt16LE(at + RecordAt.flags)
    this.keyHash = bytes.readInt32LE(at + RecordAt.keyHash)
    this.tokenLength = bytes.readUInt32LE(at + RecordAt.tokenLength)
    this.keyAt = at + RECORD_HEADER_BYTES
    this.valueAt = this.keyAt + bytes.readUInt32LE(at + RecordAt.keyLength)
  }

  get key(): Uint8Array {
    return this.bytes.subarray(this.keyAt, this.valueAt)
  }

  get value(): Uint8Array {
    return this.bytes.subarray(this.valueAt, this.end)
  }
}
