/** Rules of /import with strict=1 (docs/DECODING.md 4; docs/PROTOCOL.md 7.3), in the order in which they are reported. */
import { ProblemId } from '../problems.js'
import { importToken, isMerge, isUnknown } from './events.js'
import { type Fault, type Item, isPresent } from './item.js'
import { Walker } from './members.js'
import { shapeFault, utf8Fault } from './shape.js'
import { timeMs } from './time.js'
import type { Circumstances, Verdict } from './verdict.js'

const FUTURE_MS_MAX = 3_600_000
const YEAR_1971_MS = 31_536_000_000
const INSERT_ID_BYTES_MAX = 36
const INSERT_ID = /^[A-Za-z0-9-]*$/
const BLANKS = /^[\t-\r ]+|[\t-\r ]+$/g

const DISALLOWED = new Set([
  '00000000-0000-0000-0000-000000000000',
  'anon',
  'anonymous',
  'nil',
  'none',
  'null',
  'n/a',
  'na',
  'undefined',
  'unknown',
  '<nil>',
  '0',
  '-1',
  'true',
  'false',
  '[]',
  '{}',
])

const trimmed = (text: string): string => text.replace(BLANKS, '')
const asciiLower = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

function isDisallowed(text: string): boolean {
  return DISALLOWED.has(asciiLower(trimmed(text)))
}

/** Rules 61 to 64. */
function timeFault(item: Item, receivedMs: number): Fault | undefined {
  const at = (problem: number): Fault => item.faultInProperties(problem, 'time')
  const time = item.properties.get('time')
  if (!isPresent(time)) return at(ProblemId.importTimeMissing)
  if (time.kind !== 'number') return at(ProblemId.importTimeInvalid)
  const ms = timeMs(time.raw())!
  if (ms > receivedMs + FUTURE_MS_MAX) return at(ProblemId.importTimeFuture)
  return ms < YEAR_1971_MS ? at(ProblemId.importTimePast) : undefined
}

/** Rules 65 and 66. */
function distinctIdFault(item: Item): Fault | undefined {
  const at = (problem: number): Fault => item.faultInProperties(problem, 'distinct_id')
  const value = item.properties.get('distinct_id')
  if (!isPresent(value)) return at(ProblemId.importDistinctIdMissing)
  const text = value.text()
  const bad = text === undefined || isDisallowed(text)
  return bad ? at(ProblemId.importDistinctIdDisallowed) : undefined
}

/** Rules 67 to 70. */
function insertIdFault(item: Item): Fault | undefined {
  const at = (problem: number): Fault => item.faultInProperties(problem, '$insert_id')
  const value = item.properties.get('$insert_id')
  const text = value?.text()
  if (!isPresent(value) || text === '') return at(ProblemId.importInsertIdMissing)
  if (text === undefined) {
    const empty = !new Walker(value.bytes, value).next()
    return at(empty ? ProblemId.importInsertIdDisallowed : ProblemId.importInsertIdCharset)
  }
  if (isDisallowed(text)) return at(ProblemId.importInsertIdDisallowed)
  if (!INSERT_ID.test(text)) return at(ProblemId.importInsertIdCharset)
  return text.length > INSERT_ID_BYTES_MAX ? at(ProblemId.importInsertIdTooLong) : undefined
}

/** Rules 60 and 26. */
function outlineFault(item: Item): Fault | undefined {
  const event = item.top.get('event')?.string()
  if (event === undefined || trimmed(event) === '') return item.faultAt(ProblemId.importEventBlank, 'event')
  if (item.top.get('properties')?.kind === 'object') return undefined
  return item.faultAt(ProblemId.propertiesInvalid, 'properties')
}

function fieldsFault(item: Item, receivedMs: number): Fault | undefined {
  return timeFault(item, receivedMs) ?? distinctIdFault(item) ?? insertIdFault(item)
}

export function judgeStrictImport(item: Item, circumstances: Circumstances): Verdict {
  const outline = outlineFault(item)
  if (outline) return { fault: outline }
  const token = importToken(item, circumstances)
  if (isUnknown(token, circumstances)) {
    return { fault: item.faultInProperties(ProblemId.tokenUnknown, 'token') }
  }
  const fields = isMerge(item) ? undefined : fieldsFault(item, circumstances.receivedMs)
  const fault = fields ?? utf8Fault(item) ?? shapeFault(item)
  return fault ? { fault, token } : { token }
}
