/**
 * One partition: what waits for it, what is under way to it, and what follows from each reply. No waiting and no I/O in
 * here; the shipper asks what there is to do, does it, and tells what came of it.
 *
 * At most five batches are out at once, because the broker knows the newest five again. More than one only while the
 * broker has just shown that it knows our producer id: an id that it has forgotten would let a batch in whose
 * predecessor was lost.
 */
import type { Backoff } from './backoff.js'
import { Flight, sequenceAfter } from './flight.js'
import { LaneRecords, type Memory } from './lane-records.js'
import type { BatchLimits } from './queue.js'
import type { Outcome, ProducerIdentity, SinkCause } from './sink.js'
import type { LaneState } from './state.js'

/** What the broker recognises when it is sent again. */
export const FLIGHTS_MAX = 5
/** An acknowledgement older than this does not show that the broker still knows us. */
const PROVEN_MS = 1000

/**
 * `open`: sends. `waiting`: until `retryAtMs`. `settling`: has to find out what arrived, by asking whether the broker
 * knows our id or by searching the partition. `refusing`: its first record goes to the rejects.
 */
export type Phase = 'open' | 'waiting' | 'settling' | 'refusing'

export class Lane extends LaneRecords {
  producer: ProducerIdentity | undefined
  nextSequence = 0
  phase: Phase = 'open'
  settleBy: 'asking' | 'searching' = 'asking'
  retryAtMs = 0
  /** Why it does not get on; undefined when it does. */
  cause: SinkCause | undefined
  /** Since when it does not get on. */
  blockedSinceMs: number | undefined
  /** Records below may be at the broker already, and whether they are could not be found out. */
  doubtfulTo = 0

  private out = 0
  private provenMs = -Infinity
  /** A reply was not good: nothing is sent until all replies are here. */
  private troubled = false

  constructor(
    readonly topic: string,
    readonly partition: number,
    from: number,
    private readonly backoff: Backoff,
    memory: Memory,
  ) {
    super(from, memory)
  }

  /** As it was when the state was saved; what may be under way has to be settled first. */
  restore(state: LaneState, head: number): void {
    const { producer, nextSequence, brokerOffset, flights, unknown, doubtfulTo } = state
    Object.assign(this, { producer, nextSequence, brokerOffset, doubtfulTo, missedTo: head })
    this.flights = flights.map((flight) => Flight.from(flight))
    this.refilling = this.flights.length > 0
    if (this.flights[0]?.refused !== undefined) this.phase = 'refusing'
    else if (this.flights.length > 0) this.settle('asking')
    if (unknown) this.beUnknown()
  }

  /** What was sent is not known: the partition has to be searched before anything else is. */
  beUnknown(doubtfulTo = 0): void {
    this.doubtfulTo = Math.max(this.doubtfulTo, doubtfulTo)
    this.unknownFrom ??= this.oldest ?? this.taken
    this.searchedAt = this.brokerOffset
    this.searched = false
    if (this.phase !== 'refusing') this.settle('searching')
  }

  get isOut(): boolean {
    return this.out > 0
  }

  state(): LaneState {
    const { partition, producer, nextSequence, brokerOffset, flights, oldest, unknownFrom, doubtfulTo } = this
    const from = unknownFrom ?? oldest
    const unknown = unknownFrom !== undefined
    return {
      partition,
      producer,
      nextSequence,
      brokerOffset,
      from,
      flights: [...flights],
      unknown,
      doubtfulTo,
    }
  }

  /** As `state`, but to be searched again, from where the last search began: what has been sent since stands behind. */
  unknownState(head: number): LaneState {
    const { from = head, ...state } = this.state()
    return { ...state, from, unknown: true, brokerOffset: this.searchedAt }
  }

  /** Whether reading back for it would let it get on. */
  get wantsReading(): boolean {
    if (!this.behind || this.queue.length > 0) return false
    if (this.phase === 'waiting' || this.phase === 'settling') return false
    if (this.unknownFrom !== undefined && !this.refilling) return false
    return this.blockedSinceMs === undefined || this.flights[0]?.isWhole !== true
  }

  /** Reading has come to `position` for it; what of its batches is still not there is lost (retention, damage). */
  readTo(position: number): void {
    if (!this.behind && position >= this.missedTo) Object.assign(this, { missed: 0, missedTo: 0 })
    if (!this.refilling) return
    const end = this.behind ? Math.min(position, this.taken) : position
    const short = this.flights.filter(({ isWhole, done, last }) => !isWhole && !done && last < end)
    if (short.length === 0) return
    for (const flight of short) flight.isShort = true
    this.refilling = this.flights.some(({ isWhole, done, isShort }) => !isWhole && !done && !isShort)
    // What is left of it is another batch, for which it has to be known whether the first one arrived.
    if (this.phase !== 'refusing' && !this.busy) this.settle('searching')
  }

  /** Whether its place in the partition should be noted before it sends for the first time. */
  get wantsPlace(): boolean {
    const isFirst = this.brokerOffset === undefined && this.flights.length === 0
    return isFirst && this.phase === 'open' && this.queue.length > 0 && this.unknownFrom === undefined
  }

  /** Whether a batch can be planned: one that is full, or any when `always`. */
  canPlan(limits: BatchLimits, always: boolean): boolean {
    if (this.phase !== 'open' || this.blockedSinceMs !== undefined || this.refilling || this.busy)
      return false
    if (this.queue.length === 0 || this.flights.length >= FLIGHTS_MAX) return false
    return always || this.queue.fills(limits)
  }

  /** Moves the oldest queued records into a batch; answers how many. */
  plan(limits: BatchLimits, nowMs: number): number {
    const contents = this.queue.take(limits, nowMs)
    const flight = Flight.of(contents, this.nextSequence, contents[0]!.offset < this.doubtfulTo)
    this.nextSequence = sequenceAfter(this.nextSequence, flight.records)
    this.flights.push(flight)
    return flight.records
  }

  /** The next batch to send now. */
  nextToSend(nowMs: number, outMax: number): Flight | undefined {
    if (this.phase !== 'open' || this.troubled) return undefined
    const max = nowMs - this.provenMs < PROVEN_MS ? outMax : 1
    if (this.out >= max) return undefined
    const next = this.flights.find((flight) => !flight.isOut && !flight.done)
    return next !== undefined && next.saved && next.isWhole && next.reply === undefined ? next : undefined
  }

  sent(flight: Flight): void {
    flight.isOut = true
    flight.wasSent = true
    this.out++
  }

  /** Answers the batches that are done with by this, in order. */
  replied(flight: Flight, reply: Outcome, nowMs: number): Flight[] {
    this.out--
    flight.isOut = false
    flight.reply = reply
    if (reply.kind === 'delivered') this.delivered(flight, reply.baseOffset, nowMs)
    else this.troubled = true
    if (reply.kind === 'retry') flight.uncertain = true
    // Refused, so that it did not arrive, unless it did when it was sent before.
    else if (reply.kind !== 'delivered' && !flight.uncertain) flight.wasSent = false
    const done = this.takeDone()
    if (this.out === 0 && this.troubled) this.review(nowMs)
    return done
  }

  /** It is not known what has arrived. */
  settle(by: 'asking' | 'searching'): void {
    this.phase = 'settling'
    this.settleBy = by
    this.provenMs = -Infinity
    this.retryAtMs = 0
    for (const flight of this.flights) flight.reply = undefined
  }

  /** The topic was made anew: offsets in it mean nothing any more. */
  forgetBroker(): void {
    this.brokerOffset = undefined
    this.searchedAt = undefined
    if (this.flights.length > 0 && this.phase !== 'refusing') this.settle('searching')
  }

  /** It is another cluster: it does not know our id, or knows somebody else by it. */
  forgetCluster(): void {
    this.producer = undefined
    this.nextSequence = 0
    this.forgetBroker()
  }

  /** The broker knows our id, so that it will know again what it has. */
  resume(): void {
    this.phase = 'open'
    if (this.flights.length === 0) this.unblock()
    // Should it refuse the sequence all the same, only a search can tell.
    this.settleBy = 'searching'
  }

  /** Waits before it does anything again; stays in its phase. */
  holdOff(cause: SinkCause, nowMs: number): void {
    this.cause = cause
    this.blockedSinceMs ??= nowMs
    this.retryAtMs = nowMs + this.backoff.next()
    if (this.phase === 'open') this.phase = 'waiting'
  }

  /** Its waiting times begin anew, too: a partition may need a moment longer than its broker. */
  retryNow(): void {
    this.retryAtMs = 0
    this.backoff.reset()
  }

  /** The waiting time may be over. */
  wake(nowMs: number): void {
    if (this.phase === 'waiting' && nowMs >= this.retryAtMs) this.phase = 'open'
  }

  /** It gets on. */
  unblock(): void {
    this.cause = undefined
    this.blockedSinceMs = undefined
    this.backoff.reset()
  }

  /** Replaces what is not done with, under a new identity whose sequence begins at 0, or from `sequence` on. */
  restamp(producer: ProducerIdentity | undefined, flights: readonly Flight[], sequence = 0): void {
    let next = sequence
    this.flights = flights.map((flight) => {
      // Found behind something that was not: it only waits until reading has passed it.
      if (flight.done) return flight
      const stamped = flight.with({ firstSequence: next })
      next = sequenceAfter(next, flight.records)
      return stamped
    })
    this.producer = producer
    this.nextSequence = next
  }

  /** Removes its first batch, a single record that is in the rejects now; the sequence closes up behind it. */
  dropRefused(): void {
    const [refused, ...others] = this.flights
    const ambiguous = others.some((flight) => flight.wasSent)
    this.use(-refused!.bytes)
    this.restamp(this.producer, others, refused!.firstSequence)
    this.unblock()
    const isUnknown = this.unknownFrom !== undefined && !this.searched
    if (ambiguous || isUnknown || this.producer === undefined) this.settle('searching')
    else this.phase = 'open'
  }

  private delivered(flight: Flight, baseOffset: bigint | undefined, nowMs: number): void {
    flight.done = true
    flight.brokerOffset = baseOffset
    this.provenMs = nowMs
    this.settleBy = 'asking'
    this.unblock()
  }

  /** All replies are here, and one was not good: decides by the oldest batch that is not done with. */
  private review(nowMs: number): void {
    this.troubled = false
    if (this.phase !== 'open') return
    const [first] = this.flights
    const reply = first?.reply
    if (first === undefined || reply === undefined || reply.kind === 'delivered') {
      this.sendAgain()
      return
    }
    this.cause = reply.cause
    if (reply.kind === 'retry') this.waitAndSendAgain(reply.cause, nowMs)
    else if (reply.kind === 'unsettled') this.settleAgain(reply.cause, nowMs)
    else this.isolate(first, reply.cause, nowMs)
  }

  /** By the time that it can be sent again the broker may have forgotten us, so that it is asked first. */
  private waitAndSendAgain(cause: SinkCause, nowMs: number): void {
    this.settle('asking')
    this.holdOff(cause, nowMs)
  }

  /** The broker expects another sequence than ours. */
  private settleAgain(cause: SinkCause, nowMs: number): void {
    this.settle(this.settleBy)
    this.holdOff(cause, nowMs)
  }

  /** Nothing of it will ever be taken as it is: it is divided until the guilty record stands alone. */
  private isolate(first: Flight, { code, message }: SinkCause, nowMs: number): void {
    this.blockedSinceMs ??= nowMs
    // It may have arrived when it was sent before, whole: neither its halves nor its record must count as refused then.
    if (first.uncertain) return this.settle('searching')
    if (first.records > 1) {
      this.flights.splice(0, 1, ...first.split())
      this.sendAgain()
      return
    }
    this.flights[0] = first.with({ refused: { code, message } })
    this.phase = 'refusing'
  }

  private sendAgain(): void {
    this.provenMs = -Infinity
    for (const flight of this.flights) flight.reply = undefined
  }
}
