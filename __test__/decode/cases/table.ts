/** Rows and header as numbers, room, tokens and limits (docs/DECODING.md 3, 5, 7 and 8). */
import { describe, expect, it } from 'vitest'
import {
  type Decoder,
  Param,
  Row,
  Status,
  TOKEN_BYTES_MAX,
  TOKEN_NONE,
  TOKEN_SHARED,
} from '../../../src/decode/decoder.js'
import { ProblemId } from '../../../src/decode/problems.js'
import type { Make } from '../decoder.cases.js'
import {
  CONTEXT,
  decode,
  engage,
  EVENT,
  eventWith,
  form,
  get,
  GROUP,
  groups,
  type Input,
  json,
  lenientImport,
  ndjson,
  PROFILE,
  strictImport,
  track,
} from '../harness.js'
import { sharedBytes } from '../../../src/shared-bytes.js'
import { requestId } from '../../../src/request-id.js'

const NO_ROOM = { bytes: sharedBytes(0), position: 0, end: 0 }
const event = (token: string, more = ''): string => `{"event":"e","properties":{"token":"${token}"${more}}}`

/** A row's numbers by name. */
function rowOf(numbers: readonly number[]): Record<string, number> {
  return Object.fromEntries(Object.keys(Row).map((name, index) => [name, numbers[index]!]))
}

function rowCases(make: Make): void {
  it('an accepted, an ignored and a rejected row', () => {
    const good = JSON.stringify(EVENT)
    const ignored = event('t2', ',"$ignore":true')
    const bad = event('', ',"$insert_id":"i\\u0064"')
    const text = `[${good}, ${ignored},${bad} ]`
    const { rows, batch, bytes } = decode(make(), track(text))
    expect(rows.map((row) => rowOf(row.numbers))).toEqual([
      {
        ...rowOf([0, 0, bytes.length, 1, 2, batch.row(0, Row.keyHash), 0, -1, -1, 0, 1, good.length, -1, 0]),
      },
      rowOf([2, 0, 0, 0, 3, 0, 0, -1, -1, 0, text.indexOf(ignored), ignored.length, -1, 0]),
      rowOf(
        [
          1,
          0,
          0,
          0,
          TOKEN_NONE,
          0,
          ProblemId.tokenMissing,
          text.indexOf('""'),
          -1,
          0,
          text.indexOf(bad),
        ].concat([bad.length, text.indexOf('"i\\u'), 9]),
      ),
    ])
    expect(batch.row(0, Row.keyHash)).not.toBe(0)
    expect(rows[2]!.problem!.insertId).toBe('id')
    expect(batch).toMatchObject({
      received: 3,
      accepted: 1,
      ignored: 1,
      rejected: 1,
      rows: 3,
      recordCount: 3,
    })
    expect(batch).toMatchObject({
      status: Status.ok,
      firstRejected: 2,
      undecodable: false,
      endpoint: 'track',
    })
    expect(batch).toMatchObject({ bytesNeeded: bytes.length, end: bytes.length, params: 0 })
  })
  it('the one row of an undecodable payload', () => {
    const { rows, batch } = decode(make(), track(' [{]', 'verbose=1'))
    expect(rows.map((row) => rowOf(row.numbers))).toEqual([
      rowOf([1, 0, 0, 0, TOKEN_NONE, 0, ProblemId.jsonInvalid, 3, -1, 0, 0, 4, -1, 0]),
    ])
    expect(batch).toMatchObject({
      received: 1,
      rejected: 1,
      accepted: 0,
      ignored: 0,
      recordCount: 0,
      rows: 1,
    })
    expect(batch).toMatchObject({ bytesNeeded: 0, end: 0, undecodable: true, firstRejected: 0 })
    expect(batch.params).toBe(Param.verbose1)
  })
  it('names the member at fault by its raw text', () => {
    const text = '{"$token":"t","$distinct_id":"u","$set_once":{},"$add":{"n":1,"\\u0061/~b":null}}'
    const { rows } = decode(make(), engage(text))
    const row = rowOf(rows[0]!.numbers)
    expect(text.slice(row['memberStart'], row['memberStart']! + row['memberLength']!)).toBe('\\u0061/~b')
    expect(rows[0]!.problem).toMatchObject({ field: '$add', pointer: '/$add/a~1~0b', got: 'null' })
  })
  it('raw positions of lines are those of the trimmed line', () => {
    const text = `\n \t${event('t')}\r\n  {bad} \n`
    const { rows } = decode(make(), ndjson(text))
    const found = rows.map((row) => rowOf(row.numbers))
    expect(found[0]).toMatchObject({ rawStart: 3, rawLength: event('t').length })
    expect(found[1]).toMatchObject({ rawStart: text.indexOf('{bad}'), rawLength: 5, insertIdStart: -1 })
  })
  it('payloads of forms lie elsewhere than the body; both are shown', () => {
    const text = `[${event('t')},7]`
    const data = Buffer.from(text).toString('base64')
    for (const request of [form(`data=${data}`), get(`data=${data}`), json(text), get(`data=${text}`)]) {
      const { payload, rows } = decode(make(), request)
      expect(payload).toBe(text)
      expect(rows[1]!.problem).toMatchObject({ offset: text.length - 2, got: '7' })
    }
  })
  describe('insert ids of rejected records', () => insertIdCases(make))
}

/** Request, the raw text of the insert id that the row must point to, what the problem shows. */
const INSERT_IDS: readonly [request: Input, raw: string | undefined, shown: string | undefined][] = [
  [track('{"properties":{"$insert_id":"a"}}'), '"a"', 'a'],
  [track('{"properties":{"$insert_id":"a","$insert_id":1.0}}'), '1.0', '1.0'],
  [track('{"properties":{"$insert_id":"a"},"properties":{"$insert_id":true}}'), 'true', 'true'],
  [track('{"properties":{"$insert_id":"a"},"properties":{}}'), undefined, undefined],
  [track('{"properties":{"$insert_id":"a"},"properties":[]}'), undefined, undefined],
  [track('{"$insert_id":"a","properties":{}}'), undefined, undefined],
  [track('{"properties":{"$insert_id":null}}'), undefined, undefined],
  [track('{"properties":{"$insert_id":"a","$insert_id":null}}'), undefined, undefined],
  [track('{"properties":{"$insert_id":[]}}'), undefined, undefined],
  [track('{"properties":{"$insert_id":NaN}}'), undefined, undefined],
  [track('{"properties":{"$insert_\\u0069d":""}}'), '""', ''],
  [track('7'), undefined, undefined],
  [lenientImport('{"properties":{"$insert_id":"a"}}'), '"a"', 'a'],
  [strictImport('{"properties":{"$insert_id":"\\ud800"}}'), '"\\ud800"', '\ufffd'],
  [engage('{"$insert_id":"a","properties":{"$insert_id":"b"}}'), '"a"', 'a'],
  [engage('{"$insert_id":"a","$insert_id":{}}'), undefined, undefined],
  [groups('{"$insert_id":false}'), 'false', 'false'],
  [track(`{"properties":{"$insert_id":"a"},"x":${'['.repeat(64)}${']'.repeat(64)}}`), '"a"', 'a'],
]

function insertIdCases(make: Make): void {
  it.each(INSERT_IDS)('%#: %j', (request, raw, shown) => {
    const { rows, payload } = decode(make(), { ...request })
    const rejected = rowOf(rows[0]!.numbers)
    expect(rejected['outcome']).toBe(1)
    const { insertIdStart, insertIdLength } = rejected as Record<'insertIdStart' | 'insertIdLength', number>
    const found = insertIdStart < 0 ? undefined : payload.slice(insertIdStart, insertIdStart + insertIdLength)
    expect([found, rows[0]!.problem!.insertId]).toEqual([raw, shown])
    if (raw === undefined) expect([insertIdStart, insertIdLength]).toEqual([-1, 0])
  })
}

function roomCases(make: Make): void {
  const request = track([EVENT, 7, eventWith({ token: 'other' })])
  const needed = (): number => make().decode(request, CONTEXT, NO_ROOM).bytesNeeded
  it('needs exactly the bytes that the records take, and changes nothing before it has them', () => {
    const decoder = make()
    const bytes = sharedBytes(4096).fill(0xaa)
    // Bytes inside the room may have been written; behind its end none.
    for (const less of [needed() - 1, 1, 0]) {
      bytes.fill(0xaa)
      const tooSmall = decoder.decode(request, CONTEXT, { bytes, position: 100, end: 100 + less })
      expect(tooSmall).toMatchObject({ status: Status.needsRoom, bytesNeeded: needed() })
      expect(decoder.tokens.size).toBe(2)
      expect(decoder.tokens.find('t0k')).toBeUndefined()
      const outside = Buffer.concat([bytes.subarray(0, 100), bytes.subarray(100 + less)])
      expect(outside.every((byte) => byte === 0xaa)).toBe(true)
    }
    const batch = decoder.decode(request, CONTEXT, { bytes, position: 100, end: 100 + needed() })
    expect(batch).toMatchObject({ status: Status.ok, bytesNeeded: needed(), end: 100 + needed() })
    expect(decoder.tokens.size).toBe(4)
  })
  it('writes from room.position without gaps, and not one byte beyond', () => {
    const bytes = sharedBytes(4096).fill(0xaa)
    const batch = make().decode(request, CONTEXT, { bytes, position: 333, end: 4000 })
    const [first, third] = [0, 2].map((index) => [
      batch.row(index, Row.position),
      batch.row(index, Row.length),
    ])
    expect(first![0]).toBe(333)
    expect(third![0]).toBe(333 + first![1]!)
    expect(batch.end).toBe(third![0]! + third![1]!)
    expect(batch.end - 333).toBe(needed())
    expect(bytes.subarray(0, 333).every((byte) => byte === 0xaa)).toBe(true)
    expect(bytes.subarray(batch.end).every((byte) => byte === 0xaa)).toBe(true)
  })
  it('takes room in the middle of a larger buffer', () => {
    const outer = sharedBytes(8192).fill(0xaa)
    const batch = make().decode(request, CONTEXT, {
      bytes: outer.subarray(1000, 5000),
      position: 50,
      end: 4000,
    })
    expect(batch.status).toBe(Status.ok)
    expect(batch.event(2).envelope).toContain('"token":"other"')
    expect(outer.subarray(0, 1050).every((byte) => byte === 0xaa)).toBe(true)
    expect(outer.subarray(1000 + batch.end).every((byte) => byte === 0xaa)).toBe(true)
  })
  it('needs no room for what it does not accept', () => {
    for (const body of ['[7]', '{', event('t', ',"$ignore":true'), '']) {
      const batch = make().decode(track(body), CONTEXT, { bytes: sharedBytes(8), position: 5, end: 5 })
      expect(batch).toMatchObject({ status: Status.ok, end: 5, bytesNeeded: 0, accepted: 0 })
    }
  })
  it('a request says the same after any other one', () => {
    const decoder = make()
    const others = [
      track('{'),
      ndjson('{\n{}'),
      form('data=e30=&test=1&ip=0'),
      engage(PROFILE),
      groups(GROUP),
    ]
    const before = decode(decoder, request)
    const expected = [before.rows, before.bytes]
    for (const other of others) {
      decode(decoder, other, {
        requestId: requestId('x'.repeat(40)),
        projectId: 'p',
        authToken: 'a',
        replayed: true,
      })
      decoder.decode(request, CONTEXT, NO_ROOM)
      const again = decode(decoder, request)
      expect([again.rows, again.bytes]).toEqual(expected)
    }
  })
}

function tokenCases(make: Make): void {
  const ids = (decoder: Decoder, request: Input): number[] => {
    const { batch } = decode(decoder, request)
    return Array.from({ length: batch.rows }, (_, index) => batch.row(index, Row.tokenId))
  }
  it('interns in the order of the rows, once each', () => {
    const decoder = make()
    expect(ids(decoder, track(`[${event('a')},${event('b')},${event('a')},${event('\\u0062')}]`))).toEqual([
      2, 3, 2, 3,
    ])
    expect(ids(decoder, track(`[${event('c')},${event('b')}]`))).toEqual([4, 3])
    expect([decoder.tokens.size, decoder.tokens.name(4), decoder.tokens.find('c')]).toEqual([5, 'c', 4])
    expect(decoder.tokens.name(TOKEN_NONE)).toBeUndefined()
    expect(decoder.tokens.name(TOKEN_SHARED)).toBeUndefined()
    expect(decoder.tokens.name(5)).toBeUndefined()
    expect(decoder.tokens.find('d')).toBeUndefined()
    expect([decoder.tokens.intern('c'), decoder.tokens.intern('ü"\n'), decoder.tokens.name(5)]).toEqual([
      4,
      5,
      'ü"\n',
    ])
  })
  it('no token, and tokens that are too long', () => {
    const decoder = make()
    const long = 'é'.repeat(TOKEN_BYTES_MAX / 2)
    const events = [event(long), event(`${long}a`), event('x'.repeat(257)), event('x'.repeat(256))]
    expect(ids(decoder, track(`[${events}]`))).toEqual([2, TOKEN_SHARED, TOKEN_SHARED, 3])
    expect(ids(decoder, lenientImport('{"event":"e","properties":{}}'))).toEqual([TOKEN_NONE])
    expect(decoder.tokens.intern('y'.repeat(257))).toBe(TOKEN_SHARED)
    const { rows } = decode(decoder, track(event(`${long}a`)))
    expect(rows[0]).toMatchObject({ key: `${long}a:req7-0` })
  })
  it('P7: beyond tokensMax they share an id', () => {
    const decoder = make({ tokensMax: 2 })
    expect(ids(decoder, track(`[${['a', 'b', 'c', 'a', 'd'].map((token) => event(token))}]`))).toEqual([
      2, 3, 0, 2, 0,
    ])
    expect([decoder.tokens.size, decoder.tokens.intern('c'), decoder.tokens.find('c')]).toEqual([
      4,
      0,
      undefined,
    ])
  })
  it('ignored rows count for their token, and rejected ones when the rules got beyond it', () => {
    const decoder = make()
    const rows = [
      event('a', ',"$ignore":true'),
      '{"event":"$create_alias","properties":{"token":"b"}}',
      '{"event":"","properties":{"token":"c"}}',
      '{"properties":{"token":"c"}}',
    ]
    expect(ids(decoder, track(`[${rows}]`))).toEqual([2, 3, TOKEN_NONE, TOKEN_NONE])
    expect(decoder.tokens.find('c')).toBeUndefined()
    expect(ids(decoder, engage('[{"$token":"d"},{"$token":"e","$distinct_id":"u","$set":7}]'))).toEqual([
      4, 5,
    ])
    expect(ids(decoder, groups({ $token: 'f' }))).toEqual([6])
    expect(ids(decoder, strictImport('{"event":"e","properties":{"token":"g"}}'))).toEqual([7])
    expect(ids(decoder, strictImport('{"event":"","properties":{"token":"h"}}'))).toEqual([TOKEN_NONE])
    expect(ids(decoder, track(`[${event('i')},{`))).toEqual([TOKEN_NONE])
    expect(decoder.tokens.find('i')).toBeUndefined()
  })
  it('a strict import whose size or depth is wrong keeps its token', () => {
    const good = '"time":1618716477,"distinct_id":"u","$insert_id":"a"'
    const big = `{"event":"e","properties":{"token":"t",${good},"x":"${'x'.repeat(300)}"}}`
    expect(ids(make({ recordBytesMax: 200 }), strictImport(big))).toEqual([2])
    const early = `{"event":"e","properties":{"token":"t","x":"${'x'.repeat(300)}"}}`
    expect(ids(make({ recordBytesMax: 200 }), track(early))).toEqual([TOKEN_NONE])
  })
  it('tokens mode: the configured ones come first; others are refused', () => {
    const decoder = make({ tokensAllowed: ['b', 'a', 'é'] })
    expect([decoder.tokens.size, decoder.tokens.find('é'), decoder.tokens.name(2)]).toEqual([5, 4, 'b'])
    const events = `[${['a', 'c', 'b'].map((token) => event(token))}]`
    expect(ids(decoder, track(events))).toEqual([3, TOKEN_NONE, 2])
    expect(decoder.tokens.size).toBe(5)
    expect(ids(decoder, track('{"event":"$create_alias","properties":{"token":"a"}}'))).toEqual([3])
  })
  it('tokens mode: those beyond tokensMax share an id and stay known', () => {
    const decoder = make({ tokensAllowed: ['a', 'b', 'c'], tokensMax: 2 })
    expect(ids(decoder, track(`[${['a', 'b', 'c'].map((token) => event(token))}]`))).toEqual([2, 3, 0])
    const { tokens } = decoder
    expect([tokens.size, tokens.find('b'), tokens.find('c'), tokens.find('d')]).toEqual([
      4,
      3,
      undefined,
      undefined,
    ])
    expect([tokens.intern('c'), tokens.intern('d'), tokens.intern('a')]).toEqual([
      TOKEN_SHARED,
      TOKEN_SHARED,
      2,
    ])
    const { rows } = decode(decoder, track(`[${event('c')},${event('d')}]`))
    expect(rows.map((row) => row.outcome)).toEqual(['accepted', 'rejected'])
  })
  it('tokens mode: long ones share an id and stay known', () => {
    const long = 'x'.repeat(300)
    expect(ids(make({ tokensAllowed: [long] }), track(event(long)))).toEqual([TOKEN_SHARED])
  })
}

function limitCases(make: Make): void {
  it('P7: 2000 records and no more', () => {
    const records = (count: number): Input => track(`[${Array(count).fill(event('t'))}]`)
    expect(decode(make(), records(2000)).batch).toMatchObject({ accepted: 2000, recordCount: 2000 })
    const { batch, rows } = decode(make(), records(2001))
    expect(batch).toMatchObject({ received: 1, rejected: 1, rows: 1, recordCount: 2001, undecodable: true })
    const message = 'too many records: 2001 (limit 2000)'
    expect(rows[0]!.problem).toMatchObject({ code: 'too_many_records', offset: -1, message })
    const syntax = track(`[${Array(2001).fill('7')},{]`)
    expect(decode(make(), syntax).rows[0]!.problem!.code).toBe('json_invalid')
  })
  it('P7: a record of 1 MiB and no more', () => {
    const sized = (bytes: number): string => {
      const [start, end] = ['{"event":"e","properties":{"token":"t","x":"', '"}}']
      return start + 'x'.repeat(bytes - start.length - end.length) + end
    }
    const { rows } = decode(make(), track(`[${sized(1_048_576)},${sized(1_048_577)},${event('t')}]`))
    expect(rows.map((row) => row.problem?.code)).toEqual([undefined, 'record_too_large', undefined])
    const lines = decode(make(), ndjson(` ${sized(1_048_576)} \n`))
    expect(lines.rows[0]!.outcome).toBe('accepted')
  })
  it('P7: the output of one request is bounded', () => {
    const text = `[${Array(10).fill(event('t'))},7]`
    const { bytesNeeded } = make().decode(track(text), CONTEXT, NO_ROOM)
    expect(decode(make({ outputBytesMax: bytesNeeded }), track(text)).batch.accepted).toBe(10)
    const decoder = make({ outputBytesMax: bytesNeeded - 1 })
    const { batch, rows, payload } = decode(decoder, track(text))
    const message = `data, too large once decoded: limit ${bytesNeeded - 1} bytes`
    expect(rows[0]!.problem).toMatchObject({ code: 'output_too_large', offset: -1, message })
    expect(batch).toMatchObject({
      received: 1,
      rejected: 1,
      recordCount: 11,
      undecodable: true,
      bytesNeeded: 0,
    })
    expect(payload).toBe(text)
    expect(decoder.tokens.size).toBe(2)
    const small = { bytes: sharedBytes(4), position: 4, end: 4 }
    expect(decoder.decode(track(text), CONTEXT, small)).toMatchObject({
      status: Status.ok,
      undecodable: true,
    })
  })
}

export function tableCases(make: Make): void {
  describe('rows', () => rowCases(make))
  describe('room', () => roomCases(make))
  describe('tokens', () => tokenCases(make))
  describe('limits', () => limitCases(make))
}
