/**
 * What has arrived of the batches that were under way? Asked after a restart, and whenever the broker expects another
 * sequence than ours.
 *
 * A broker that still knows our id takes a batch that it has for what it is, so that everything is simply sent again.
 * One that has forgotten the id would take all for new: then the partition itself is searched for our records, and what
 * is missing goes out under another epoch, which also keeps out whatever of the old one may still be on its way.
 */
import type { Flight } from './flight.js'
import type { Lane } from './lane.js'
import type { ShipperParts } from './parts.js'
import { type ProducerIdentity, type SinkCause, SinkDenied, SinkUnavailable } from './sink.js'

export interface SettleParts extends Pick<ShipperParts, 'sink' | 'writerId'> {
  /** Everything below may have been sent by an earlier life of ours. */
  readonly sentBefore: number
  /** Where the state was lost: a record from here on may have been sent to this partition. */
  readonly unknownFrom: number
  /** A record that no batch of ours tells of, because the state was lost, is there. */
  readonly onFound: (logOffset: number) => void
  /** It cannot be found out what arrived: for the operator. */
  readonly onDoubt: (cause: SinkCause) => void
}

/** A producer's epoch is an int16. */
const EPOCH_MAX = 32_767

/**
 * Settles a lane that has no batch out; they need not have been read again yet. Answers what arrived, in order; or the cause if it
 * could not find out and has to try again later.
 */
export async function settle(lane: Lane, parts: SettleParts): Promise<readonly Flight[] | SinkCause> {
  try {
    return await settleNow(lane, parts)
  } catch (error) {
    if (error instanceof SinkUnavailable) return error.cause
    throw error
  }
}

async function settleNow(lane: Lane, parts: SettleParts): Promise<readonly Flight[] | SinkCause> {
  const { sink } = parts
  if (!sink.exactlyOnce) {
    resend(lane, lane.producer, parts.sentBefore)
    return []
  }
  const { producer } = lane
  if (lane.settleBy === 'searching' || lane.unknownFrom !== undefined || producer === undefined) {
    return search(lane, parts)
  }
  const state = await sink.producerState(lane.topic, lane.partition, producer)
  if (state.kind === 'retry') return state.cause
  if (state.kind === 'denied') {
    parts.onDoubt(state.cause)
    resend(lane, producer, parts.sentBefore)
    return []
  }
  // An epoch of ours that has not arrived at all yet begins at 0, and the broker will take it after the older one.
  const isNew = state.kind === 'alive' && state.epoch < producer.epoch && lane.flights[0]?.firstSequence === 0
  if (state.kind === 'unknown' || (state.epoch !== producer.epoch && !isNew)) return search(lane, parts)
  lane.resume()
  return []
}

async function search(lane: Lane, parts: SettleParts): Promise<readonly Flight[]> {
  const denied = await markFound(lane, parts)
  if (denied !== undefined) parts.onDoubt(denied)
  const producer = await nextProducer(lane, parts)
  const isDivided = lane.flights.some(({ found, records }) => found.size > 0 && found.size < records)
  const arrived = isDivided ? startOver(lane, parts) : lane.takeDone()
  if (denied === undefined) lane.restamp(producer, readable(lane))
  else resend(lane, producer, parts.sentBefore, 0)
  lane.searched = true
  lane.resume()
  lane.settleBy = 'asking'
  return arrived
}

/**
 * A part of a batch is there: it was divided, and the state that told so is lost. All is read again, and what is there
 * is left out.
 */
function startOver(lane: Lane, { onFound }: SettleParts): readonly Flight[] {
  const flights = lane.startOver()
  for (const { found } of flights) for (const offset of found) onFound(offset)
  return flights.filter(({ found }) => found.size > 0)
}

/** Marks what the partition has. Answers why it may not be read. */
async function markFound(
  lane: Lane,
  { sink, writerId, unknownFrom, onFound }: SettleParts,
): Promise<SinkCause | undefined> {
  const { topic, partition, brokerOffset, flights } = lane
  for (const flight of flights) flight.found.clear()
  try {
    for await (const found of sink.scan(topic, partition, brokerOffset)) {
      const { logOffset } = found
      if (found.writerId !== writerId) continue
      const flight = flights.find(({ first, last }) => first <= logOffset && logOffset <= last)
      if (flight === undefined) {
        if (lane.unknownFrom !== undefined && logOffset >= unknownFrom) onFound(logOffset)
        continue
      }
      if (flight.found.size === 0) flight.brokerOffset = found.brokerOffset
      flight.found.add(logOffset)
    }
  } catch (error) {
    if (error instanceof SinkDenied) return error.cause
    throw error
  }
  for (const flight of flights) flight.done ||= flight.found.size === flight.records
  return undefined
}

/** All batches, as far as the log still has them; those that arrived only to be read over. */
function readable(lane: Lane): Flight[] {
  return lane.flights.map((flight) => flight.asRead()).filter((flight) => flight !== undefined)
}

async function nextProducer(
  { producer, unknownFrom }: Lane,
  { sink }: SettleParts,
): Promise<ProducerIdentity> {
  // The next epoch may be in use where the state was lost: another batch would be taken for what was sent under it.
  const isKnown = producer !== undefined && unknownFrom === undefined
  if (!isKnown || producer.epoch >= EPOCH_MAX) return sink.producerIdentity()
  return { id: producer.id, epoch: producer.epoch + 1 }
}

/** Everything again, marked as possible duplicates, and so is what an earlier life of ours may have sent. */
function resend(
  lane: Lane,
  producer: ProducerIdentity | undefined,
  sentBefore: number,
  sequence = lane.flights[0]?.firstSequence ?? lane.nextSequence,
): void {
  const flights = readable(lane).map((flight) => flight.with({ possibleDuplicate: true }))
  lane.restamp(producer, flights, sequence)
  if (lane.unknownFrom !== undefined) lane.doubtfulTo = sentBefore
  lane.searched = true
  lane.resume()
}
