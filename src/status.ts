/** What the server says of itself on the ops listener: /status as one JSON object, and whether it is ready. */
import type { Budget } from './budget.js'
import type { Clock } from './clock.js'
import type { Config } from './config.js'
import type { Selection } from './decode/select.js'
import type { RequestCounts } from './http/counts.js'
import type { Readiness } from './http/ops.js'
import type { Intake } from './intake.js'
import type { Ledger } from './ledger.js'
import type { Log, LogStatus } from './log/types.js'
import { ENDPOINTS } from './record.js'
import type { Rejects } from './rejects.js'
import type { Shipping } from './ship/shipping.js'
import type { OtherWriters } from './storage/other-writers.js'

/** The parts of a running server that are looked at; nothing here changes them. */
export interface StatusParts {
  readonly version: string
  readonly config: Pick<Config, 'memoryInflightBytes' | 'connectionsMax' | 'logWhenFull'>
  readonly clock: Clock
  /** `clock.monoMs()` when the server started. */
  readonly startedMs: number
  readonly decoder: Selection
  readonly ledger: Ledger
  readonly log: Pick<Log, 'status'>
  readonly rejectsLog: Pick<Log, 'status'>
  readonly rejects: Pick<Rejects, 'kept' | 'dropped'>
  readonly intake: Pick<Intake, 'waiting'>
  readonly budget: Pick<Budget, 'usedBytes' | 'bytesMax' | 'refusals'>
  readonly counts: Pick<
    RequestCounts,
    'requests' | 'durations' | 'connections' | 'refusedConnections' | 'droppedConnections'
  >
  /** undefined without `--kafka`. */
  readonly shipping: Pick<Shipping, 'status'> | undefined
  readonly growth: Growth
  readonly others: Pick<OtherWriters, 'found'>
}

/** The object of `GET /status`; its first members are fixed, further ones may be added. */
export function statusOf(parts: StatusParts): Readonly<Record<string, unknown>> {
  const { version, clock, startedMs, ledger, decoder, counts, budget, config, intake } = parts
  return {
    version,
    decoder: decoder.decoder.name,
    decoder_reason: decoder.reason,
    decoder_panics: decoder.decoder.panics,
    uptime_s: Math.floor((clock.monoMs() - startedMs) / 1000),
    ledger: ledger.all,
    ledger_by_kind: byKind(ledger),
    unavailable: ledger.unavailable,
    log: logOf(parts),
    rejects: rejectsOf(parts),
    memory: { used_bytes: budget.usedBytes, bytes_max: budget.bytesMax, refusals: budget.refusals },
    connections: {
      open: counts.connections,
      max: config.connectionsMax,
      refused: counts.refusedConnections,
    },
    waiting_requests: intake.waiting,
    other_writers: parts.others.found,
    ship: shipOf(parts),
  }
}

function byKind(ledger: Ledger): Readonly<Record<string, unknown>> {
  return Object.fromEntries(ENDPOINTS.map((kind) => [kind, ledger.totalsOf(kind)]))
}

function logOf({ log, growth }: StatusParts): Readonly<Record<string, unknown>> {
  const status = log.status()
  growth.note(status)
  return {
    ...extentOf(status),
    reason: status.reason,
    durable_offset: status.durableOffset,
    used: status.bytesMax === 0 ? 0 : round(status.bytes / status.bytesMax),
    hours_left: growth.hoursLeft(status),
    segments: status.segments,
    damage: {
      torn_bytes: status.damage.tornBytes,
      quarantined_batches: status.damage.quarantinedBatches,
      quarantined_bytes: status.damage.quarantinedBytes,
    },
    quarantine_dropped: status.quarantineDropped,
    writer_id: status.writerId,
    epoch: status.epoch,
    new_ids: status.newIds,
    reopened: status.reopened,
    failovers: status.failovers,
    dropped: status.dropped,
    batches: status.batches,
    records: status.records,
  }
}

function rejectsOf({ rejects, rejectsLog }: StatusParts): Readonly<Record<string, unknown>> {
  const status = rejectsLog.status()
  return { kept: rejects.kept, dropped: rejects.dropped, ...extentOf(status), reason: status.reason }
}

function shipOf({ shipping }: StatusParts): Readonly<Record<string, unknown>> | null {
  if (shipping === undefined) return null
  const status = shipping.status()
  const { state, cause, cursor, lagRecords, lagMs, exactlyOnce, topics } = status
  return {
    state,
    cursor,
    lag_records: lagRecords,
    lag_s: Math.round(lagMs / 100) / 10,
    cause: cause ?? null,
    exactly_once: exactlyOnce,
    records: status.records,
    batches: status.batches,
    failed_sends: status.failed,
    refused: status.refused,
    possible_duplicates: status.possibleDuplicates,
    restarts: status.restarts,
    waiting_requests: status.waiting,
    late_requests: status.late,
    memory_bytes: status.memoryBytes,
    topics: topics.map((topic) => ({
      name: topic.name,
      partitions: topic.partitions,
      blocked_partitions: topic.blockedPartitions,
      lag_records: topic.pending,
      max_message_bytes: topic.messageBytesMax ?? null,
      cause: topic.cause ?? null,
    })),
  }
}

function extentOf({ state, firstOffset, nextOffset, bytes, bytesMax }: LogStatus) {
  return { state, first_offset: firstOffset, next_offset: nextOffset, bytes, bytes_max: bytesMax }
}

const round = (value: number): number => Math.round(value * 1000) / 1000

/** How fast the log grows: over the last quarter of an hour, as far as somebody has asked. */
export class Growth {
  private readonly samples: { atMs: number; bytesWritten: number }[] = []

  constructor(private readonly clock: Clock) {
    this.samples.push({ atMs: clock.monoMs(), bytesWritten: 0 })
  }

  /** To be called now and then; the timer of the full-log warnings and every look at /status do. */
  note({ bytesWritten }: LogStatus): void {
    const atMs = this.clock.monoMs()
    if (atMs - this.samples.at(-1)!.atMs >= SAMPLE_MS) this.samples.push({ atMs, bytesWritten })
    while (this.samples.length > 2 && this.samples[1]!.atMs <= atMs - WINDOW_MS) this.samples.shift()
  }

  /** Bytes a second; 0 as long as nothing can be said. */
  bytesPerSecond({ bytesWritten }: LogStatus): number {
    const from = this.samples[0]!
    const passedMs = this.clock.monoMs() - from.atMs
    return passedMs < 1000 ? 0 : ((bytesWritten - from.bytesWritten) * 1000) / passedMs
  }

  /** Until the log is full at this rate; null when it does not grow. */
  hoursLeft(status: LogStatus): number | null {
    const rate = this.bytesPerSecond(status)
    const left = Math.max(0, status.bytesMax - status.bytes)
    return rate > 0 ? Math.round((left / rate / 3600) * 10) / 10 : null
  }
}

const SAMPLE_MS = 5000
const WINDOW_MS = 15 * 60_000

/** Above these parts of its limit the log is said to be filling up. */
export const FULLNESS_WARNINGS = [0.9, 0.7] as const

/** A sentence when the log is filling up, '' when it is not: for /ready, /status and the program's own log. */
export function fullnessWarning(status: LogStatus, growth: Growth, whenFull: Config['logWhenFull']): string {
  const used = status.bytes / status.bytesMax
  if (!FULLNESS_WARNINGS.some((limit) => used >= limit)) return ''
  const hours = growth.hoursLeft(status)
  const rate = hours === null ? 'it does not grow now' : `${hours} hours are left at the present rate`
  const then = whenFull === 'refuse' ? 'then events are answered 503' : 'then the oldest events are dropped'
  return `the log takes ${Math.floor(used * 100)} % of what it may take; ${rate}, ${then}`
}

/** `stopping`: no connection is accepted any more. */
export type Phase = 'starting' | 'serving' | 'draining' | 'stopping'

/**
 * `GET /ready`: a full log is ready all the same, because a balancer's own 503 would lack the CORS headers without
 * which browsers throw events away (rule R1); a log that has failed is not.
 */
export function readiness(parts: Pick<StatusParts, 'log' | 'growth' | 'config'>, phase: Phase): Readiness {
  const status = parts.log.status()
  const { state } = status
  if (phase !== 'serving') {
    return { ready: false, accepting: phase === 'draining' && state === 'writable', reason: phase }
  }
  parts.growth.note(status)
  const reason =
    status.reason === '' && state === 'writable'
      ? fullnessWarning(status, parts.growth, parts.config.logWhenFull)
      : status.reason || `the log is ${state}`
  return { ready: state === 'writable' || state === 'full', accepting: state === 'writable', reason }
}
