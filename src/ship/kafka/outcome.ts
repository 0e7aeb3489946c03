/** From what a broker answers, or what is thrown, to an outcome. One match each, and nothing falls through. */
import { type Outcome, type SinkCause, SinkDenied, SinkUnavailable } from '../sink.js'
import { MalformedReply } from './bytes.js'
import { type Cause, CAUSES, type Decision, ERRORS } from './error-table.js'

interface ErrorRow {
  readonly name: string
  readonly decision: Decision
  readonly cause: Cause
}

const BY_CODE: ReadonlyMap<number, ErrorRow> = new Map(
  ERRORS.map(([code, name, decision, cause]) => [code, { name, decision, cause }]),
)
/** Codes of brokers newer than the table: wait for somebody to look. */
const NEWER: ErrorRow = { name: 'UNKNOWN', decision: 'retry', cause: 'unexpected' }

export function errorRow(code: number): ErrorRow {
  return BY_CODE.get(code) ?? NEWER
}

export function causeOf(code: Cause, detail = ''): SinkCause {
  return { code, message: detail === '' ? CAUSES[code] : `${CAUSES[code]} (${detail})` }
}

/** `where`: the request and what it was about; `said`: the broker's own sentence. */
export function causeOfError(code: number, where: string, said = ''): SinkCause {
  const { name, cause } = errorRow(code)
  return causeOf(cause, `${where}: ${name} ${code}${said === '' ? '' : `, ${said}`}`)
}

/** Of a batch that was answered with `code`, which is not 0. */
export function outcomeOfError(code: number, where: string, said = ''): Outcome {
  return { kind: errorRow(code).decision, cause: causeOfError(code, where, said) }
}

const LEADERSHIP: ReadonlySet<Cause> = new Set([
  'broker_storage',
  'leader_missing',
  'leader_moved',
  'topic_missing',
  'unreachable',
])

/** After this answer leaders are looked up again. */
export function isAboutLeadership(code: number): boolean {
  return LEADERSHIP.has(errorRow(code).cause)
}

/** What to throw for an answer to anything but a batch. */
export function errorOf(code: number, where: string, said = ''): SinkUnavailable | SinkDenied {
  const cause = causeOfError(code, where, said)
  return cause.code === 'not_authorized' ? new SinkDenied(cause) : new SinkUnavailable(cause)
}

/** The cause behind anything that kafkajs, the socket or we threw on the way. */
export function causeOfThrown(error: unknown, where: string): SinkCause {
  if (error instanceof SinkUnavailable || error instanceof SinkDenied) return error.cause
  const text = error instanceof Error ? error.message : String(error)
  if (isOfAuthentication(error)) return causeOf('authentication_failed', text)
  if (error instanceof TypeError || error instanceof RangeError || error instanceof MalformedReply) {
    return causeOf('unexpected', `${where}: ${text}`)
  }
  return causeOf('unreachable', `${where}: ${text}`)
}

/** The code of Kafka's that is behind an error of kafkajs's public methods; undefined when the network is. */
export function codeOfThrown(error: unknown): number | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const { name, code } = inner as Error & { code?: unknown }
    if (name !== 'KafkaJSConnectionError' && typeof code === 'number') return code
  }
  return undefined
}

/** kafkajs says in its names which step failed. */
function isOfAuthentication(error: unknown): boolean {
  return error instanceof Error && /SASL/.test(error.name)
}
