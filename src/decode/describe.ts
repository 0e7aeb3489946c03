/** From a row's integers to words: the problem as people and replies see it (docs/PROTOCOL.md 7.6). */
import { asBuffer } from '../as-buffer.js'
import { cutForJson } from '../cut.js'
import { type DecodedBatch, type DecoderOptions, Param, type Problem, Row } from './decoder.js'
import { PROBLEMS, ProblemId, type ProblemText } from './problems.js'
import { Byte } from './reference/bytes.js'
import { readMembers, skipValue, Value } from './reference/members.js'
import { stringValue } from './reference/text.js'

/** The batch that a problem is from, and the limits it was decoded under. */
interface Described extends DecodedBatch {
  readonly options: DecoderOptions
}

const GOT_LENGTH_MAX = 80
/** Bytes looked at for `got`: a character is at most four. */
const GOT_BYTES_MAX = (GOT_LENGTH_MAX + 1) * 4

/** Names may be as long as a record; a reply that repeats many of them must not be (docs/PROTOCOL.md 7.1). Bytes of JSON. */
const MEMBER_BYTES_MAX = 255

/** RFC 6901. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

const LIMITS = new Map<number, (view: Described) => number>([
  [ProblemId.tooManyRecords, (view) => view.options.recordsMax],
  [ProblemId.outputTooLarge, (view) => view.options.outputBytesMax],
  [ProblemId.recordTooLarge, (view) => view.options.recordBytesMax],
])

function messageTemplate(view: Described, text: ProblemText): string {
  const strictImport = (view.params & Param.strict) !== 0 && view.endpoint === 'import'
  return (strictImport && text.strict_message) || text.message
}

function fill(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{(n|limit|offset|member)\}/g, (_, name: string) => String(values[name]))
}

function isProfile(view: Described): boolean {
  return view.endpoint === 'engage' || view.endpoint === 'groups'
}

/** The named member's value inside `container`; of duplicates the last. */
function memberOf(container: Value | undefined, name: string): Value | undefined {
  if (container?.kind !== 'object') return undefined
  return readMembers(container.bytes, container, new Set([name])).get(name)
}

/** The value that a pointer of the declaration (at most two plain names) leads to. */
function resolve(record: Value, pointer: string): Value | undefined {
  return pointer.split('/').slice(1).reduce<Value | undefined>(memberOf, record)
}

function shorten(text: string): string {
  return text.length <= GOT_LENGTH_MAX ? text : `${cutAtCharacter(text, GOT_LENGTH_MAX)}…`
}

function cutAtCharacter(text: string, length: number): string {
  const code = text.charCodeAt(length - 1)
  const splits = code >= 0xd800 && code <= 0xdbff
  return text.slice(0, splits ? length - 1 : length)
}

function textFrom(payload: Uint8Array, start: number, end: number): string {
  return shorten(asBuffer(payload).toString('utf8', start, Math.min(end, start + GOT_BYTES_MAX)))
}

/** Problems whose offset lies in text that is not known to be JSON. */
const IN_RAW_TEXT: ReadonlySet<number> = new Set([ProblemId.base64Invalid, ProblemId.jsonInvalid])
/** Problems whose offset is a byte inside a string. */
const IN_STRINGS: ReadonlySet<number> = new Set([
  ProblemId.importUtf8Invalid,
  ProblemId.importRecordUtf8Invalid,
])

function got(view: Described, index: number, pointer: string): string {
  const problem = view.row(index, Row.problem)
  const offset = view.row(index, Row.problemOffset)
  const payload = view.payload()
  const start = view.row(index, Row.rawStart)
  const end = start + view.row(index, Row.rawLength)
  if (offset < 0 || offset >= end) return ''
  if (IN_RAW_TEXT.has(problem)) return textFrom(payload, offset, end)
  if (IN_STRINGS.has(problem)) return textFrom(payload, offset, stringEnd(payload, offset))
  const record = new Value(payload, start, end)
  if (payload[start] === Byte.openBrace && resolve(record, pointer) === undefined) return ''
  return textFrom(payload, offset, Math.min(end, skipValue(payload, offset)))
}

/** The closing quote of the string that `offset` lies in. */
function stringEnd(payload: Uint8Array, offset: number): number {
  let position = offset
  while (payload[position] !== Byte.quote) position += payload[position] === Byte.backslash ? 2 : 1
  return position
}

function insertIdOf(view: Described, index: number): string | undefined {
  const start = view.row(index, Row.insertIdStart)
  if (start < 0) return undefined
  return new Value(view.payload(), start, start + view.row(index, Row.insertIdLength)).text()
}

function memberName(view: Described, index: number): string | undefined {
  const start = view.row(index, Row.memberStart)
  if (start < 0) return undefined
  const name = stringValue(view.payload(), start, start + view.row(index, Row.memberLength))
  return cutForJson(name, MEMBER_BYTES_MAX)
}

/** All that is known about a rejected row. */
export function describeProblem(view: Described, index: number): Problem {
  const id = view.row(index, Row.problem)
  const text = PROBLEMS.get(id)!
  const offset = view.row(index, Row.problemOffset)
  const member = memberName(view, index)
  const values = {
    n: view.recordCount,
    limit: LIMITS.get(id)?.(view) ?? 0,
    offset,
    member: member ?? '',
  }
  const pointer = (isProfile(view) && text.profile_pointer) || text.pointer
  return {
    id,
    code: text.code,
    index,
    field: fill((isProfile(view) && text.profile_field) || text.field, values),
    pointer: member === undefined ? pointer : `${pointer}/${escapePointer(member)}`,
    offset,
    message: fill(messageTemplate(view, text), values),
    hint: text.hint,
    got: got(view, index, pointer),
    insertId: insertIdOf(view, index),
  }
}
