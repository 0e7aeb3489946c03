/** The records of one lane that are not in a batch yet, oldest first. */
import type { LogRecord } from '../log/types.js'
import { Arena, type ShipRecord } from './arena.js'
import { recordBytes, wireBytes } from './flight.js'

export interface BatchLimits {
  readonly recordsMax: number
  /** Of a batch before compression. */
  readonly bytesMax: number
}

export class Queue {
  private records: ShipRecord[] = []
  private wireBytes = 0
  private sinceMs = 0
  private arena = new Arena()
  /** Offsets between its records that belong to none of its batches, in order; none stands before the oldest record. */
  private cuts: number[] = []

  get length(): number {
    return this.records.length
  }

  get oldest(): ShipRecord | undefined {
    return this.records[0]
  }

  /** When the oldest came, or the last batch was taken; undefined when it is empty. */
  get queuedSinceMs(): number | undefined {
    return this.records.length === 0 ? undefined : this.sinceMs
  }

  /** A copy that stays when the reader goes on. */
  copy(record: LogRecord): ShipRecord {
    return this.arena.copy(record)
  }

  /** Answers the memory that it takes. */
  push(record: ShipRecord, nowMs: number): number {
    if (this.records.length === 0) this.sinceMs = nowMs
    this.records.push(record)
    this.wireBytes += wireBytes(record)
    return recordBytes(record)
  }

  /** No batch may reach over `offset`, which is not given to it. */
  cut(offset: number): void {
    const last = this.records.at(-1)?.offset
    if (last !== undefined && last > (this.cuts.at(-1) ?? -1)) this.cuts.push(offset)
  }

  fills({ recordsMax, bytesMax }: BatchLimits): boolean {
    return this.records.length >= recordsMax || this.wireBytes >= bytesMax || this.cuts.length > 0
  }

  /** The oldest records, one at least, that fit into a batch. */
  take({ recordsMax, bytesMax }: BatchLimits, nowMs: number): ShipRecord[] {
    let [count, bytes] = [0, 0]
    const [end = Infinity] = this.cuts
    while (count < Math.min(recordsMax, this.records.length)) {
      const record = this.records[count]!
      const more = wireBytes(record)
      if (count > 0 && (bytes + more > bytesMax || record.offset > end)) break
      bytes += more
      count++
    }
    this.wireBytes -= bytes
    this.sinceMs = nowMs
    const taken = this.records.splice(0, count)
    // Its end goes with the last of a run.
    if ((this.oldest?.offset ?? Infinity) > end) this.cuts.shift()
    return taken
  }

  /** Forgets all; answers the memory that is free by it. */
  clear(): number {
    const bytes = this.records.reduce((sum, record) => sum + recordBytes(record), 0)
    this.records = []
    this.cuts = []
    this.wireBytes = 0
    this.arena = new Arena()
    return bytes
  }
}
