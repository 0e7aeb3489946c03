/** The records of one partition: those that are here, in batches or not, and those that have to be read again. */
import type { LogRecord } from '../log/types.js'
import type { ShipRecord } from './arena.js'
import type { Flight } from './flight.js'
import { Queue } from './queue.js'

/** Bytes of all records that are in memory. */
export interface Memory {
  used: number
}

export class LaneRecords {
  flights: Flight[] = []
  /** Everything that is sent from now on, or may have arrived, stands from here on. */
  brokerOffset: bigint | undefined
  /** Every record of this lane below this offset has been given to it. */
  taken: number
  /** Records have been passed by that it has to be given later. */
  behind = false
  /** When reading last went back for it. */
  readBackMs = -Infinity
  /** How many of them, beside those of `flights`. */
  missed = 0
  /** Behind the last of them. */
  missedTo = 0
  /** There may be records of ours from this offset on at the broker that no flight tells of: the state was lost. */
  unknownFrom: number | undefined
  /** Somebody is settling it, or taking its first record to the rejects. */
  busy = false
  /** Where that search began in the partition; undefined: at its oldest record. */
  searchedAt: bigint | undefined
  /** Its partition has been searched for them; those of the topic's others may still have to be. */
  searched = false
  /** Bytes of records here. */
  bytes = 0
  protected readonly queue = new Queue()
  private releasedMs: number | undefined
  /** Flights have to be read again. */
  protected refilling = false

  /** @param from the first record that it may have to take */
  constructor(
    from: number,
    private readonly memory: Memory,
  ) {
    this.taken = from
  }

  /** Records below `head` have been read, though not for this lane. */
  beBehind(head: number): void {
    this.missedTo = head
    this.behind = this.taken < head
  }

  get isIdle(): boolean {
    return this.oldest === undefined
  }

  get hasUnsaved(): boolean {
    return this.flights.some((flight) => !flight.saved)
  }

  /** Whether all that may be under way has been read again. */
  get isWhole(): boolean {
    return !this.refilling
  }

  /** Records that are not done with; at least one as long as there may be some. */
  get pending(): number {
    const flying = this.flights.reduce((sum, flight) => sum + (flight.done ? 0 : flight.records), 0)
    // How many there are is not known where the state did not tell; that there may be some is.
    const behind = Math.max(this.missed, this.taken < this.missedTo || this.unknownFrom !== undefined ? 1 : 0)
    return flying + this.queue.length + behind
  }

  /** When the oldest record that is not done with was written; undefined when there is none. */
  get oldestMs(): number | undefined {
    if (this.isIdle) return undefined
    return this.flights[0]?.contents[0]?.writtenMs ?? this.queue.oldest?.writtenMs ?? this.releasedMs
  }

  /** The first offset that is not done with. */
  get oldest(): number | undefined {
    const first = this.flights[0]?.first ?? this.queue.oldest?.offset
    return first ?? (this.taken < this.missedTo ? this.taken : undefined)
  }

  get queuedSinceMs(): number | undefined {
    return this.queue.queuedSinceMs
  }

  /** Takes a record, which is copied. Those that it has had already are left out. */
  offer(record: LogRecord, nowMs: number): void {
    const { offset } = record
    if (offset < this.taken) return
    if (this.unknownFrom !== undefined && !this.flights.some(({ last }) => offset <= last)) {
      return this.miss(record)
    }
    this.taken = offset + 1
    const copy = this.queue.copy(record)
    if (offset <= (this.flights.at(-1)?.last ?? -1)) return this.refill(copy)
    if (offset < this.missedTo && this.missed > 0) this.missed--
    this.use(this.queue.push(copy, nowMs))
  }

  /** A record is left out, since it is there already: a batch is all that the lane has from its first to its last record. */
  leaveOut({ offset }: LogRecord): void {
    if (offset < this.taken || this.behind) return
    this.taken = offset + 1
    this.queue.cut(offset)
  }

  /** Reading goes back for it, to `taken`. */
  readBack(nowMs: number): void {
    this.behind = false
    this.readBackMs = nowMs
  }

  /** Passes a record by, to be given it later. */
  miss({ offset, writtenMs }: LogRecord): void {
    if (offset < this.taken) return
    if (!this.behind) {
      this.behind = true
      this.taken = offset
      this.releasedMs ??= writtenMs
    }
    if (offset < this.missedTo) return
    this.missed++
    this.missedTo = offset + 1
  }

  /**
   * Lets go of records to be read again later, all or all but its first batch, by which it can try on its own.
   * Answers whether any memory is free by it.
   */
  release(keepsFirst: boolean): boolean {
    if (this.busy || this.flights.some(({ isOut }) => isOut)) return false
    const [first, ...others] = this.flights
    const dropped = first === undefined || (keepsFirst && first.isWhole) ? others : this.flights
    if (this.queue.length === 0 && dropped.every((flight) => flight.contents.length === 0)) return false
    const before = this.bytes
    this.releasedMs = this.oldestMs
    const from = dropped[0]?.first ?? this.queue.oldest!.offset
    this.missed += this.queue.length
    this.missedTo = Math.max(this.missedTo, this.taken)
    this.use(-this.queue.clear())
    for (const flight of dropped) this.use(-flight.empty())
    Object.assign(this, { taken: from, behind: true })
    this.refilling = dropped.some(({ isWhole, done }) => !isWhole && !done)
    return this.bytes < before
  }

  /** Forgets all its batches, to be given their records once more; answers what they were. */
  startOver(): readonly Flight[] {
    const { flights } = this
    this.use(-this.queue.clear())
    for (const flight of flights) this.use(-flight.empty())
    this.missedTo = Math.max(this.missedTo, this.taken)
    Object.assign(this, { flights: [], taken: flights[0]!.first, behind: true, refilling: false })
    return flights
  }

  /** Lets go of everything, for good. */
  drop(): void {
    this.use(-this.bytes)
    this.queue.clear()
    Object.assign(this, { flights: [], behind: false, refilling: false })
  }

  /** The oldest batches, as far as they have arrived, go; answers them. */
  takeDone(): Flight[] {
    let count = 0
    while (this.flights[count]?.done === true) count++
    const done = this.flights.splice(0, count)
    for (const { bytes, last, brokerOffset = -1n } of done) {
      this.use(-bytes)
      // Only now: what stands before a batch that was acknowledged may still have to be searched for.
      if (brokerOffset > (this.brokerOffset ?? -1n)) this.brokerOffset = brokerOffset
      // It may not have been read again yet, and need not be.
      this.taken = Math.max(this.taken, last + 1)
    }
    this.refilling = this.flights.some(({ isWhole, done: isDone }) => !isWhole && !isDone)
    return done
  }

  protected use(bytes: number): void {
    this.bytes += bytes
    this.memory.used += bytes
  }

  /** For a batch that is being read again. What stands between batches was found at the broker when they were made. */
  private refill(record: ShipRecord): void {
    const flight = this.flights.find(({ first, last }) => first <= record.offset && record.offset <= last)
    if (flight === undefined || flight.isWhole || flight.done) return
    this.use(flight.add(record))
    this.refilling = this.flights.some(({ isWhole, done }) => !isWhole && !done)
  }
}
