/** One batch of records on its way to the disk: the memory they are written into, and what its requests wait for. */
import { crc32 as zlibCrc32 } from 'node:zlib'
import type { Clock } from '../clock.js'
import { LogUnavailable } from '../errors.js'
import type { Crc32 } from './crc32.js'
import { blockEnd, FRAME_HEADER_BYTES } from './format.js'
import { memoryOfBlocks } from './block-memory.js'
import type { CommittedBatch, OpenBatch } from './types.js'

/** So many bytes of records are summed up at once: while they are in the processor's caches, where a batch has no room. */
const SUM_BYTES = 32 * 1024

export class Batch implements OpenBatch {
  readonly bytes: Uint8Array<SharedArrayBuffer>
  readonly end: number
  position = FRAME_HEADER_BYTES
  records = 0
  /** When the oldest of its records came, by the monotonic clock. */
  sinceMs = Infinity
  /** Its requests were told that it is not kept, while it was on its way to the disk. */
  refused = false

  /** CRC-32 of the records that end at `summedEnd`. */
  private sum = 0
  private summedEnd = FRAME_HEADER_BYTES
  private promise: Promise<CommittedBatch> | undefined
  private resolve!: (committed: CommittedBatch) => void
  private reject!: (error: Error) => void

  /** @param bytesMax of records; memory that is never written to costs nothing */
  constructor(
    bytesMax: number,
    private readonly crc32: Crc32 = zlibCrc32,
  ) {
    this.end = FRAME_HEADER_BYTES + bytesMax
    this.bytes = memoryOfBlocks(this.end)
  }

  /** Header and records. */
  get frame(): Uint8Array {
    return this.bytes.subarray(0, this.position)
  }

  /** The frame, with zeroes behind it up to the end of a block. */
  asBlocks(): Uint8Array {
    const end = blockEnd(this.position)
    this.bytes.fill(0, this.position, end)
    return this.bytes.subarray(0, end)
  }

  /** CRC-32 of the records. */
  get checksum(): number {
    this.sumUp()
    return this.sum
  }

  /** Takes over records written up to `end`; one promise serves all requests of the batch. */
  add(end: number, records: number, clock: Clock): Promise<CommittedBatch> {
    this.position = end
    this.records += records
    if (end - this.summedEnd >= SUM_BYTES) this.sumUp()
    if (this.promise !== undefined) return this.promise
    this.sinceMs = clock.monoMs()
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    return this.promise
  }

  succeed(committed: CommittedBatch): void {
    this.resolve(committed)
    this.clear()
  }

  fail(error: Error): void {
    if (!this.refused) this.reject(error)
    this.clear()
  }

  /** Tells its requests, and nothing else: a write that is under way may still read its memory. */
  refuse(error: Error): void {
    if (this.promise === undefined || this.refused) return
    this.refused = true
    this.records = 0
    this.sinceMs = Infinity
    this.reject(error)
  }

  /** Throws when its requests were refused meanwhile: what has been written does not count. */
  mustBeWanted(): void {
    if (this.refused) throw new LogUnavailable('failed', 'the disk answered after its requests were refused')
  }

  private sumUp(): void {
    this.sum = this.crc32(this.bytes.subarray(this.summedEnd, this.position), this.sum)
    this.summedEnd = this.position
  }

  private clear(): void {
    this.sum = 0
    this.summedEnd = FRAME_HEADER_BYTES
    this.position = FRAME_HEADER_BYTES
    this.records = 0
    this.sinceMs = Infinity
    this.refused = false
    this.promise = undefined
  }
}
