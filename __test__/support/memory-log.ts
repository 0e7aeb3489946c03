/** A log in memory whose batches leave when the test says so: for what stands above the log. */
import { LogUnavailable } from '../../src/errors.js'
import type { CommittedBatch, Log, LogState, LogStatus, OpenBatch } from '../../src/log/types.js'
import { KINDS, RECORD_HEADER_BYTES } from '../../src/record.js'
import { sharedBytes } from '../../src/shared-bytes.js'

export interface MemoryRecord {
  readonly kind: string
  readonly key: string
  readonly tokenLength: number
  readonly value: Record<string, unknown>
}

interface Waiting {
  readonly resolve: (batch: CommittedBatch) => void
  readonly reject: (error: Error) => void
}

export class MemoryLog implements Log {
  state: LogState = 'writable'
  onRoom: () => void = () => {}
  nextOffset = 0
  durableOffset = 0
  /** Records of the batches that left, in order. */
  readonly durable: MemoryRecord[] = []
  /** Calls of `commit`. */
  commits = 0

  private batch: Uint8Array<SharedArrayBuffer>
  private position = 0
  private waiting: Waiting[] = []

  constructor(private readonly batchBytesMax = 1 << 20) {
    this.batch = sharedBytes(batchBytesMax)
  }

  open(bytes: number): OpenBatch | undefined {
    if (this.state !== 'writable') throw new LogUnavailable(this.state, `the log is ${this.state}`)
    if (bytes > this.batchBytesMax) throw new RangeError('more than a batch holds')
    const { batch, position, batchBytesMax: end } = this
    const records = this.nextOffset - this.durableOffset
    return end - position < bytes ? undefined : { bytes: batch, position, end, records }
  }

  commit(end: number, records: number): Promise<CommittedBatch> {
    if (end <= this.position || end > this.batchBytesMax) throw new RangeError(`commit up to ${end}`)
    this.commits++
    this.position = end
    this.nextOffset += records
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  /** The batch is on stable storage; a fresh one is open. */
  sync(): void {
    const records = recordsIn(this.batch.subarray(0, this.position))
    const firstOffset = this.durableOffset
    this.durable.push(...records)
    this.durableOffset += records.length
    for (const { resolve } of this.next()) resolve({ firstOffset })
    this.onRoom()
  }

  /** The batch is lost and the log in this state. */
  fail(state: Exclude<LogState, 'writable'> = 'failed'): void {
    this.state = state
    this.nextOffset = this.durableOffset
    for (const { reject } of this.next()) reject(new LogUnavailable(state, 'the disk refuses'))
    this.onRoom()
  }

  status(): LogStatus {
    throw new Error('nobody above the log asks for it')
  }

  close(): Promise<void> {
    this.state = 'closed'
    return Promise.resolve()
  }

  /** The old batch is overwritten, so that whoever still reads it reads nonsense. */
  private next(): Waiting[] {
    this.batch.fill(0xff)
    this.batch = sharedBytes(this.batchBytesMax)
    this.position = 0
    return this.waiting.splice(0)
  }
}

function recordsIn(bytes: Uint8Array): MemoryRecord[] {
  const all = Buffer.from(bytes)
  const records: MemoryRecord[] = []
  for (let start = 0; start < all.length; start += all.readUInt32LE(start)) {
    const record = all.subarray(start, start + all.readUInt32LE(start))
    const value = RECORD_HEADER_BYTES + record.readUInt32LE(16)
    records.push({
      kind: KINDS[record[4]!]!,
      key: record.toString('utf8', RECORD_HEADER_BYTES, value),
      tokenLength: record.readUInt32LE(12),
      value: JSON.parse(record.toString('utf8', value)) as Record<string, unknown>,
    })
  }
  return records
}
