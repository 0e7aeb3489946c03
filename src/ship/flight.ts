/** A batch from the moment it is planned until it is acknowledged. Its boundaries never change: a split makes new ones. */
import type { ShipRecord } from './arena.js'
import type { Outcome, ProducerIdentity } from './sink.js'
import type { FlightState, Refusal } from './state.js'

/** Sequence numbers wrap behind 2^31 - 1. */
const SEQUENCES = 2 ** 31

export const sequenceAfter = (sequence: number, records: number): number => (sequence + records) % SEQUENCES

export class Flight implements FlightState {
  /** All of them once it can be sent; fewer after a restart, until they have been read again. */
  contents: ShipRecord[] = []
  /** The state on disk says that it may be under way. */
  saved = false
  /** Sent, and no reply yet. */
  isOut = false
  wasSent = false
  /** A reply was lost: it may have arrived. */
  uncertain = false
  /** To the last time that it was sent. */
  reply: Outcome | undefined
  /** Acknowledged, or found at the broker. */
  done = false
  /** Where, if that is known. */
  brokerOffset: bigint | undefined
  /** Not all of its records can be read again: the rest is lost to damage or retention. */
  isShort = false
  /** Offsets of its records that a search has found. */
  found = new Set<number>()
  /** What it adds to the memory in use. */
  bytes = 0

  private constructor(
    readonly first: number,
    readonly last: number,
    readonly records: number,
    readonly firstSequence: number,
    readonly possibleDuplicate: boolean,
    readonly refused: Refusal | undefined,
  ) {}

  static of(contents: ShipRecord[], firstSequence: number, possibleDuplicate: boolean): Flight {
    const [first, last] = [contents[0]!.offset, contents.at(-1)!.offset]
    const flight = new Flight(first, last, contents.length, firstSequence, possibleDuplicate, undefined)
    flight.fill(contents)
    return flight
  }

  /** From the state on disk: its records have to be read again. */
  static from({ first, last, records, firstSequence, possibleDuplicate, refused }: FlightState): Flight {
    const flight = new Flight(first, last, records, firstSequence, possibleDuplicate, refused)
    flight.saved = true
    flight.wasSent = true
    flight.uncertain = true
    return flight
  }

  get isWhole(): boolean {
    return this.contents.length === this.records
  }

  /** Of its records, as far as it is known: those that it has, or those that were found. */
  get offsets(): readonly number[] {
    return this.contents.length > 0 ? this.contents.map(({ offset }) => offset) : [...this.found]
  }

  /** The same batch with something else about it, which is not on disk yet. */
  with(changes: Partial<Pick<FlightState, 'firstSequence' | 'possibleDuplicate' | 'refused'>>): Flight {
    const { first, last, records, firstSequence, possibleDuplicate, refused } = { ...this, ...changes }
    const flight = new Flight(first, last, records, firstSequence, possibleDuplicate, refused)
    flight.fill(this.contents)
    flight.isShort = this.isShort
    return flight
  }

  /** With the boundaries of what could be read again; undefined when nothing could. */
  asRead(): Flight | undefined {
    if (!this.isShort) return this
    return this.contents.length === 0
      ? undefined
      : Flight.of(this.contents, this.firstSequence, this.possibleDuplicate)
  }

  add(record: ShipRecord): number {
    this.contents.push(record)
    const bytes = recordBytes(record)
    this.bytes += bytes
    return bytes
  }

  /** Forgets the records; they can be read again. Answers the bytes that are free by it. */
  empty(): number {
    const { bytes } = this
    this.contents = []
    this.bytes = 0
    return bytes
  }

  /** Two halves with the same sequence numbers: what is behind them keeps its own. */
  split(): [Flight, Flight] {
    const { contents, firstSequence, possibleDuplicate } = this
    const half = Math.ceil(contents.length / 2)
    const second = sequenceAfter(firstSequence, half)
    return [
      Flight.of(contents.slice(0, half), firstSequence, possibleDuplicate),
      Flight.of(contents.slice(half), second, possibleDuplicate),
    ]
  }

  batch(topic: string, partition: number, producer: ProducerIdentity) {
    const { firstSequence, contents: records, possibleDuplicate } = this
    return { topic, partition, producer, firstSequence, records, possibleDuplicate }
  }

  private fill(contents: ShipRecord[]): void {
    this.contents = contents
    for (const record of contents) this.bytes += recordBytes(record)
  }
}

/** Beside key and value: the object, and what is made of it while it is sent. */
const RECORD_OVERHEAD_BYTES = 256

/** The memory that a record takes here. */
export const recordBytes = ({ length }: ShipRecord): number => length + RECORD_OVERHEAD_BYTES

/** About what a record adds to a batch: length, attributes, headers. */
const FRAMING_BYTES = 96

/** What a record adds to a batch before compression, at most. */
export const wireBytes = ({ length }: ShipRecord): number => length + FRAMING_BYTES
