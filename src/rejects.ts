/**
 * Rejected records (promise P10): what they were, why they were refused, kept in a small log of its own that drops its
 * oldest. Bounded by bytes and by rate: junk can never stop good events, nor cost them much.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { asBuffer } from './as-buffer.js'
import type { Clock } from './clock.js'
import type { Config } from './config.js'
import {
  type ContentClass,
  type DecodedBatch,
  Outcome,
  type Problem,
  type RequestContext,
  Row,
  TOKEN_NONE,
  type TokenTable,
} from './decode/decoder.js'
import { formText, readParam } from './decode/params.js'
import { LogUnavailable } from './errors.js'
import type { Log } from './log/types.js'
import type { Endpoint } from './record.js'
import { RAW_BYTES_MAX, type RejectedIn, rejectedRecord } from './rejects/envelope.js'

/** Kept a second on average, and at once after a quiet time. Beyond it rejected records are only counted. */
export const RATE_BYTES_PER_S = 1024 * 1024
export const BURST_BYTES = 8 * 1024 * 1024
/** A sync of the log of rejects takes a second at most, then there is room. */
const ROOM_RETRY_MS = 50
const ROOM_TRIES_MAX = 100
/** What a record costs beside its text. */
const OVERHEAD_BYTES = 1024

/** What is known of a request beside its records. */
export interface RejectedRequest {
  readonly endpoint: Endpoint
  readonly body: Uint8Array
  readonly content: ContentClass
  readonly query: string
}

/** Finished records, waiting for the request's receipt. */
export interface PreparedRejects {
  readonly records: readonly Uint8Array[]
}

export class Rejects {
  /** Written to the log of rejects since the start. */
  kept = 0
  /** Beyond the rate, or the log of rejects would not take them: only counted. */
  dropped = 0

  private allowanceBytes = BURST_BYTES
  private countedMs: number

  constructor(
    private readonly log: Log,
    private readonly tokens: TokenTable,
    private readonly clock: Clock,
    private readonly storeIp: Config['storeIp'] = 'unless-refused',
  ) {
    this.countedMs = clock.monoMs()
  }

  /**
   * Copies the rejected records out of the decoder's memory, as far as the rate allows.
   *
   * @param problems what is described already: the first problems of the batch, in its order
   */
  prepare(
    batch: DecodedBatch,
    request: RejectedRequest,
    context: RequestContext,
    problems: readonly Problem[] = [],
  ): PreparedRejects {
    const records: Uint8Array[] = []
    let nth = -1
    const payload = batch.payload()
    let known: RejectedIn | undefined
    for (let index = batch.firstRejected; index < batch.rows; index++) {
      if (batch.row(index, Row.outcome) !== Outcome.rejected) continue
      nth++
      const start = batch.row(index, Row.rawStart)
      const length = batch.row(index, Row.rawLength)
      if (!this.allow(length)) continue
      // Only now: it reads the whole form, which a flood beyond the rate must not cost.
      known ??= this.knownOf(request, context)
      const raw = payload.subarray(start, start + length)
      const id = batch.row(index, Row.tokenId)
      const token = id === TOKEN_NONE ? undefined : this.tokens.name(id)
      const problem = problems[nth] ?? batch.problem(index)!
      records.push(rejectedRecord(this.withAddress(known, raw), problem, raw, token))
    }
    return { records }
  }

  /** The same for a body that could not be decoded at all. */
  prepareOne(request: RejectedRequest, context: RequestContext, problem: Problem): PreparedRejects {
    if (!this.allow(request.body.length)) return { records: [] }
    const known = this.withAddress(this.knownOf(request, context), request.body)
    return { records: [rejectedRecord(known, problem, request.body, undefined)] }
  }

  /** Hands them to the log of rejects, which syncs at most once a second; never waits, never throws. */
  keep({ records }: PreparedRejects): void {
    for (const record of records) {
      if (this.append(record)) this.kept++
      else this.dropped++
    }
  }

  /** A finished record that must not be lost: resolves when it is on stable storage, whatever the rate. */
  async keepSurely(record: Uint8Array): Promise<void> {
    for (let tries = 1; ; tries++) {
      const room = this.log.open(record.length)
      if (room === undefined) {
        if (tries === ROOM_TRIES_MAX) throw new LogUnavailable('full', 'the log of rejects has no room')
        await sleep(ROOM_RETRY_MS)
        continue
      }
      room.bytes.set(record, room.position)
      await this.log.commit(room.position + record.length, 1)
      this.kept++
      return
    }
  }

  /** The client's address unless the operator or the request refuses that it is kept (docs/PROTOCOL.md 9.3), and `test=1`. */
  private knownOf({ endpoint, query, content, body }: RejectedRequest, context: RequestContext): RejectedIn {
    const form = formText(content, body)
    const isRefused =
      this.storeIp === 'never' || (this.storeIp !== 'always' && readParam('ip', query, form) === '0')
    const test = readParam('test', query, form) === '1'
    return { endpoint, context, ipJson: isRefused ? 'null' : context.peer.ipJson, test }
  }

  /** The record may be no JSON at all, so that its own refusal is looked for in its text. */
  private withAddress(known: RejectedIn, raw: Uint8Array): RejectedIn {
    return this.storeIp !== 'always' && refusesItself(raw) ? { ...known, ipJson: 'null' } : known
  }

  /** Whatever goes wrong here, the good records of the request are durable and must be acknowledged. */
  private append(record: Uint8Array): boolean {
    try {
      const room = this.log.open(record.length)
      if (room === undefined) return false
      room.bytes.set(record, room.position)
      // Nobody waits for it.
      this.log.commit(room.position + record.length, 1).catch(() => this.lost())
      return true
    } catch {
      return false
    }
  }

  /** Counted as kept when it was handed over, but it never got to disk. */
  private lost(): void {
    this.kept--
    this.dropped++
  }

  private allow(rawBytes: number): boolean {
    const nowMs = this.clock.monoMs()
    const earned = ((nowMs - this.countedMs) * RATE_BYTES_PER_S) / 1000
    this.allowanceBytes = Math.min(BURST_BYTES, this.allowanceBytes + earned)
    this.countedMs = nowMs
    const cost = Math.min(rawBytes, RAW_BYTES_MAX) + OVERHEAD_BYTES
    if (cost > this.allowanceBytes) {
      this.dropped++
      return false
    }
    this.allowanceBytes -= cost
    return true
  }
}

/** `"ip":0`, `"$ip":"0"`. */
const OWN_REFUSAL = /"\$?ip"\s*:\s*("0"|0\s*[,}])/

function refusesItself(raw: Uint8Array): boolean {
  const view = asBuffer(raw)
  return view.includes('ip"') && OWN_REFUSAL.test(view.toString('latin1'))
}
