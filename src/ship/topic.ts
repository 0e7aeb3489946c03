/**
 * One topic: its partitions, and what becomes of its records while it is missing or its number of partitions changes.
 *
 * A new number holds from one noted offset of the log on. Records from there on wait until everything before is done
 * with: a key may now belong to another partition, and must not overtake itself (promise P6).
 */
import type { LogRecord } from '../log/types.js'
import { Lane } from './lane.js'
import { OffsetSet } from './offset-set.js'
import { partitionOf } from './route.js'
import type { SinkCause, TopicView } from './sink.js'
import type { TopicState } from './state.js'

export type MakeLane = (topic: string, partition: number, from: number) => Lane

export class Topic {
  id = ''
  partitions = 0
  next: TopicState['next']
  lanes: Lane[] = []
  /** Why it cannot be used now. */
  cause: SinkCause | undefined
  /** max.message.bytes, if it is known. */
  messageBytesMax: number | undefined
  /** First record that came before the topic was ever seen. */
  waitingFrom: number | undefined
  /** What of it is at the broker is not known: the state was lost. */
  unknown = false
  /** Records below may be in another topic already, where none of its lanes looks for them. */
  doubtfulTo = 0
  /** All below was done with under former partitions or routes: when it is read again for others, no lane is given it. */
  doneTo = 0
  /** Records that came before the topic was ever seen and have not been read again. */
  waiting = 0
  /** Records that a search has found, of which no state told. */
  private arrived: OffsetSet | undefined
  /** Behind the last of them. */
  private arrivedTo = 0
  private waitingTo = 0
  private waitingMs = 0

  constructor(
    readonly name: string,
    private readonly makeLane: MakeLane,
  ) {}

  restore({ lanes, ...state }: TopicState, head: number): void {
    const { partitions, next } = Object.assign(this, state)
    this.addLanes(Math.max(partitions, next?.partitions ?? 0), head)
    for (const lane of lanes) {
      const made = this.makeLane(this.name, lane.partition, lane.from ?? head)
      made.restore(lane, head)
      this.lanes[lane.partition] = made
    }
  }

  /** What of its records that are not done with is at the broker is not known. */
  beUnknown(doubtfulTo = 0): void {
    this.doubtfulTo = Math.max(this.doubtfulTo, doubtfulTo)
    for (const lane of this.lanes) lane.beUnknown(doubtfulTo)
    this.unknown = this.partitions === 0
  }

  /**
   * What a search has found is not part of it: as long as a lane may be given some of that again, all of them are stated
   * as unknown, to be searched once more after a crash.
   *
   * @param head a lane that has nothing below it is stated so
   */
  state(head: number): TopicState {
    const { name, id, partitions, next, waitingFrom, unknown, doubtfulTo, arrivedTo } = this
    const plain = this.lanes.map((lane) => lane.state())
    const isFound = plain.some(({ from }) => (from ?? head) < arrivedTo)
    const lanes = (isFound ? this.lanes.map((lane) => lane.unknownState(head)) : plain).filter(
      (lane) => lane.producer !== undefined || lane.from !== undefined || lane.doubtfulTo > doubtfulTo,
    )
    return { name, id, partitions, next, waitingFrom, unknown, doubtfulTo, lanes }
  }

  /** The lane that takes the record now; undefined when it has to wait: it is then noted. */
  laneFor(record: LogRecord): Lane | undefined {
    const { offset, keyHash } = record
    if (offset < this.doneTo) return undefined
    if (this.partitions === 0) {
      this.noteWaiting(record)
      return undefined
    }
    if (this.next !== undefined && offset >= this.next.from) {
      this.lanes[partitionOf(keyHash, this.next.partitions)]!.miss(record)
      return undefined
    }
    if (offset < this.waitingTo && this.waiting > 0) this.waiting--
    const lane = this.lanes[partitionOf(keyHash, this.partitions)]!
    if (this.arrived?.has(offset) !== true) return lane
    lane.leaveOut(record)
    return undefined
  }

  /** Whether the lane's next record waits for a change of the number of partitions. */
  isHeld({ taken }: Lane): boolean {
    return this.next !== undefined && taken >= this.next.from
  }

  get oldestMs(): number | undefined {
    return this.waiting > 0 ? this.waitingMs : undefined
  }

  /**
   * What the cluster says of it now. Answers what happened, for the operator's log, or undefined.
   *
   * @param head every record below has been read once
   */
  learn({ id, partitions, messageBytesMax }: TopicView, head: number): string | undefined {
    this.cause = undefined
    this.messageBytesMax = messageBytesMax
    if (this.partitions === 0) return this.appear(id, partitions, head)
    if (id !== this.id) return this.recreated(id, partitions, head)
    const known = this.next?.partitions ?? this.partitions
    // A second change while the first is under way is seen again when that is over.
    if (partitions <= known || this.next !== undefined) return undefined
    this.next = { partitions, from: head }
    // The state that was lost may have known of them.
    const isUnknown = this.unknownFrom < Infinity
    this.addLanes(partitions, head)
    if (isUnknown) for (const lane of this.lanes.slice(known)) lane.beUnknown()
    return `${this.name} has ${partitions} partitions now (${known} before), which count from offset ${head} on`
  }

  /** The first offset that may still be given to a lane whose state was lost. */
  get unknownFrom(): number {
    return Math.min(...this.lanes.map(({ unknownFrom = Infinity }) => unknownFrom))
  }

  noteArrived(offset: number): void {
    this.arrived ??= new OffsetSet()
    this.arrived.add(offset)
    this.arrivedTo = Math.max(this.arrivedTo, offset + 1)
  }

  /** Lanes of which nothing was known go on once all have been searched: a record may be in any of them. */
  finishSearch(): boolean {
    const unknown = this.lanes.filter(({ unknownFrom }) => unknownFrom !== undefined)
    if (unknown.length === 0 || unknown.some(({ searched }) => !searched)) return false
    for (const lane of unknown) lane.unknownFrom = undefined
    return true
  }

  /** The change of partitions is over once everything before is done with. */
  finishChange(): boolean {
    const { next } = this
    if (next === undefined) return false
    if (this.lanes.some(({ oldest, unknownFrom }) => (unknownFrom ?? oldest ?? next.from) < next.from))
      return false
    // Lanes that are being read back have not seen all their old records yet.
    if (this.lanes.some(({ behind, taken }) => behind && taken < next.from)) return false
    this.doneTo = next.from
    this.partitions = next.partitions
    this.next = undefined
    return true
  }

  private appear(id: string, partitions: number, head: number): string | undefined {
    const from = this.waitingFrom ?? head
    Object.assign(this, { id, partitions, waitingFrom: undefined })
    this.addLanes(partitions, from)
    for (const lane of this.lanes) {
      lane.beBehind(head)
      if (this.unknown) lane.beUnknown()
    }
    this.unknown = false
    return from < head
      ? `${this.name} is there now; records from offset ${from} on are sent to it`
      : undefined
  }

  /** Deleted and created again: what was in it is gone, what is under way may have arrived in either. */
  private recreated(id: string, partitions: number, head: number): string {
    this.id = id
    Object.assign(this, { arrived: undefined, arrivedTo: 0 })
    const message = `${this.name} was deleted and created again`
    if (partitions === this.partitions && this.next === undefined) {
      for (const lane of this.lanes) lane.forgetBroker()
      return `${message}; what was in it is gone, sending goes on`
    }
    const from = Math.min(head, ...this.lanes.map((lane) => lane.state().from ?? head))
    for (const lane of this.lanes) lane.drop()
    Object.assign(this, { partitions, next: undefined, lanes: [] })
    this.addLanes(partitions, from)
    for (const lane of this.lanes) {
      lane.beBehind(head)
      if (from < head) lane.beUnknown()
    }
    return `${message} with ${partitions} partitions; sending goes on at offset ${from}`
  }

  private addLanes(partitions: number, from: number): void {
    for (let partition = this.lanes.length; partition < partitions; partition++) {
      const lane = this.makeLane(this.name, partition, from)
      lane.doubtfulTo = this.doubtfulTo
      this.lanes.push(lane)
    }
  }

  private noteWaiting({ offset, writtenMs }: LogRecord): void {
    if (this.waitingFrom === undefined) {
      this.waitingFrom = offset
      this.waitingMs = writtenMs
    }
    if (offset < this.waitingTo) return
    this.waiting++
    this.waitingTo = offset + 1
  }
}
