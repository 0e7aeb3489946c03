/** What became of a replayed record, for people. */
import type { ReplayOutcome, ReplayResult } from '../../replay.js'
import type { Skipped } from './replay-source.js'

/** Whether the record is in the log, now or from before, or was never wanted there. */
export function isIn(outcome: ReplayOutcome | Skipped['outcome']): boolean {
  return outcome === 'accepted' || outcome === 'ignored' || outcome === 'already_replayed'
}

const PLAIN: Readonly<Record<Exclude<ReplayOutcome, 'rejected' | 'partly'>, string>> = {
  accepted: 'accepted',
  ignored: 'ignored: it asks for it ($ignore), or is too old (--late drop)',
  already_replayed: 'already replayed; --force sends it again',
  running: 'is being replayed right now by somebody else',
  uncertain: 'an earlier replay was cut short and may have kept it: look with "tail", then --force',
  unknown_offset: 'the server has no rejected record with this offset',
  too_large: 'too large: see --body-limit-bytes',
  unavailable: 'cannot be kept now',
}

export function detailOf(result: ReplayResult | Skipped): string {
  if (result.outcome === 'skipped') return `skipped: ${result.reason}`
  const { outcome, accepted, rejected, problems } = result
  if (outcome !== 'rejected' && outcome !== 'partly') {
    return outcome === 'accepted' && accepted > 1 ? `accepted, ${accepted} records` : PLAIN[outcome]
  }
  const [problem] = problems
  const place = problem === undefined || problem.offset < 0 ? '' : `, byte ${problem.offset}`
  const why = problem === undefined ? '' : `: ${problem.message} (${problem.code}${place})`
  return outcome === 'rejected'
    ? `rejected again${why}`
    : `${accepted} accepted, ${rejected} rejected again${why}`
}
