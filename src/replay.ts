/**
 * Rejected records that come back mended (promise P10): they go through the intake like any request, with the endpoint,
 * token and receipt time of their first arrival and the flag `replayed`, and never twice unless forced.
 */
import { Content, type Peer, type Problem } from './decode/decoder.js'
import { LogUnavailable } from './errors.js'
import type { Intake, Receipt } from './intake.js'
import type { Endpoint } from './record.js'
import { type RawMembers, rawOf } from './rejects/envelope.js'
import type { Replayed, ReplayEnding } from './rejects/replayed.js'

/** A rejected record as `sluicegate rejects list --json` prints it (docs/PROTOCOL.md 9.4), its text mended or not. */
export interface ReplayRecord extends RawMembers {
  /** Its offset in the log of rejects; null when it is not from there: then nothing tells whether it came before. */
  readonly offset: number | null
  readonly endpoint: Endpoint
  readonly token?: string | null
  readonly project_id?: string | null
  /** Absent: now. */
  readonly received_ms?: number | null
  readonly ip?: string | null
  readonly ua?: string | null
  /** It came with `test=1`. */
  readonly test?: boolean
}

export interface ReplayRequest {
  /** Also what has been replayed before. */
  readonly force?: boolean
  /** By the rules of `strict=1`. */
  readonly strict?: boolean
  readonly records: readonly ReplayRecord[]
}

/**
 * `partly`: a text with several records, of which some are refused again (those are kept as rejected records of their
 * own). `uncertain`: a crash cut an earlier replay short, so the record may be in the log. `unavailable`: the log
 * cannot keep anything now. Only the first three count as
 * replayed.
 */
export type ReplayOutcome =
  | 'accepted'
  | 'partly'
  | 'ignored'
  | 'rejected'
  | 'already_replayed'
  | 'running'
  | 'uncertain'
  | 'unknown_offset'
  | 'too_large'
  | 'unavailable'

export interface ReplayResult {
  readonly offset: number | null
  readonly outcome: ReplayOutcome
  readonly accepted: number
  readonly rejected: number
  readonly ignored: number
  readonly problems: readonly Pick<Problem, 'code' | 'index' | 'pointer' | 'offset' | 'message'>[]
}

export interface ReplayerParts {
  readonly intake: Pick<Intake, 'take'>
  readonly replayed: Pick<Replayed, 'stateOf' | 'begin' | 'finish'>
  /** Offset that the next rejected record gets. */
  readonly nextRejectOffset: () => number
  readonly nowMs: () => number
  /** The largest text that the decoder was made for. */
  readonly bodyLimitBytes: number
}

export class Replayer {
  constructor(private readonly parts: ReplayerParts) {}

  /** What became of each record, in order. Nothing is thrown because of a record; a disk that fails is. */
  async replay(request: ReplayRequest): Promise<readonly ReplayResult[]> {
    const { replayed } = this.parts
    const claims = new Map<number, ReplayEnding>()
    const refusals = request.records.map((record) => this.refusalOf(record, request, claims))
    if (claims.size > 0) await replayed.begin([...claims.keys()])
    // Handed over in one turn and in order: one batch of the log, and records of one key stay in order (promise P6).
    const results = request.records.map(
      (record, at) => refusals[at] ?? this.take(record, request.strict === true, claims),
    )
    await Promise.allSettled(results)
    if (claims.size > 0) await replayed.finish(claims)
    return Promise.all(results)
  }

  /** Why a record is not even tried; undefined when it is, and then its offset is claimed. */
  private refusalOf(
    record: ReplayRecord,
    { force }: ReplayRequest,
    claims: Map<number, ReplayEnding>,
  ): ReplayResult | undefined {
    const { offset } = record
    const { replayed, nextRejectOffset, bodyLimitBytes } = this.parts
    if (rawOf(record).length > bodyLimitBytes) return without(offset, 'too_large')
    if (offset === null) return undefined
    if (offset >= nextRejectOffset()) return without(offset, 'unknown_offset')
    const state = claims.has(offset) ? 'running' : replayed.stateOf(offset)
    if (state === 'running') return without(offset, 'running')
    if (force !== true && state === 'done') return without(offset, 'already_replayed')
    if (force !== true && state === 'begun') return without(offset, 'uncertain')
    claims.set(offset, 'uncertain')
    return undefined
  }

  /** Notes the ending with the claim; an error that nobody foresaw leaves it uncertain. */
  private async take(
    record: ReplayRecord,
    strict: boolean,
    claims: Map<number, ReplayEnding>,
  ): Promise<ReplayResult> {
    const result = await this.outcomeOf(record, strict)
    if (record.offset !== null) claims.set(record.offset, KEPT.has(result.outcome) ? 'kept' : 'refused')
    return result
  }

  private async outcomeOf(record: ReplayRecord, strict: boolean): Promise<ReplayResult> {
    try {
      const receipt = await this.parts.intake.take({
        endpoint: record.endpoint,
        content: Content.sniff,
        body: rawOf(record),
        query: `verbose=2${strict ? '&strict=1' : ''}${record.test === true ? '&test=1' : ''}`,
        peer: peerOf(record),
        authToken: record.endpoint === 'import' ? (record.token ?? '') : '',
        projectId: record.project_id ?? null,
        replayedFromMs: record.received_ms ?? this.parts.nowMs(),
      })
      return resultOf(record.offset, receipt)
    } catch (error) {
      if (error instanceof LogUnavailable) return without(record.offset, 'unavailable')
      throw error
    }
  }
}

const KEPT: ReadonlySet<ReplayOutcome> = new Set(['accepted', 'partly', 'ignored'])

function peerOf({ ip, ua }: ReplayRecord): Peer {
  return { ipJson: JSON.stringify(ip ?? null), uaJson: JSON.stringify(ua ?? null) }
}

function without(offset: number | null, outcome: ReplayOutcome): ReplayResult {
  return { offset, outcome, accepted: 0, rejected: 0, ignored: 0, problems: [] }
}

function resultOf(offset: number | null, { accepted, rejected, ignored, problems }: Receipt): ReplayResult {
  const outcome =
    rejected === 0 ? (accepted > 0 ? 'accepted' : 'ignored') : accepted + ignored > 0 ? 'partly' : 'rejected'
  return {
    offset,
    outcome,
    accepted,
    rejected,
    ignored,
    problems: problems.slice(0, PROBLEMS_MAX).map(shown),
  }
}

const PROBLEMS_MAX = 10

function shown({ code, index, pointer, offset, message }: Problem): ReplayResult['problems'][number] {
  return { code, index, pointer, offset, message }
}
