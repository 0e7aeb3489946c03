/**
 * Our own records in a partition, found again by their header. Read up to the end of the leader's log, not only to the
 * high watermark: a batch that waits for replicas is kept all the same, and must not be sent as new.
 */
import { type FoundRecord, SinkDenied, SinkUnavailable } from '../sink.js'
import type { Cluster, Leader } from './cluster.js'
import { UnreadableCodec } from './compression.js'
import type { Crc32c } from './crc32c.js'
import { type Cause } from './error-table.js'
import { causeOf, causeOfThrown, errorOf, isAboutLeadership } from './outcome.js'
import { batchesOf, type BatchView, DamagedBatch, foundRecord, recordsOf } from './record-reader.js'
import { EARLIEST, fetchRecords, LATEST, listOffsets } from './requests.js'

export interface ScanOptions {
  readonly cluster: Cluster
  readonly crc32c: Crc32c
  readonly topic: string
  readonly partition: number
  /** How long to wait for records that the leader has and its replicas do not. */
  readonly waitMs: number
}

const FETCH_BYTES = 1024 * 1024
const FETCH_WAIT_MS = 500

/** Rejects with SinkDenied without the right to read, or when records are in a codec that this process cannot read. */
export async function* scanPartition(
  options: ScanOptions,
  from: bigint | undefined,
): AsyncGenerator<FoundRecord> {
  const { cluster, topic, partition } = options
  try {
    // An old leader would show less than there is.
    cluster.markStale()
    const leader = await cluster.leader(topic, partition)
    const { start, end } = await rangeOf(leader, from)
    for (let next = start; next < end;) {
      const batches = await fetchBatches(options, leader, next)
      for (const batch of batches) {
        if (!batch.isControl) yield* foundIn(batch, next, end)
        if (batch.lastOffset < next)
          throw new DamagedBatch(`the batch at ${batch.baseOffset} ends before it begins`)
        next = batch.lastOffset + 1n
      }
    }
  } catch (error) {
    throw failureOf(cluster, error, `scan of ${topic}-${partition}`)
  }
}

/** The offset behind the newest record that all replicas have. Rejects as `scanPartition` does. */
export async function endOf(cluster: Cluster, topic: string, partition: number): Promise<bigint> {
  try {
    return await offsetAt(await cluster.leader(topic, partition), LATEST, false)
  } catch (error) {
    throw failureOf(cluster, error, `end of ${topic}-${partition}`)
  }
}

/** Retention may have removed where we left off; and behind the end there is nothing that could be ours to rely on. */
async function rangeOf(leader: Leader, from: bigint | undefined): Promise<{ start: bigint; end: bigint }> {
  const earliest = await offsetAt(leader, EARLIEST, false)
  // Asks as an ordinary client first: a broker that has just become leader says so instead of guessing.
  const committed = await offsetAt(leader, LATEST, false)
  const logEnd = await offsetAt(leader, LATEST, true)
  const end = logEnd > committed ? logEnd : committed
  const isInside = from !== undefined && from >= earliest && from <= end
  return { start: isInside ? from : earliest, end }
}

async function offsetAt(leader: Leader, at: bigint, logEnd: boolean): Promise<bigint> {
  const { error, offset } = await leader.connection.send(listOffsets(leader, at, logEnd))
  if (error === 0) return offset
  throw new AnsweredError(error, 'ListOffsets')
}

/** At least one batch. Throws SinkUnavailable when none comes although the log goes on. */
async function fetchBatches(
  options: ScanOptions,
  leader: Leader,
  from: bigint,
): Promise<readonly BatchView[]> {
  // Short waits: other questions to this broker stand behind each of them.
  for (let waitedMs = 0; waitedMs <= options.waitMs; waitedMs += FETCH_WAIT_MS) {
    const request = fetchRecords(leader, from, FETCH_BYTES, FETCH_WAIT_MS)
    const { error, records } = await leader.connection.send(request)
    if (error !== 0) throw new AnsweredError(error, 'Fetch')
    const batches = [...batchesOf(records, options.crc32c)]
    if (batches.length > 0) return batches
  }
  throw new SinkUnavailable(
    causeOf('not_enough_replicas', `records from ${from} on are not replicated, so they cannot be read yet`),
  )
}

/** A fetched batch begins where it was stored, which may be before what was asked for. */
function* foundIn(batch: BatchView, from: bigint, end: bigint): Generator<FoundRecord> {
  for (const record of recordsOf(batch)) {
    if (record.offset < from || record.offset >= end) continue
    const found = foundRecord(record)
    if (found !== undefined) yield found
  }
}

class AnsweredError extends Error {
  constructor(
    readonly code: number,
    readonly api: string,
  ) {
    super(`${api}: error ${code}`)
  }
}

function failureOf(cluster: Cluster, error: unknown, where: string): SinkUnavailable | SinkDenied {
  if (error instanceof SinkUnavailable || error instanceof SinkDenied) return error
  if (error instanceof AnsweredError) {
    if (isAboutLeadership(error.code)) cluster.markStale()
    return errorOf(error.code, `${error.api}, ${where}`)
  }
  if (error instanceof UnreadableCodec) return new SinkDenied(causeOf('unreadable_codec', error.message))
  const cause: Cause | undefined = error instanceof DamagedBatch ? 'corrupt_batch' : undefined
  return new SinkUnavailable(
    cause === undefined ? causeOfThrown(error, where) : causeOf(cause, (error as Error).message),
  )
}
