/**
 * Follows the log into Kafka: every record once, those of a key in order, whatever ends or fails (docs/KAFKA.md).
 *
 * Two loops. The feeder reads the log into lanes, one a partition. Rounds plan the lanes' next batches, save them all
 * with one sync, and only then send them: whatever may have reached a broker is known after a crash.
 */
import { Backoff } from './backoff.js'
import { Board } from './board.js'
import { CURSOR_MS, ShipCursor } from './cursor.js'
import { Feeder } from './feeder.js'
import type { Flight } from './flight.js'
import { FLIGHTS_MAX, type Lane } from './lane.js'
import type { ShipperOptions, ShipperParts } from './parts.js'
import { Planner } from './plan.js'
import { settle } from './settle.js'
import { Signal } from './signal.js'
import { type SinkCause, SinkDenied, SinkUnavailable } from './sink.js'
import { cursorOf, type ShipState } from './state.js'
import { type ShipStatus, statusOf } from './status.js'

const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 10_000
/** Of records out at once over all lanes: what a batch takes beside its records lasts until its reply. */
const OUT_BYTES_MAX = 8 * 2 ** 20
/** Acknowledgements are on disk after this at the latest: what a restart would send again. */
const FLUSH_MS = 500
/** How often topics are looked up: while all is well, and while something is not. */
const LOOK_MS = 30_000
const LOOK_AGAIN_MS = 2000
/** What is out when we stop has this long to be acknowledged. */
const DRAIN_MS = 5000

export class Shipper {
  readonly board: Board
  private readonly changed = new Signal()
  private readonly backoff: Backoff
  private readonly planner: Planner
  private readonly cursor: ShipCursor
  private feeder!: Feeder
  /** Called when the topics have been looked up, or could not be. */
  onLooked: () => void = () => {}
  private stopped = false
  private askStop!: (stop: true) => void
  private readonly stopAsked = new Promise<true>((resolve) => (this.askStop = resolve))
  private failed: unknown
  /** Nothing is planned before: a producer id is missing, or the disk refuses the state. */
  private holdUntilMs = 0
  private savedMs = -Infinity
  private lookAtMs = 0
  private looking = false
  /** Of records that are out. */
  private outBytes = 0
  private turn = 0
  /** Something has changed that is not on disk. */
  private dirty = true
  private saved: ShipState | undefined

  constructor(
    private readonly parts: ShipperParts,
    private readonly options: ShipperOptions,
  ) {
    const { random } = parts
    const backoff = (): Backoff => new Backoff({ msMin: RETRY_MS_MIN, msMax: RETRY_MS_MAX, random })
    this.backoff = backoff()
    this.cursor = new ShipCursor(parts.cursor, parts.say)
    this.board = new Board({ ...parts, backoff }, options)
    this.planner = new Planner(this.board, options)
  }

  /** Until `stop`. Rejects when it cannot go on: the log or its own state cannot be read. */
  async run(): Promise<void> {
    const { position, isNew } = await this.board.load()
    if (isNew) await this.saveFirst()
    await this.firstLook()
    this.feeder = this.makeFeeder(position)
    const feeding = this.feeder.run().catch((error: unknown) => {
      this.failed = error
      this.changed.raise()
    })
    try {
      while (!this.stopped) await this.round()
      await this.drain()
    } finally {
      this.feeder.stopped = true
      this.changed.raise()
      await feeding
      await this.parts.store.close()
    }
  }

  /** Ends `run` once what is out is acknowledged, or some seconds later. */
  stop(): void {
    this.stopped = true
    this.askStop(true)
    this.changed.raise()
  }

  /** What the reader of the log should wait for company, too. */
  get lingerMs(): number {
    return this.planner.lingerMs
  }

  status(): ShipStatus {
    const { clock, source, sink } = this.parts
    const durable = source.durableOffset
    const cursor = this.saved === undefined ? undefined : cursorOf(this.saved)
    return statusOf(this.board, { durable, cursor, nowMs: clock.nowMs(), exactlyOnce: sink.exactlyOnce })
  }

  private get nowMs(): number {
    return this.parts.clock.monoMs()
  }

  private makeFeeder(position: number): Feeder {
    const { board, changed, options } = this
    const feeder = new Feeder(
      {
        source: this.parts.source,
        memory: board.memory,
        changed,
        nowMs: () => this.nowMs,
        topicOf: (record) => board.topicOf(record),
        topics: () => board.topics.values(),
        limit: () => board.nextRoutes?.from ?? Infinity,
        reachable: () => board.reachable,
        memoryBytesMax: options.memoryBytesMax,
      },
      position,
      board.head,
    )
    board.headOf = () => feeder.head
    return feeder
  }

  /** Both before anything is sent: should one of them be lost, the other tells that something may have been. */
  private async saveFirst(): Promise<void> {
    while (!this.stopped && !(await this.save()));
    if (this.saved !== undefined) await this.cursor.set(this.saved)
  }

  /** Nothing can be sent before it is known where to, and whether it still is the cluster that we knew. */
  private async firstLook(): Promise<void> {
    while (!this.stopped) {
      // Whoever wants us to stop does not wait for brokers that do not answer.
      if (await Promise.race([this.look(), this.stopAsked])) break
      await this.changed.wait(this.backoff.next())
    }
    this.backoff.reset()
  }

  /** Looks the topics up. False when the cluster cannot be reached. */
  private async look(): Promise<boolean> {
    const reached = await this.board.look()
    this.dirty = true
    const wellMs = this.board.isWell ? LOOK_MS : LOOK_AGAIN_MS
    this.lookAtMs = this.nowMs + wellMs * (0.75 + this.parts.random() / 2)
    this.changed.raise()
    this.onLooked()
    return reached
  }

  /** Does all there is to do now, then waits until there is more. */
  private async round(): Promise<void> {
    if (this.failed !== undefined) throw this.failed
    const { board } = this
    this.lookAgain()
    if (await board.advance(this.saved)) this.dirty = true
    for (const lane of board.lanes()) this.tend(lane)
    await this.plan()
    const saves = this.mustSave()
    if (saves && !(await this.save())) return
    this.sendAll()
    void this.cursor.follow(this.saved, this.nowMs)
    // A lane may have waited for the save alone.
    if (!saves) await this.changed.wait(this.waitMs())
  }

  private lookAgain(): void {
    const { board, looking, nowMs } = this
    // What does not get on is looked at soon, also when all was well a moment ago.
    if (!board.isWell) this.lookAtMs = Math.min(this.lookAtMs, nowMs + LOOK_AGAIN_MS)
    if (looking || nowMs < this.lookAtMs) return
    this.looking = true
    void this.look().finally(() => (this.looking = false))
  }

  /** What a lane needs beside sending. */
  private tend(lane: Lane): void {
    const { sink } = this.parts
    lane.wake(this.nowMs)
    if (lane.busy || lane.isOut || this.nowMs < lane.retryAtMs) return
    if (lane.phase === 'settling') void this.alone(lane, () => this.settle(lane))
    if (lane.wantsPlace && sink.exactlyOnce) {
      void this.alone(lane, () => this.place(lane))
    }
    const [first] = lane.flights
    const isRead = first !== undefined && (first.isWhole || first.isShort)
    if (lane.phase === 'refusing' && first?.saved === true && isRead)
      void this.alone(lane, () => this.refuse(lane))
  }

  private async alone(lane: Lane, task: () => Promise<void>): Promise<void> {
    lane.busy = true
    try {
      await task()
    } catch (error) {
      this.failed = error
    } finally {
      lane.busy = false
      this.dirty = true
      this.changed.raise()
    }
  }

  /** Notes where the partition ends before our first record comes: no search need begin before that. */
  private async place(lane: Lane): Promise<void> {
    try {
      lane.brokerOffset = await this.parts.sink.end(lane.topic, lane.partition)
      lane.unblock()
    } catch (error) {
      // Without the right to ask, a search has to begin at the oldest record.
      if (error instanceof SinkDenied) lane.brokerOffset = 0n
      else if (error instanceof SinkUnavailable) lane.holdOff(error.cause, this.nowMs)
      else throw error
    }
  }

  private async settle(lane: Lane): Promise<void> {
    const { sink, writerId, source } = this.parts
    const result = await settle(lane, {
      sink,
      writerId,
      sentBefore: source.durableOffset,
      unknownFrom: this.board.unknownFrom(lane),
      onFound: (offset) => this.board.found(lane, offset),
      onDoubt: (cause) => this.board.doubt(lane, cause),
    })
    if ('code' in result) lane.holdOff(result, this.nowMs)
    else this.acknowledged(result)
  }

  /** The state says so already: should we end now, it is looked for in the rejects before it is put there. */
  private async refuse(lane: Lane): Promise<void> {
    const flight = lane.flights[0]!
    const { offset, key, value } = flight.contents[0] ?? {
      offset: flight.first,
      key: NOTHING,
      value: NOTHING,
    }
    const { topic } = lane
    const refusal = flight.refused!
    const again = flight.wasSent || offset < this.board.lostTo
    if (flight.contents.length > 0) {
      try {
        await this.parts.refuse({ offset, topic, key, value, refusal, again })
      } catch (error) {
        lane.holdOff({ code: 'rejects_unavailable', message: (error as Error).message }, this.nowMs)
        return
      }
    }
    lane.dropRefused()
    this.board.refused++
    this.parts.say('error', `Kafka refuses a record for ever; it is in the rejects: ${refusal.message}`, {
      topic,
      offset,
    })
    this.parts.onAcknowledged([offset])
  }

  private async plan(): Promise<void> {
    const { planner, nowMs } = this
    if (this.stopped || nowMs < this.holdUntilMs || !planner.hasReady(nowMs)) return
    if (await this.haveProducer()) planner.plan(nowMs)
  }

  private async haveProducer(): Promise<boolean> {
    if (this.board.producer !== undefined) return true
    try {
      await this.board.takeProducer()
      this.board.cause = undefined
      this.backoff.reset()
      return true
    } catch (error) {
      if (!(error instanceof SinkUnavailable)) throw error
      this.hold(error.cause)
      return false
    }
  }

  private hold(cause: SinkCause): void {
    this.board.cause = cause
    this.holdUntilMs = this.nowMs + this.backoff.next()
  }

  private mustSave(): boolean {
    if (this.nowMs < this.holdUntilMs) return false
    if (this.board.hasUnsaved()) return true
    return this.dirty && this.nowMs - this.savedMs >= FLUSH_MS
  }

  /** False when it is not on disk: then nothing of it may be sent. */
  private async save(): Promise<boolean> {
    const state = this.board.state()
    this.dirty = false
    try {
      await this.parts.store.save(state)
    } catch (error) {
      this.dirty = true
      const message = `the shipping state cannot be written: ${(error as Error).message}`
      if (this.board.cause?.code !== 'state_unwritable') this.parts.say('error', message)
      this.hold({ code: 'state_unwritable', message })
      await this.changed.wait(this.holdUntilMs - this.nowMs)
      return false
    }
    if (this.board.cause?.code === 'state_unwritable') this.board.cause = undefined
    this.saved = state
    this.savedMs = this.nowMs
    // Those that were replaced while the disk was busy are others, and not on it.
    for (const topic of state.topics) {
      for (const lane of topic.lanes) for (const flight of lane.flights) (flight as Flight).saved = true
    }
    return true
  }

  /** Begins with another lane each time: the first would leave nothing to the last. */
  private sendAll(): void {
    const lanes = [...this.board.lanes()]
    const first = this.turn++ % Math.max(1, lanes.length)
    for (const lane of [...lanes.slice(first), ...lanes.slice(0, first)]) this.send(lane)
  }

  private send(lane: Lane): void {
    const { sink } = this.parts
    const outMax = sink.exactlyOnce ? FLIGHTS_MAX : 1
    while (this.outBytes < OUT_BYTES_MAX) {
      const flight = lane.nextToSend(this.nowMs, outMax)
      if (flight === undefined) return
      lane.sent(flight)
      this.outBytes += flight.bytes
      void this.publish(lane, flight, flight.bytes)
    }
  }

  private async publish(lane: Lane, flight: Flight, bytes: number): Promise<void> {
    const { sink, clock } = this.parts
    try {
      const batch = flight.batch(lane.topic, lane.partition, lane.producer!)
      const outcome = await sink.publish(batch)
      if (outcome.kind === 'delivered') this.board.delivered(flight, clock.nowMs())
      else this.board.failed++
      this.acknowledged(lane.replied(flight, outcome, this.nowMs))
    } catch (error) {
      this.failed = error
    }
    this.outBytes -= bytes
    this.dirty = true
    this.changed.raise()
  }

  private acknowledged(flights: readonly Flight[]): void {
    if (flights.length === 0) return
    this.parts.onAcknowledged(flights.flatMap(({ offsets }) => offsets))
  }

  /** How long nothing will happen by itself. */
  private waitMs(): number {
    const { nowMs } = this
    let atMs = Math.min(this.looking ? Infinity : this.lookAtMs, nowMs + CURSOR_MS)
    if (this.holdUntilMs > nowMs) atMs = Math.min(atMs, this.holdUntilMs)
    else if (this.dirty) atMs = Math.min(atMs, this.savedMs + FLUSH_MS)
    for (const lane of this.board.lanes()) {
      if (lane.retryAtMs > nowMs) atMs = Math.min(atMs, lane.retryAtMs)
      const due = this.planner.dueMs(lane)
      if (due > nowMs) atMs = Math.min(atMs, due)
    }
    return Math.max(1, Math.ceil(atMs - nowMs))
  }

  private async drain(): Promise<void> {
    const untilMs = this.nowMs + DRAIN_MS
    const isOut = (): boolean => [...this.board.lanes()].some((lane) => lane.isOut)
    while (isOut() && this.nowMs < untilMs) await this.changed.wait(untilMs - this.nowMs)
    if (await this.save()) await this.cursor.set(this.saved!)
  }
}

const NOTHING = new Uint8Array(0)
