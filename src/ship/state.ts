/**
 * What the shipper knows of each partition, and must know again after a crash: how far it is acknowledged, and exactly
 * which batches may be under way. On disk before a batch is sent, so that it is sent again with the same boundaries and
 * sequence numbers, by which the broker knows it.
 */
import { SluicegateError } from '../errors.js'
import type { ProducerIdentity } from './sink.js'

export interface ShipState {
  /** Of the log that the offsets belong to. */
  readonly writerId: string
  /** '' before the cluster was first reached. */
  readonly clusterId: string
  /** The newest id; a lane that sends for the first time takes it. */
  readonly producer: ProducerIdentity | undefined
  /** Every record below is done with, or belongs to a lane or topic below that says otherwise. */
  readonly head: number
  /** The state was lost once: records below may be in the rejects already, though no flight tells of it. */
  readonly lostTo: number
  /** Id of the route table in force (route.ts). */
  readonly routes: string
  /** The next table, which holds from this offset on, once everything below is done with. */
  readonly nextRoutes: { readonly id: string; readonly from: number } | undefined
  readonly topics: readonly TopicState[]
}

export interface TopicState {
  readonly name: string
  /** Kafka's id; '' for a topic that was never seen. */
  readonly id: string
  /** The number of partitions in force; 0 for a topic that was never seen. */
  readonly partitions: number
  /** The next number, for records from this offset on, once everything below is done with. */
  readonly next: { readonly partitions: number; readonly from: number } | undefined
  /** Of a topic that was never seen: its first record that waits. */
  readonly waitingFrom: number | undefined
  /** Of a topic that was never seen: what of it is at the broker is not known. */
  readonly unknown: boolean
  /** Records below may be in another topic already: the state was lost, and routes were once others. */
  readonly doubtfulTo: number
  /** Partitions without one have nothing below `head`. */
  readonly lanes: readonly LaneState[]
}

/** One partition. */
export interface LaneState {
  readonly partition: number
  /** undefined before the first batch. */
  readonly producer: ProducerIdentity | undefined
  readonly nextSequence: number
  /** Of the last acknowledged batch: where a search for what arrived begins. */
  readonly brokerOffset: bigint | undefined
  /** Every record of this lane below is done with; undefined: as `head`. */
  readonly from: number | undefined
  /** Oldest first. */
  readonly flights: readonly FlightState[]
  /** From `from` on there may be records of ours at the broker that no flight tells of. */
  readonly unknown: boolean
  /** Records below may be at the broker already, which could not be found out. */
  readonly doubtfulTo: number
}

/** A batch that may be under way: all records of the lane from `first` to `last`. */
export interface FlightState {
  readonly first: number
  readonly last: number
  readonly records: number
  readonly firstSequence: number
  readonly possibleDuplicate: boolean
  /** Kafka will never take it: it goes to the rejects and then out of here. */
  readonly refused: Refusal | undefined
}

export interface Refusal {
  readonly code: string
  readonly message: string
}

const VERSION = 1

/** JSON, an array a lane and batch to keep it short. */
export function encodeState(state: ShipState): string {
  const { producer, nextRoutes, topics, writerId, clusterId, head, lostTo, routes } = state
  return JSON.stringify({
    v: VERSION,
    writer_id: writerId,
    cluster_id: clusterId,
    producer: producerOut(producer),
    head,
    lost_to: lostTo,
    routes,
    next_routes: nextRoutes ?? null,
    topics: topics.map(({ name, id, partitions, next, waitingFrom, unknown, doubtfulTo, lanes }) => {
      const from = waitingFrom ?? null
      return {
        name,
        id,
        partitions,
        next: next ?? null,
        waiting_from: from,
        unknown,
        doubtful_to: doubtfulTo,
        lanes: lanes.map(laneOut),
      }
    }),
  })
}

type ProducerOut = readonly [id: string, epoch: number] | null
type FlightOut = readonly [
  first: number,
  last: number,
  records: number,
  firstSequence: number,
  possibleDuplicate: 0 | 1,
  refused: Refusal | null,
]
type LaneOut = readonly [
  partition: number,
  producer: ProducerOut,
  nextSequence: number,
  brokerOffset: string | null,
  from: number | null,
  flights: readonly FlightOut[],
  unknown: 0 | 1,
  doubtfulTo: number,
]

const producerOut = (producer: ProducerIdentity | undefined): ProducerOut =>
  producer === undefined ? null : [String(producer.id), producer.epoch]

function laneOut(lane: LaneState): LaneOut {
  const { partition, nextSequence, brokerOffset, from, flights, unknown, doubtfulTo } = lane
  const producer = producerOut(lane.producer)
  const broker = brokerOffset === undefined ? null : String(brokerOffset)
  const out = flights.map(flightOut)
  return [partition, producer, nextSequence, broker, from ?? null, out, unknown ? 1 : 0, doubtfulTo]
}

function flightOut({
  first,
  last,
  records,
  firstSequence,
  possibleDuplicate,
  refused,
}: FlightState): FlightOut {
  return [first, last, records, firstSequence, possibleDuplicate ? 1 : 0, refused ?? null]
}

interface StateOut {
  readonly v: number
  readonly writer_id: string
  readonly cluster_id: string
  readonly producer: ProducerOut
  readonly head: number
  readonly lost_to: number
  readonly routes: string
  readonly next_routes: ShipState['nextRoutes'] | null
  readonly topics: readonly {
    readonly name: string
    readonly id: string
    readonly partitions: number
    readonly next: TopicState['next'] | null
    readonly waiting_from: number | null
    readonly unknown: boolean
    readonly doubtful_to: number
    readonly lanes: readonly LaneOut[]
  }[]
}

/**
 * The state that `encodeState` wrote; the text's checksum was right, so that it is what we wrote.
 *
 * @throws SluicegateError `ship_state_newer` for that of a newer version
 */
export function decodeState(text: string): ShipState {
  const out = JSON.parse(text) as StateOut
  if (out.v !== VERSION) {
    throw new SluicegateError(
      'ship_state_newer',
      `the shipping state was written by a newer version (${out.v})`,
    )
  }
  return {
    writerId: out.writer_id,
    clusterId: out.cluster_id,
    producer: producerIn(out.producer),
    head: out.head,
    lostTo: out.lost_to,
    routes: out.routes,
    nextRoutes: out.next_routes ?? undefined,
    topics: out.topics.map(
      ({ next, waiting_from: waitingFrom, doubtful_to: doubtfulTo, lanes, ...topic }) => {
        return {
          ...topic,
          next: next ?? undefined,
          waitingFrom: waitingFrom ?? undefined,
          doubtfulTo,
          lanes: lanes.map(laneIn),
        }
      },
    ),
  }
}

const producerIn = (producer: ProducerOut): ProducerIdentity | undefined =>
  producer === null ? undefined : { id: BigInt(producer[0]), epoch: producer[1] }

function laneIn(out: LaneOut): LaneState {
  const [partition, producer, nextSequence, broker, from, flights, unknown, doubtfulTo] = out
  const brokerOffset = broker === null ? undefined : BigInt(broker)
  return {
    partition,
    producer: producerIn(producer),
    nextSequence,
    brokerOffset,
    from: from ?? undefined,
    flights: flights.map(flightIn),
    unknown: unknown === 1,
    doubtfulTo,
  }
}

function flightIn([first, last, records, firstSequence, duplicate, refused]: FlightOut): FlightState {
  const possibleDuplicate = duplicate === 1
  return { first, last, records, firstSequence, possibleDuplicate, refused: refused ?? undefined }
}

/** The offset below which nothing is needed any more: the cursor that retention obeys (docs/LOG_FORMAT.md 6). */
export function cursorOf({ head, nextRoutes, topics }: ShipState): number {
  let cursor = nextRoutes === undefined ? head : Math.min(head, nextRoutes.from)
  for (const topic of topics) {
    cursor = Math.min(cursor, topic.waitingFrom ?? cursor)
    for (const lane of topic.lanes) cursor = Math.min(cursor, lane.from ?? cursor)
  }
  return cursor
}
