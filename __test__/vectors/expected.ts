/** From what a vector says of a record to the exact bytes that must be in the log (docs/PROTOCOL.md 9.3 and 9.4). */
import type { Endpoint } from '../../src/record.js'
import { bytesOf, type ExpectedRecord, type ExpectedReject, terms } from './golden.js'

/** What a vector cannot know: the request's own values. */
export interface Surroundings {
  readonly receivedMs: number
  readonly requestId: string
  /** JSON texts. */
  readonly ipJson: string
  readonly uaJson: string
}

export interface LoggedRecord {
  readonly key: string
  readonly value: string
}

/** Key and envelope of each record that must be there, in order. */
export function expectedRecords(
  expected: readonly ExpectedRecord[],
  about: Surroundings,
): readonly LoggedRecord[] {
  let next = 0
  return expected.flatMap((one) => {
    const times = one.times ?? 1
    const first = one.index ?? next
    next = first + times
    return Array.from({ length: times }, (_, at) => loggedRecord(one, first + at, about))
  })
}

function loggedRecord(one: ExpectedRecord, index: number, about: Surroundings): LoggedRecord {
  const all: ExpectedRecord = { ...(one.like === undefined ? {} : recordLike(one.like)), ...one }
  const fill = (text: string): string =>
    text.replaceAll('{request_id}', about.requestId).replaceAll('{index}', String(index))
  const insertId = fill(all.insert_id!)
  const members = [
    ['v', '1'],
    ['kind', JSON.stringify(all.kind)],
    ['token', JSON.stringify(all.token)],
    ['project_id', JSON.stringify(all.project_id ?? null)],
    ['received_ms', String(about.receivedMs)],
    ['request_id', JSON.stringify(about.requestId)],
    ['index', String(index)],
    ['ip', all.ip === null ? 'null' : about.ipJson],
    ['geo', JSON.stringify(all.geo)],
    ['ua', about.uaJson],
    ['lib', JSON.stringify(all.lib ?? null)],
    ['insert_id', JSON.stringify(insertId)],
    ['insert_id_source', JSON.stringify(all.insert_id_source)],
    ['distinct_id', JSON.stringify(all.distinct_id)],
    ['distinct_id_source', JSON.stringify(all.distinct_id_source)],
    ['time_ms', String(all.time_ms)],
    ['flags', JSON.stringify(all.flags)],
    ['record', fill(bytesOf(all.record!).toString())],
  ]
  const value = `{${members.map(([name, json]) => `"${name}":${json}`).join(',')}}`
  return { key: fill(all.key!).replaceAll('{insert_id}', insertId), value }
}

function recordLike(name: string): ExpectedRecord {
  const found = terms.records[name]
  if (found === undefined) throw new Error(`no such record: ${name}`)
  return found
}

/** The value of each rejected record that must be there, in order. */
export function expectedRejects(
  expected: readonly ExpectedReject[],
  endpoint: Endpoint,
  about: Surroundings,
): readonly string[] {
  return expected.map((one) => {
    const { index, token, code, field, pointer, offset, message } = one
    const head = {
      v: 1,
      kind: 'rejected',
      endpoint,
      token,
      ...(endpoint === 'import' && { project_id: one.project_id ?? null }),
      received_ms: about.receivedMs,
      request_id: about.requestId,
      index,
    }
    const tail = {
      problem: { code, field, pointer, offset, message },
      ...(one.raw !== undefined && { raw: bytesOf(one.raw).toString() }),
      ...(one.raw_base64 !== undefined && { raw_base64: bytesOf(one.raw_base64).toString() }),
      ...(one.truncated && { truncated: true }),
    }
    const peer = `"ip":${one.ip === null ? 'null' : about.ipJson},"ua":${about.uaJson}`
    return `${JSON.stringify(head).slice(0, -1)},${peer},${JSON.stringify(tail).slice(1)}`
  })
}

/** The endpoint that a target names; undefined for others. */
export function endpointOf(target: string): Endpoint | undefined {
  const [, name] = /^\/(track|engage|groups|import)\/?(?:[?#%]|$)/.exec(target) ?? []
  return name as Endpoint | undefined
}
