/** What a running server says of itself, as far as it needs somebody. */
import { getJson } from '../ops-client.js'
import { findingsOf, type Finding } from './finding.js'

interface ServerStatus {
  readonly version: string
  readonly decoder: string
  readonly decoder_reason: string
  readonly decoder_panics: number
  readonly uptime_s: number
  readonly ledger: Readonly<Record<'received' | 'accepted' | 'rejected' | 'ignored', number>>
  readonly unavailable: number
  readonly log: {
    readonly state: string
    readonly reason: string
    readonly used: number
    readonly hours_left: number | null
    readonly failovers: number
    readonly reopened: number
    readonly damage: { readonly quarantined_batches: number }
  }
  readonly rejects: { readonly kept: number; readonly dropped: number }
  readonly ship: ShipStatus | null
}

interface ShipStatus {
  readonly state: string
  readonly cause: { readonly code: string; readonly message: string } | null
  readonly exactly_once: boolean
  readonly lag_records: number
  readonly lag_s: number
  readonly refused: number
  readonly possible_duplicates: number
  readonly restarts: number
}

/** Above this part of its limit the log is about to be full. */
const FULL_SOON = 0.9

export async function serverFindings(section: string, address: string): Promise<readonly Finding[]> {
  const found = findingsOf(section)
  const answer = await getJson(`${address}/status`)
  if (answer?.status !== 200) return [found('fault', `${address}/status does not answer`)]
  const status = answer.content as ServerStatus
  const { received, accepted, rejected, ignored } = status.ledger
  const counts = `${received} received = ${accepted} accepted + ${rejected} rejected + ${ignored} ignored`
  return [
    found('ok', `version ${status.version}, up for ${status.uptime_s} s`),
    decoderFinding(status, found),
    logFinding(status, found),
    found(status.unavailable > 0 ? 'note' : 'ok', `${counts}; ${status.unavailable} answered 503`),
    ...faults(status, found),
    ...(status.ship === null ? [] : shipFindings(status.ship, found)),
  ]
}

type Found = ReturnType<typeof findingsOf>

function decoderFinding({ decoder, decoder_reason: reason }: ServerStatus, found: Found): Finding {
  const fallback = decoder === 'reference' && reason.includes('cannot be loaded')
  return found(fallback ? 'note' : 'ok', `decoder: ${decoder}. ${reason}`)
}

function logFinding({ log }: ServerStatus, found: Found): Finding {
  const hours = log.hours_left === null ? '' : `, ${log.hours_left} hours left at the present rate`
  const used = `${Math.floor(log.used * 100)} % of its limit taken${hours}`
  if (log.state !== 'writable') return found('fault', `log: ${log.state}: ${log.reason}; ${used}`)
  return found(log.used >= FULL_SOON ? 'fault' : 'ok', `log: ${log.state}, ${used}`)
}

function shipFindings(ship: ShipStatus, found: Found): readonly Finding[] {
  const { state, cause, lag_records: lag, lag_s: lagS, refused, restarts } = ship
  const behind = lag === 0 ? 'nothing waits' : `${lag} records wait, the oldest for ${lagS} s`
  const why = cause === null ? '' : `: ${cause.message} (${cause.code})`
  const findings = [
    found(
      state === 'shipping' || (state === 'starting' && cause === null) ? 'ok' : 'fault',
      `kafka: ${state}${why}; ${behind}`,
    ),
  ]
  const note = (text: string): number => findings.push(found('note', `kafka: ${text}`))
  if (!ship.exactly_once)
    note('published at least once only, so records may come twice (--kafka-exactly-once prefer)')
  if (refused > 0) note(`${refused} records were refused for ever: see "sluicegate rejects list"`)
  if (ship.possible_duplicates > 0)
    note(`${ship.possible_duplicates} records were sent marked possible_duplicate`)
  if (restarts > 0) note(`the thread that publishes ended by itself ${restarts} times: please report it`)
  return findings
}

function faults({ decoder_panics: panics, log, rejects }: ServerStatus, found: Found): readonly Finding[] {
  const findings: Finding[] = []
  if (panics > 0)
    findings.push(found('fault', `the native decoder panicked ${panics} times: please report it`))
  const { quarantined_batches: damaged } = log.damage
  if (damaged > 0)
    findings.push(found('fault', `${damaged} damaged batches were found at the start: check the disk`))
  if (log.failovers > 0) {
    findings.push(
      found('fault', `${log.failovers} segments were given up after failed writes: check the disk`),
    )
  }
  if (log.reopened > 0) {
    const times = log.reopened === 1 ? '1 time' : `${log.reopened} times`
    findings.push(
      found(
        'fault',
        `the data directory was removed or replaced under the server ${times}: find out by whom`,
      ),
    )
  }
  if (rejects.dropped > 0) {
    findings.push(
      found('note', `${rejects.dropped} rejected records were only counted, beyond rate or space`),
    )
  }
  return findings
}
