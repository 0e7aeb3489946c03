/**
 * What happens to a request, on one screen: room in the log's open batch → decode into it → commit → receipt.
 *
 * Requests that find no room wait, first in, first out; their memory is in the budget already (src/http takes it).
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
import type { Ledger } from './ledger.js'
import type { Log } from './log/types.js'
import { type Endpoint, FLAGS, type Flag } from './record.js'
import type { Rejects } from './rejects.js'
import type { RequestIds } from './request-id.js'

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
  readonly requestId: string
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

interface Parked {
  readonly request: IngestRequest
  readonly context: RequestContext
  readonly resolve: (receipt: Receipt | Promise<Receipt>) => void
  readonly reject: (error: unknown) => void
}

export class Intake {
  private readonly parked: Parked[] = []

  constructor(private readonly parts: IntakeParts) {
    parts.log.onRoom = () => this.admitParked()
  }

  /** Requests that wait for room. */
  get waiting(): number {
    return this.parked.length
  }

  /**
   * Decodes a request and resolves once its good records are on stable storage, or acknowledged by Kafka (promise P1).
   * Rejects with LogUnavailable when they cannot be kept: then none of them is (rule R1); with NotAcknowledged when
   * they are kept and Kafka takes too long.
   */
  take(request: IngestRequest): Promise<Receipt> {
    const context = this.contextOf(request)
    try {
      const taken = this.parked.length === 0 ? this.attempt(request, context) : undefined
      return taken ?? this.park(request, context)
    } catch (error) {
      return Promise.reject(error)
    }
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

  /** undefined: there is no room now. */
  private attempt(request: IngestRequest, context: RequestContext): Promise<Receipt> | undefined {
    const { log, decoder } = this.parts
    for (let bytes = 0; ;) {
      const room = log.open(bytes)
      if (room === undefined) return undefined
      const batch = decoder.decode(request, context, room)
      if (batch.status === Status.ok) return this.commit(batch, request, context, room.records)
      bytes = batch.bytesNeeded
    }
  }

  /**
   * All that is needed later is taken from `batch` now: it is the decoder's own and changes with the next request. What
   * waits holds nothing else, the body least of all.
   *
   * @param place of its first record in the log's batch
   */
  private commit(
    batch: DecodedBatch,
    request: IngestRequest,
    context: RequestContext,
    place: number,
  ): Promise<Receipt> {
    const { rejects, ledger } = this.parts
    const receipt = receiptOf(batch, context.requestId)
    const entry = ledger.entryOf(batch)
    const rejected = keepsRejects(batch, request)
      ? rejects.prepare(batch, request, context, receipt.problems)
      : undefined
    const issue = (): Receipt => {
      if (rejected !== undefined) rejects.keep(rejected)
      ledger.enter(entry)
      return receipt
    }
    const lose = (error: unknown): never => {
      ledger.unavailable += receipt.received
      throw error
    }
    return batch.accepted > 0
      ? this.keep(batch.end, batch.accepted, place, request).then(issue, lose)
      : Promise.resolve(issue())
  }

  /** What is replayed does not wait for Kafka: to be told that it failed would have it replayed again. */
  private keep(end: number, records: number, place: number, request: IngestRequest): Promise<unknown> {
    const { log, delivery } = this.parts
    const committed = log.commit(end, records)
    if (delivery === undefined || request.replayedFromMs !== undefined) return committed
    return committed.then(({ firstOffset }) => delivery.of(firstOffset + place, records))
  }

  private park(request: IngestRequest, context: RequestContext): Promise<Receipt> {
    return new Promise((resolve, reject) => this.parked.push({ request, context, resolve, reject }))
  }

  private admitParked(): void {
    for (let next = this.parked[0]; next !== undefined; next = this.parked[0]) {
      try {
        const taken = this.attempt(next.request, next.context)
        if (taken === undefined) return
        next.resolve(taken)
      } catch (error) {
        next.reject(error)
      }
      this.parked.shift()
    }
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

function receiptOf(batch: DecodedBatch, requestId: string): Receipt {
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
