/**
 * The ledger: what became of every record that this process issued a receipt for (promise P4). Counted per token, kind
 * and outcome; tokens are the decoder's small integers, so a count is one addition, and memory is bounded by tokensMax.
 */
import { type DecodedBatch, Outcome, Row, TOKEN_NONE } from './decode/decoder.js'
import { type Endpoint, ENDPOINTS } from './record.js'

export interface Counts {
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly ignored: number
}

/** Outcomes of one request's records, taken from the decoder's table before the next decode overwrites it. */
export interface LedgerEntry {
  readonly kind: number
  /** As the decoder counted it, so that the sums can be held against it. */
  readonly received: number
  /** Token id and outcome of each record, alternating: runs of equal ones are merged into [id, outcome, count]. */
  readonly runs: readonly number[]
}

const OUTCOMES = 3
const CELLS = OUTCOMES * ENDPOINTS.length

export class Ledger {
  /** Cell [token id][kind][outcome]; grows with the tokens seen. Counts stay exact up to 2^53. */
  private cells = new Float64Array(CELLS * 64)
  private readonly totals = new Float64Array(CELLS)
  private readonly received = new Float64Array(ENDPOINTS.length)
  /** Decoded and then answered 503: outside of the sums. */
  unavailable = 0

  /** What the batch will count as once its receipt is issued. */
  entryOf(batch: DecodedBatch): LedgerEntry {
    return { kind: ENDPOINTS.indexOf(batch.endpoint), received: batch.received, runs: runsOf(batch) }
  }

  /** Counts an entry: its receipt is about to be issued. */
  enter({ kind, received, runs }: LedgerEntry): void {
    this.received[kind]! += received
    for (let at = 0; at < runs.length; at += 3) {
      const cell = kind * OUTCOMES + runs[at + 1]!
      const row = runs[at]! * CELLS
      if (row >= this.cells.length) this.grow(row)
      this.cells[row + cell]! += runs[at + 2]!
      this.totals[cell]! += runs[at + 2]!
    }
  }

  /** Counts a body that failed before it could be decoded: received 1, rejected 1. */
  enterRefused(kind: Endpoint): void {
    this.enter({ kind: ENDPOINTS.indexOf(kind), received: 1, runs: [TOKEN_NONE, Outcome.rejected, 1] })
  }

  totalsOf(kind: Endpoint): Counts {
    const index = ENDPOINTS.indexOf(kind)
    return { ...countsAt(this.totals, index * OUTCOMES), received: this.received[index]! }
  }

  get all(): Counts {
    return { ...sumOf(this.totals, 0), received: this.received.reduce((sum, one) => sum + one, 0) }
  }

  /** The sums of one token id over all kinds. */
  ofToken(id: number): Counts {
    return (id + 1) * CELLS > this.cells.length
      ? countsAt(new Float64Array(OUTCOMES), 0)
      : sumOf(this.cells, id * CELLS)
  }

  /** Token ids that have been counted. */
  *tokens(): Generator<number> {
    for (let id = 0; id * CELLS < this.cells.length; id++) if (this.ofToken(id).received > 0) yield id
  }

  private grow(row: number): void {
    const larger = new Float64Array(Math.max(this.cells.length * 2, row + CELLS))
    larger.set(this.cells)
    this.cells = larger
  }
}

/** Most requests are one run, which is made as it is: an array that grows takes room for many. */
function runsOf(batch: DecodedBatch): number[] {
  const { rows } = batch
  if (rows === 0) return []
  const runs = [batch.row(0, Row.tokenId), batch.row(0, Row.outcome), 1]
  let last = 0
  for (let index = 1; index < rows; index++) {
    const token = batch.row(index, Row.tokenId)
    const outcome = batch.row(index, Row.outcome)
    if (runs[last] === token && runs[last + 1] === outcome) runs[last + 2]!++
    else last = runs.push(token, outcome, 1) - 3
  }
  return runs
}

function countsAt(cells: Float64Array, at: number): Counts {
  const [accepted, rejected, ignored] = [cells[at]!, cells[at + 1]!, cells[at + 2]!]
  return { received: accepted + rejected + ignored, accepted, rejected, ignored }
}

function sumOf(cells: Float64Array, at: number): Counts {
  const sums = new Float64Array(OUTCOMES)
  for (let cell = 0; cell < CELLS; cell++) sums[cell % OUTCOMES]! += cells[at + cell]!
  return countsAt(sums, 0)
}
