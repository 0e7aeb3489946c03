/** The JSON grammar, its error offsets, roots, lines and depth (docs/DECODING.md 3). */
import { describe, expect, it } from 'vitest'
import { ENDPOINTS } from '../../../src/record.js'
import type { Make } from '../decoder.cases.js'
import { decode, type Input, json, ndjson, post, sniff, track } from '../harness.js'
import { faultCases, type FaultCase, faultOf } from './faults.js'

/** Broken inside a property's value: what stands in front of and behind it is fine. */
const VALUES: readonly FaultCase[] = [
  '«',
  '«]',
  '«,',
  '«}',
  '«hello',
  '«tru',
  '«truE',
  '«nul}',
  '«Nan',
  '«NAN',
  '«Infinit',
  '«+1',
  '«.5',
  "«'a'",
  '«\v1',
  '«/*x*/1',
  '-«',
  '-«a',
  '-«.5',
  '-« 1',
  '-«Infinitx',
  '-«NaN',
  '0«1',
  '-0«1',
  '1.«',
  '1.«e5',
  '1e«',
  '1e+«',
  '1e-«x',
  '1«x',
  '1.5«.5',
  '1 «2',
  'null«x',
  'true«false',
  'NaN«N',
  '"a«',
  '"a«\n"',
  '"a«\t"',
  '"a«\u0000"',
  '"a«\u001f"',
  '"\\«',
  '"\\«x"',
  '"\\« "',
  '"\\«U0041"',
  '"\\u«',
  '"\\u«"',
  '"\\u00«"',
  '"\\u00«',
  '"\\u12«g4"',
  '"\\ud83c\\u«zzzz"',
  '"\\ud83c\\«x"',
  '"a"«"b"',
  '[1«',
  '[1,«',
  '[1,«]',
  '[1 «2]',
  '[1«}',
  '[«}',
  '[«,',
  '{«',
  '{«]',
  '{«a:1}',
  '{«1:1}',
  '{"a"«',
  '{"a" «1}',
  '{"a"«,',
  '{"a":«',
  '{"a":«}',
  '{"a":1«',
  '{"a":1,«',
  '{"a":1,«}',
  '{"a":1 «"b":2}',
  '{"a":1«]',
  '{"a«',
].map((value) => ['json_invalid', `[{"event":"e","properties":{"token":"t","x":${value}`])

const WHOLE: readonly FaultCase[] = [
  ['json_invalid', '{}«x'],
  ['json_invalid', '{} «{}'],
  ['json_invalid', '[]«]'],
  ['json_invalid', '[1]«,[2]'],
  ['json_invalid', '[«'],
  ['json_invalid', '[{}«'],
  ['json_invalid', '[{}«{}]'],
  ['json_invalid', '[{},«]'],
  ['json_invalid', '[«,{}]'],
  ['json_invalid', '«hello'],
  ['json_invalid', ' \r\n\t [«'],
  ['json_invalid', '[«   \n '],
  ['json_invalid', '\ufeff {}«}'],
  ['json_invalid', '{}«\ufeff'],
  ['json_invalid', '\ufeff«\ufeff{}'],
]

const VALID_VALUES = [
  '0',
  '-0',
  '-0.0e-0',
  '1E5',
  '123456789012345678901234567890.5',
  '1e400',
  '""',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"',
  '"\u007f\u2028"',
  '[]',
  '{}',
  '[[],{},[[]]]',
  '{"":{"":[]}}',
  'true',
  'false',
  'null',
]

export function grammarCases(make: Make): void {
  // Base64 first byte rules do not apply to forms' payloads, so that any text reaches the scanner.
  const request = (body: string): Input => ({
    ...json(''),
    query: `data=${encodeURIComponent(Buffer.from(body).toString('base64'))}`,
  })
  describe('syntax errors inside a value', () => faultCases({ make, request }, VALUES))
  describe('syntax errors of the whole', () => faultCases({ make, request }, WHOLE))
  it.each(VALID_VALUES)('keeps the value %s as it is', (value) => {
    const { rows } = decode(make(), track(`{"event":"e","properties":{"token":"t","x":${value}}}`))
    expect(rows[0]!.record).toBe(`{"event":"e","properties":{"token":"t","x":${value}}}`)
  })
  describe('roots', () => rootCases(make, request))
  describe('lines', () => lineCases(make))
  describe('sniffed lines', () => sniffedLineCases(make))
  describe('depth', () => depthCases(make))
}

function rootCases(make: Make, request: (body: string) => Input): void {
  it('takes one object or a list of them', () => {
    const one = '{"event":"e","properties":{"token":"t"}}'
    expect(decode(make(), track(one)).rows).toHaveLength(1)
    const { batch, rows } = decode(make(), track(` [ ${one} ,\r\n${one},7]\t`))
    expect(rows.map((row) => row.outcome)).toEqual(['accepted', 'accepted', 'rejected'])
    expect(batch).toMatchObject({ received: 3, accepted: 2, rejected: 1, recordCount: 3, firstRejected: 2 })
  })
  faultCases({ make, request }, [
    ['payload_not_records', ' «"str"'],
    ['payload_not_records', '«12 '],
    ['payload_not_records', '«null'],
    ['payload_not_records', '«NaN'],
    ['payload_not_records', '«-Infinity'],
    ['record_not_object', '[«[{}]]', { index: 0, got: '[{}]' }],
    ['record_not_object', '[«"str"]', { got: '"str"' }],
    ['record_not_object', '[«null]'],
    ['record_not_object', '[«NaN]'],
  ])
  it('an empty list is missing data', () => {
    const { rows, batch, payload } = decode(make(), track(' [ ] '))
    expect(rows[0]!.problem).toMatchObject({ code: 'data_missing', offset: -1 })
    expect(batch).toMatchObject({ undecodable: true, recordCount: 0 })
    expect(payload).toBe(' [ ] ')
  })
  it('P5: the last of duplicate members counts, and all of them are kept', () => {
    const text =
      '{"event":"a","event":"b","properties":{"token":"x"},"properties":{"token":"t","\\u0074oken":"u"}}'
    const { rows } = decode(make(), track(text))
    expect(rows[0]).toMatchObject({ record: text, token: 'u' })
  })
  it('names of JavaScript’s own mean nothing', () => {
    const text =
      '{"__proto__":{"event":"x"},"constructor":1,"event":"e","properties":{"__proto__":{"token":"p"},' +
      '"hasOwnProperty":null,"toString":"s","token":"t"}}'
    expect(decode(make(), track(text)).rows[0]).toMatchObject({
      outcome: 'accepted',
      record: text,
      token: 't',
    })
    const inherited = '{"event":"e","properties":{"__proto__":{"token":"p"}}}'
    expect(decode(make(), track(inherited)).rows[0]!.problem!.code).toBe('token_missing')
  })
  it('compares names after unescaping', () => {
    const { rows } = decode(make(), track('{"\\u0065vent":"a","prop\\u0065rties":{"token":"t"}}'))
    expect(rows[0]!.outcome).toBe('accepted')
  })
}

function lineCases(make: Make): void {
  const one = '{"event":"e","properties":{"token":"t"}}'
  it('splits at LF, trims each line, skips empty ones', () => {
    const { rows, batch } = decode(make(), ndjson(`\ufeff\n${one}\r\n\n \v \n\f${one} \t\n`))
    expect(rows.map((row) => row.record)).toEqual([one, one])
    expect(batch).toMatchObject({ received: 2, recordCount: 2, undecodable: false })
  })
  it('P3: a line that is not JSON is rejected alone', () => {
    const text = `${one}\n{"event":]\n[${one}]\n${one} ${one}\n\ufeff${one}\n{"event"\n${one}`
    const { rows, batch } = decode(make(), ndjson(text))
    expect(rows.map((row) => row.problem?.code)).toEqual([
      undefined,
      'json_invalid',
      'record_not_object',
      'json_invalid',
      'json_invalid',
      'json_invalid',
      undefined,
    ])
    const offsets = rows.map((row) => row.problem?.offset)
    const bytes = Buffer.from(text)
    expect(offsets.slice(1, 6)).toEqual([
      bytes.indexOf('{"event":]') + 9,
      bytes.indexOf(`[${one}]`),
      bytes.indexOf(`${one} ${one}`) + one.length + 1,
      bytes.indexOf('\ufeff'),
      bytes.indexOf('{"event"\n') + 8,
    ])
    expect(batch).toMatchObject({ accepted: 2, rejected: 5, undecodable: false })
  })
  it('nothing but blank lines is missing data', () => {
    expect(decode(make(), ndjson('\n \n', 'data=')).rows[0]!.problem!.code).toBe('data_missing')
  })
  it('lines are only counted when there are too many', () => {
    const { rows, batch } = decode(make({ recordsMax: 3 }), ndjson('{x\n{y\n\nz\n!'))
    expect(rows[0]!.problem).toMatchObject({
      code: 'too_many_records',
      message: 'too many records: 4 (limit 3)',
    })
    expect(batch).toMatchObject({ received: 1, rejected: 1, recordCount: 4, undecodable: true })
  })
}

function sniffedLineCases(make: Make): void {
  const one = '{"event":"e","properties":{"token":"t"}}'
  const codes = (body: string): (string | undefined)[] =>
    decode(make(), sniff(body)).rows.map((row) => row.problem?.code)
  it('tries lines when the first line alone is one value', () => {
    expect(codes(`\n${one}\n${one}\n`)).toEqual([undefined, undefined])
    expect(codes(`${one}\n{broken\n${one}`)).toEqual([undefined, 'json_invalid', undefined])
    expect(codes(`[]\n${one}`)).toEqual(['record_not_object', undefined])
  })
  it('leaves other syntax errors as they are', () => {
    expect(codes(`${one}${one}`)).toEqual(['json_invalid'])
    expect(codes(`{broken\n${one}`)).toEqual(['json_invalid'])
    expect(codes(`${one} ${one}\n${one}`)).toEqual(['json_invalid'])
    expect(codes(`${one}\n`)).toEqual([undefined])
    expect(codes(`[${one},\n${one},\n]`)).toEqual(['json_invalid'])
  })
  it('lines that are posted as a form or as JSON are one broken value', () => {
    expect(decode(make(), json(`${one}\n${one}`)).rows[0]!.problem!.code).toBe('json_invalid')
  })
}

function depthCases(make: Make): void {
  const nested = (levels: number): string =>
    `{"event":"e","properties":{"token":"t"},"x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
  it('P3: accepts 64 levels and rejects 65 alone, at the bracket', () => {
    const { rows } = decode(make(), track(`[${nested(64)},${nested(65)},${nested(64)}]`))
    expect(rows.map((row) => row.problem?.code)).toEqual([undefined, 'record_too_deep', undefined])
    const { problem, offset } = faultOf({ make, request: track }, nested(65).replace(/\[(?=\])/, '«['))
    expect(problem).toMatchObject({
      code: 'record_too_deep',
      offset,
      message: `data, nested too deeply at byte ${offset}`,
    })
  })
  it.each(ENDPOINTS)('P3: a million brackets on /%s', (endpoint) => {
    const levels = 1_000_000
    const open = decode(make(), post(endpoint, '['.repeat(levels)))
    expect(open.rows[0]!.problem).toMatchObject({ code: 'json_invalid', offset: levels })
    const closed = decode(make(), post(endpoint, `[${nested(levels)}]`))
    expect(closed.rows[0]!.problem!.code).toBe('record_too_large')
    const objects = decode(
      make({ recordBytesMax: 1e8 }),
      post(endpoint, `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`),
    )
    expect(objects.rows[0]!.problem).toMatchObject({ code: 'record_too_deep', offset: 5 * 64 })
  })
}
