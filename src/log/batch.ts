/** One batch of records on its way to the disk: the memory they are written into, and what its requests wait for. */
import type { Clock } from '../clock.js'
import { FRAME_HEADER_BYTES } from './format.js'
import type { CommittedBatch, OpenBatch } from './types.js'

export class Batch implements OpenBatch {
  readonly bytes: Uint8Array
  position = FRAME_HEADER_BYTES
  records = 0
  /** When the oldest of its records came, by the monotonic clock. */
  sinceMs = Infinity
  /** Its requests were told that it is not kept, while it was on its way to the disk. */
  refused = false

  private promise: Promise<CommittedBatch> | undefined
  private resolve!: (committed: CommittedBatch) => void
  private reject!: (error: Error) => void

  /** @param bytesMax of records; memory that is never written to costs nothing */
  constructor(bytesMax: number) {
    this.bytes = new Uint8Array(FRAME_HEADER_BYTES + bytesMax)
  }

  get end(): number {
    return this.bytes.length
  }

  /** Header and records. */
  get frame(): Uint8Array {
    return this.bytes.subarray(0, this.position)
  }

  /** Takes over records written up to `end`; one promise serves all requests of the batch. */
  add(end: number, records: number, clock: Clock): Promise<CommittedBatch> {
    this.position = end
    this.records += records
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

  private clear(): void {
    this.position = FRAME_HEADER_BYTES
    this.records = 0
    this.sinceMs = Infinity
    this.refused = false
    this.promise = undefined
  }
}
