/** What the listener did, in preallocated arrays: a count is one addition, and memory does not grow. */
import { type Endpoint, ENDPOINTS } from '../record.js'

/** The four ingest endpoints, and everything else: small endpoints, unknown paths, heads that could not be parsed. */
export const COUNTED = [...ENDPOINTS, 'other'] as const

export interface RequestCount {
  readonly endpoint: string
  readonly status: number
  readonly count: number
}

export interface Durations {
  /** Upper ends, inclusive, ascending. */
  readonly bucketsMs: readonly number[]
  /** Replies a bucket, not summed up; one more than bucketsMs has: what took longer than the last. */
  readonly counts: readonly number[]
  readonly sumMs: number
}

const STATUS_MIN = 100
const STATUSES = 500
const BUCKETS_MS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384]
const OTHER = COUNTED.indexOf('other')

export class RequestCounts {
  /** Open now, those beyond the limit included. */
  connections = 0
  /** Connections that came beyond the limit: answered 503 and closed. */
  refusedConnections = 0
  /** Connections that came when not even a 503 could be given any more: closed unanswered. */
  droppedConnections = 0
  /** Replies 500: something was thrown that nobody expected. */
  failures = 0

  private readonly replies = new Float64Array(COUNTED.length * STATUSES)
  private readonly buckets = new Float64Array(BUCKETS_MS.length + 1)
  private sumMs = 0

  /** One reply of an ingest endpoint, or of anything else (undefined). */
  count(endpoint: Endpoint | undefined, status: number): void {
    const row = endpoint === undefined ? OTHER : ENDPOINTS.indexOf(endpoint)
    this.replies[row * STATUSES + status - STATUS_MIN]!++
  }

  /** Time from a request's head to its reply. */
  observe(ms: number): void {
    let bucket = 0
    while (bucket < BUCKETS_MS.length && ms > BUCKETS_MS[bucket]!) bucket++
    this.buckets[bucket]!++
    this.sumMs += ms
  }

  /** Statuses that were answered at least once. */
  *requests(): Generator<RequestCount> {
    for (const [index, count] of this.replies.entries()) {
      if (count === 0) continue
      const endpoint = COUNTED[Math.floor(index / STATUSES)]!
      yield { endpoint, status: STATUS_MIN + (index % STATUSES), count }
    }
  }

  /** Of the ingest endpoints alone. */
  durations(): Durations {
    return { bucketsMs: BUCKETS_MS, counts: Array.from(this.buckets), sumMs: this.sumMs }
  }
}
