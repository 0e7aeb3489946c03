/** Rules of /track and of /import without strict (docs/DECODING.md 4), and what both read from an event (5). */
import { ProblemId } from '../problems.js'
import { type Fault, fault, type Item, nonEmpty, scalar, stringOrNumber } from './item.js'
import { Walker } from './members.js'
import type { Circumstances, Verdict } from './verdict.js'
import { isLate, timeOf } from './when.js'

export type DistinctIdSource = 'record' | 'user_id' | 'device_id' | 'none'

export interface DistinctId {
  readonly value: string | null
  readonly source: DistinctIdSource
}

const NOBODY: DistinctId = { value: null, source: 'none' }

/** Who the event belongs to: its distinct_id, else its user, else its device. */
export function eventDistinctId(item: Item): DistinctId {
  const own = item.properties.get('distinct_id')?.text()
  if (own !== undefined) return { value: own, source: 'record' }
  const user = scalar(item.properties.get('$user_id'))
  if (user !== undefined) return { value: user, source: 'user_id' }
  const device = scalar(item.properties.get('$device_id'))
  return device === undefined ? NOBODY : { value: `$device:${device}`, source: 'device_id' }
}

/** /import: the event's own token, else the credential's, else none. */
export function importToken(item: Item, circumstances: Circumstances): string | null {
  return nonEmpty(item.properties.get('token')) ?? (circumstances.authToken || null)
}

/** Rule 28. */
export function isUnknown(token: string | null, circumstances: Circumstances): boolean {
  return token !== null && circumstances.tokensAllowed?.has(token) === false
}

/** Rules 23 to 26. */
function eventFault(item: Item): Fault | undefined {
  const event = item.top.get('event')
  if (event === undefined) return item.faultAt(ProblemId.eventMissing, 'event')
  if (stringOrNumber(event) === undefined) return item.faultAt(ProblemId.eventInvalid, 'event')
  const properties = item.top.get('properties')
  if (properties === undefined) return item.faultAt(ProblemId.propertiesMissing, 'properties')
  return properties.kind === 'object' ? undefined : item.faultAt(ProblemId.propertiesInvalid, 'properties')
}

/** Rule 29. */
function aliasFault(item: Item): Fault | undefined {
  if (item.top.get('event')?.string() !== '$create_alias') return undefined
  const { value, source } = eventDistinctId(item)
  if (source === 'record' && value !== '') return undefined
  return item.faultInProperties(ProblemId.distinctIdMissing, 'distinct_id')
}

/** `$ignore`: true or a string that is not empty. */
function asksToBeIgnored(item: Item): boolean {
  const value = item.properties.get('$ignore')
  return value !== undefined && (nonEmpty(value) !== undefined || value.bytes[value.start] === 0x74)
}

/** Rules 28 and 29, for a token that was read. */
function judgeToken(item: Item, token: string | null, circumstances: Circumstances): Verdict {
  if (isUnknown(token, circumstances)) {
    return { fault: item.faultInProperties(ProblemId.tokenUnknown, 'token') }
  }
  const alias = aliasFault(item)
  return alias ? { fault: alias, token } : { token, ignored: asksToBeIgnored(item) }
}

export function judgeTrack(item: Item, circumstances: Circumstances): Verdict {
  const first = eventFault(item)
  if (first) return { fault: first }
  const token = nonEmpty(item.properties.get('token'))
  if (token === undefined) return { fault: item.faultInProperties(ProblemId.tokenMissing, 'token') }
  const verdict = judgeToken(item, token, circumstances)
  if (verdict.fault || !circumstances.dropLate || !isLate(timeOf(item, circumstances))) return verdict
  return { token, ignored: true }
}

/** An object without members is empty data (docs/PROTOCOL.md 5.2). */
function isEmpty(item: Item): boolean {
  return !new Walker(item.bytes, item.found).next()
}

export function judgeImport(item: Item, circumstances: Circumstances): Verdict {
  if (isEmpty(item)) return { fault: fault(ProblemId.dataMissing, item.found.start) }
  const first = eventFault(item)
  if (first) return { fault: first }
  return judgeToken(item, importToken(item, circumstances), circumstances)
}

/** For strict: the event is `$merge`, which needs no time, distinct_id or insert id. */
export function isMerge(item: Item): boolean {
  return item.top.get('event')?.string() === '$merge'
}
