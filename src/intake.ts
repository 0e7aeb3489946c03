/**
 * What happens to a request, on one screen: room in the log's open batch → decode into it → commit → receipt.
 *
 * Requests wait, first in, first out, for the end of the event loop's turn and for room in the log; their memory is in
 * the budget already (src/http takes it). Those of a turn are decoded one after the other, since the decoder is much
 * faster while the processor's caches hold its code and not that of HTTP, and those of a batch are answered together.
 */
import type { Clock } from './clock.js'
import {
  type ContentClass,
  type DecodedBatch,
  type Decoder,
  Outcome,
  Param,
  type Peer,
  type Problem,
  type RequestContext,
  Row,
  Status,
} from './decode/decoder.js'
import type { Ledger, LedgerEntry } from './ledger.js'
import type { Log } from './log/types.js'
import { type Endpoint, FLAGS, type Flag } from './record.js'
import type { PreparedRejects, Rejects } from './rejects.js'
import type { RequestId, RequestIds } from './request-id.js'

/** A request once its body is here, inflated, and its sender admitted. */
export interface IngestRequest {
  readonly endpoint: Endpoint
  readonly content: ContentClass
  readonly body: Uint8Array
  /** Raw, latin1, without `?`. */
  readonly query: string
  readonly peer: Peer
  /** /import: the token that the credential stands for; '' for none. */
  readonly authToken: string
  readonly projectId: string | null
  /** Rejected records that are tried again: when they first came. */
  readonly replayedFromMs?: number
}

/** All that a reply needs. */
export interface Receipt {
  readonly requestId: RequestId
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly ignored: number
  /** Bits of Param. */
  readonly params: number
  /** Problems in the order of the records, as many as the reply shows (verbose, strict); the one of an undecodable payload. */
  readonly problems: readonly Problem[]
  /** The payload could not be taken apart: its one problem is not one of a record. */
  readonly undecodable: boolean
  /** Flags of any accepted record, when verbose=2 asks what was repaired. */
  readonly flags: readonly Flag[]
}

/** Who hands a request in: told once, and not before `submit` has returned, what became of it. Must not throw. */
export interface ReceiptSink {
  /**
   * The body has been decoded, and is not looked at again by intake.
   *
   * @param params bits of Param
   */
  decoded?(params: number): void
  issued(receipt: Receipt): void
  /** LogUnavailable: nothing is kept (rule R1). NotAcknowledged: it is, and Kafka takes too long. Else a fault of ours. */
  failed(error: unknown): void
}

/** `--ack kafka`: what an answer waits for beside the log. */
export interface Delivery {
  /** Resolves when Kafka has acknowledged the records; rejects with NotAcknowledged when it takes too long. */
  of(firstOffset: number, records: number): Promise<void>
}

export interface IntakeParts {
  readonly decoder: Decoder
  readonly log: Log
  readonly rejects: Rejects
  readonly ledger: Ledger
  readonly clock: Clock
  readonly requestIds: RequestIds
  readonly delivery?: Delivery
}

interface Waiting {
  readonly request: IngestRequest
  readonly context: RequestContext
  readonly sink: ReceiptSink
  /** What its records need, once it was found that the room did not do: until then it is not decoded again. */
  bytesNeeded: number
}

/** A request that is decoded: all that its receipt needs, once its records are kept. */
interface Decoded {
  readonly receipt: Receipt
  readonly entry: LedgerEntry
  readonly rejected: PreparedRejects | undefined
  readonly sink: ReceiptSink
}

/** Requests with records in the same batch of the log. */
interface Companions {
  readonly committed: Promise<unknown>
  readonly requests: Decoded[]
}

/** After so many bytes decoded in one go others have their turn. */
const TURN_BYTES = 1024 * 1024
/** So many bytes wait for the end of the turn at most: they are to be decoded while the processor's caches hold them. */
const WAITING_BYTES_MAX = 128 * 1024

export class Intake {
  private readonly queue: Waiting[] = []
  /** Of the bodies in it. */
  private queuedBytes = 0
  /** Whoever is told something may hand in the next request: it waits until those before it are through. */
  private isAdmitting = false
  /** Decoded since the event loop last turned. */
  private turnBytes = 0
  private turnEnd: NodeJS.Immediate | undefined = undefined
  private companions: Companions | undefined = undefined

  constructor(private readonly parts: IntakeParts) {
    parts.log.onRoom = () => this.admit()
  }

  /** Requests that wait for room, or for the end of the turn. */
  get waiting(): number {
    return this.queue.length
  }

  /**
   * Decodes a request at the end of this turn of the event loop, and issues its receipt once its good records are on
   * stable storage, or acknowledged by Kafka (promise P1).
   */
  submit(request: IngestRequest, sink: ReceiptSink): void {
    if (this.queuedBytes >= WAITING_BYTES_MAX) this.admit()
    this.enqueue(request, sink)
    this.admitSoon()
  }

  /** The same for one request alone, decoded at once. Rejects with what `failed` would be told. */
  take(request: IngestRequest): Promise<Receipt> {
    return new Promise((issued, failed) => {
      this.enqueue(request, { issued, failed })
      this.admit()
    })
  }

  /** A receipt for a body that fails before it can be decoded (invalid gzip); it is kept as one rejected record. */
  refuse(request: IngestRequest, problem: Problem, params: number): Receipt {
    const { rejects, ledger } = this.parts
    const context = this.contextOf(request)
    rejects.keep(rejects.prepareOne(request, context, problem))
    ledger.enterRefused(request.endpoint)
    const { requestId } = context
    return { ...REFUSED, requestId, params, problems: [problem] }
  }

  private enqueue(request: IngestRequest, sink: ReceiptSink): void {
    this.queue.push({ request, context: this.contextOf(request), sink, bytesNeeded: 0 })
    this.queuedBytes += request.body.length
  }

  private admitSoon(): void {
    this.turnEnd ??= setImmediate(() => this.endTurn())
  }

  private endTurn(): void {
    this.turnBytes = 0
    try {
      this.admit()
    } finally {
      const isOver = this.turnBytes >= TURN_BYTES
      this.turnBytes = 0
      this.turnEnd = undefined
      if (isOver && this.queue.length > 0) this.admitSoon()
    }
  }

  private admit(): void {
    if (this.isAdmitting) return
    this.isAdmitting = true
    const { queue } = this
    let admitted = 0
    let bytes = 0
    try {
      while (admitted < queue.length && this.turnBytes + bytes < TURN_BYTES) {
        const next = queue[admitted]!
        // Afterwards it may be gone.
        const { length } = next.request.body
        // Counted first: whatever is thrown, it is not tried again.
        admitted++
        bytes += length
        if (this.attempt(next)) continue
        admitted--
        bytes -= length
        break
      }
    } finally {
      queue.splice(0, admitted)
      this.queuedBytes -= bytes
      this.turnBytes += bytes
      this.isAdmitting = false
    }
    // For what is left, and because the next turn has a count of its own.
    if (admitted > 0) this.admitSoon()
  }

  /** false: there is no room now. */
  private attempt(waiting: Waiting): boolean {
    const { request, context, sink } = waiting
    const { log, decoder } = this.parts
    try {
      for (;;) {
        const room = log.open(waiting.bytesNeeded)
        if (room === undefined) return false
        const batch = decoder.decode(request, context, room)
        if (batch.status === Status.ok) {
          this.commit(batch, waiting, room.records)
          return true
        }
        waiting.bytesNeeded = batch.bytesNeeded
      }
    } catch (error) {
      sink.failed(error)
      return true
    }
  }

  /**
   * All that is needed later is taken from `batch` now: it is the decoder's own and changes with the next request.
   *
   * @param place of its first record in the log's batch
   */
  private commit(batch: DecodedBatch, { request, context, sink }: Waiting, place: number): void {
    const { rejects, ledger } = this.parts
    const receipt = receiptOf(batch, context.requestId)
    const entry = ledger.entryOf(batch)
    const rejected = keepsRejects(batch, request)
      ? rejects.prepare(batch, request, context, receipt.problems)
      : undefined
    const decoded = { receipt, entry, rejected, sink }
    sink.decoded?.(batch.params)
    if (batch.accepted > 0) this.keep(batch, decoded, request, place)
    else this.issue(decoded)
  }

  /** What is replayed does not wait for Kafka: to be told that it failed would have it replayed again. */
  private keep(
    { end, accepted }: DecodedBatch,
    decoded: Decoded,
    { replayedFromMs }: IngestRequest,
    place: number,
  ): void {
    const { log, delivery } = this.parts
    const committed = log.commit(end, accepted)
    if (delivery === undefined || replayedFromMs !== undefined) return this.join(committed, decoded)
    committed
      .then(({ firstOffset }) => delivery.of(firstOffset + place, accepted))
      .then(
        () => this.issue(decoded),
        (error: unknown) => this.lose(decoded, error),
      )
  }

  private join(committed: Promise<unknown>, decoded: Decoded): void {
    if (this.companions?.committed !== committed) this.companions = this.gather(committed)
    this.companions.requests.push(decoded)
  }

  /** One promise tells all. */
  private gather(committed: Promise<unknown>): Companions {
    const companions: Companions = { committed, requests: [] }
    const settle = (each: (decoded: Decoded) => void): void => {
      if (this.companions === companions) this.companions = undefined
      companions.requests.forEach(each)
    }
    committed.then(
      () => settle((decoded) => this.issue(decoded)),
      (error: unknown) => settle((decoded) => this.lose(decoded, error)),
    )
    return companions
  }

  private issue({ receipt, entry, rejected, sink }: Decoded): void {
    try {
      if (rejected !== undefined) this.parts.rejects.keep(rejected)
      this.parts.ledger.enter(entry)
      sink.issued(receipt)
    } catch (error) {
      sink.failed(error)
    }
  }

  private lose({ receipt, sink }: Decoded, error: unknown): void {
    this.parts.ledger.unavailable += receipt.received
    sink.failed(error)
  }

  private contextOf(request: IngestRequest): RequestContext {
    const { peer, authToken, projectId, replayedFromMs } = request
    const nowMs = this.parts.clock.nowMs()
    return {
      receivedMs: replayedFromMs ?? nowMs,
      requestId: this.parts.requestIds.next(nowMs),
      peer,
      authToken,
      projectId,
      replayed: replayedFromMs !== undefined,
    }
  }
}

/** What is replayed and refused as a whole again is not kept a second time: the log of rejects has it already. */
function keepsRejects(batch: DecodedBatch, { replayedFromMs }: IngestRequest): boolean {
  return batch.rejected > 0 && (replayedFromMs === undefined || batch.accepted + batch.ignored > 0)
}

/** Of a detailed reply (docs/PROTOCOL.md 4.4); the log of rejects has them all. */
export const PROBLEMS_SHOWN_MAX = 100

/** How many problems the reply shows: a strict report names every record. */
function problemsShown(params: number): number {
  if ((params & Param.strict) !== 0) return Infinity
  return (params & Param.verbose2) !== 0 ? PROBLEMS_SHOWN_MAX : (params & Param.verbose1) !== 0 ? 1 : 0
}

const NONE: readonly never[] = []
const REFUSED = { received: 1, accepted: 0, rejected: 1, ignored: 0, undecodable: true, flags: NONE }

function receiptOf(batch: DecodedBatch, requestId: RequestId): Receipt {
  const { received, accepted, rejected, ignored, params, undecodable } = batch
  const problems = rejected === 0 ? NONE : problemsOf(batch, undecodable ? 1 : problemsShown(params))
  const flags = (params & Param.verbose2) !== 0 ? flagsOf(batch) : NONE
  return { requestId, received, accepted, rejected, ignored, params, problems, undecodable, flags }
}

function problemsOf(batch: DecodedBatch, countMax: number): readonly Problem[] {
  const problems: Problem[] = []
  for (let index = batch.firstRejected; index < batch.rows && problems.length < countMax; index++) {
    if (batch.row(index, Row.outcome) === Outcome.rejected) problems.push(batch.problem(index)!)
  }
  return problems
}

function flagsOf(batch: DecodedBatch): readonly Flag[] {
  let bits = 0
  for (let index = 0; index < batch.rows; index++) bits |= batch.row(index, Row.flags)
  return FLAGS.filter((_, bit) => (bits & (1 << bit)) !== 0)
}
