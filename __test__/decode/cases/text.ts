/** Repair of UTF-8, CESU-8, lone surrogates and NaN (docs/DECODING.md 6; docs/PROTOCOL.md 6). */
import { describe, expect, it } from 'vitest'
import type { Make } from '../decoder.cases.js'
import {
  base64,
  decode,
  engage,
  form,
  groups,
  latin1,
  lenientImport,
  strictImport,
  track,
} from '../harness.js'

/** Bytes inside a string (latin1), and the text that they become. */
const UTF8: readonly [bytes: string, text: string][] = [
  ['\x80', '�'],
  ['\xbf\xbf', '��'],
  ['\xc0\xaf', '��'],
  ['\xc1\x81', '��'],
  ['\xc2', '�'],
  ['\xc2a', '�a'],
  ['\xc3\xa9\xc3', 'é�'],
  ['\xe2\x82', '�'],
  ['\xe2\x82a', '�a'],
  ['\xe2\xc3\xa9', '�é'],
  ['\xe0\x80\x80', '���'],
  ['\xe0\x9f\xbf', '���'],
  ['\xed\xa0\x80', '���'],
  ['\xed\xbf\xbf', '���'],
  ['\xed\xb0\x80\xed\xa0\x80', '������'],
  ['\xed\xa0\x80\xed\xa0\x80', '������'],
  ['\xed\xa0', '��'],
  ['\xed\xa0\x80\xed\xb0', '�����'],
  ['\xed\xa0\x80x', '���x'],
  ['\xf0\x9f\x98', '�'],
  ['\xf0\x9f\x98x', '�x'],
  ['\xf0\x80\x80\x80', '����'],
  ['\xf0\x8f\xbf\xbf', '����'],
  ['\xf4\x8f\xbf', '�'],
  ['\xf4\x90\x80\x80', '����'],
  ['\xf5\x80\x80\x80', '����'],
  ['\xff\xfe', '��'],
  ['\xf0\x9f\xf0\x9f\x98\x80', '�😀'],
  ['\xed\xa0\xbd\xed\xb8\x80', '😀'],
  ['\xed\xaf\xbf\xed\xbf\xbf', '\u{10ffff}'],
  ['\xed\xa0\x80\xed\xb0\x80', '\u{10000}'],
  ['\xed\xa0\x80\xed\xa0\xbd\xed\xb8\x80', '���😀'],
  ['a\xed\xa0\xbd\xed\xb8\x80\xffb', 'a😀�b'],
]

/** Valid sequences at the edges of their ranges: kept as they are. */
const VALID = [
  '\u0080',
  '\u07ff',
  '\u0800',
  '\ud7ff',
  '\ue000',
  '\uffff',
  '\u{10000}',
  '\u{10ffff}',
  '\u007f',
  '�',
]

/** Escapes as written, and what stands in the record. */
const ESCAPES: readonly [written: string, record: string][] = [
  ['\\ud800', '�'],
  ['\\uDBFF', '�'],
  ['\\udc00', '�'],
  ['\\udfff', '�'],
  ['\\ud83dx', '�x'],
  ['\\ud83d\\n', '�\\n'],
  ['\\ud83d\\u0041', '�\\u0041'],
  ['\\ud83d\\ud83d\\ude00', '�\\ud83d\\ude00'],
  ['\\ude00\\ud83d', '��'],
  ['\\ud83d\\ude00\\ude00', '\\ud83d\\ude00�'],
  ['\\\\\\ud800', '\\\\�'],
]

const UNTOUCHED = [
  '\\ud83d\\ude00',
  '\\uD83D\\uDE00',
  '\\\\ud800',
  '\\ud7ff',
  '\\ue000',
  '\\u0000',
  '\\/',
  '\\uFFFD',
  'NaN',
]

export function textCases(make: Make): void {
  /** Everywhere in the record: in the event's name, in a member's name, in a nested value. */
  const texts = (inside: string): string[] => [
    `{"event":"${inside}","properties":{"token":"t"}}`,
    `{"event":"e","properties":{"token":"t","${inside}":1}}`,
    `{"event":"e","properties":{"token":"t"},"x":[{"a":["${inside}"]}]}`,
  ]
  it.each(UTF8)('UTF-8 %j becomes %j', (bytes, text) => {
    for (const [index, given] of texts(bytes).entries()) {
      const { rows } = decode(make(), track(latin1(given)))
      expect(rows[0]).toMatchObject({ record: texts(text)[index], flags: ['utf8_repaired'] })
    }
  })
  const withoutCesu = UTF8.filter(([bytes]) => !bytes.includes('\xed'))
  it.each(withoutCesu)('agrees with WHATWG’s decoder on %j', (bytes) => {
    const { rows } = decode(make(), track(latin1(texts(bytes)[0]!)))
    expect(rows[0]!.record).toBe(new TextDecoder().decode(latin1(texts(bytes)[0]!)))
  })
  it.each(VALID)('keeps %j', (text) => {
    const { rows } = decode(make(), track(texts(text)[0]!))
    expect(rows[0]).toMatchObject({ record: texts(text)[0], flags: [] })
  })
  it.each(ESCAPES)('the escape %s becomes %s', (written, record) => {
    for (const [index, given] of texts(written).entries()) {
      const { rows } = decode(make(), track(given))
      expect(rows[0]).toMatchObject({ record: texts(record)[index], flags: ['surrogate_repaired'] })
    }
  })
  it.each(UNTOUCHED)('P5: leaves %s as it is written', (written) => {
    for (const given of texts(written)) {
      expect(decode(make(), track(given)).rows[0]).toMatchObject({ record: given, flags: [] })
    }
  })
  it('two halves of a pair, one an escape and one CESU-8, are no pair', () => {
    const { rows } = decode(make(), track(latin1(texts('\\ud83d\xed\xb8\x80')[0]!)))
    expect(rows[0]).toMatchObject({
      record: texts('����')[0],
      flags: ['utf8_repaired', 'surrogate_repaired'],
    })
  })
  it('repairs what the rules and the envelope read, too', () => {
    const text =
      '{"event":"e","properties":{"token":"t\xff","distinct_id":"\\udc00\xed\xa0\xbd\xed\xb8\x80"}}'
    const { rows } = decode(make(), track(latin1(text)))
    expect(rows[0]).toMatchObject({ token: 't�', key: 't�:�😀' })
    const listed = decode(make({ tokensAllowed: ['t�'] }), track(latin1(text)))
    expect(listed.rows[0]!.outcome).toBe('accepted')
  })
  it('repairs text inside base64, and bytes of a percent-encoded form', () => {
    const bytes = latin1('{"event":"\xe9","properties":{"token":"t"}}')
    for (const body of [`data=${base64(bytes)}`, latin1(`data=${bytes.toString('latin1')}`)]) {
      expect(decode(make(), form(body)).rows[0]!.record).toBe('{"event":"�","properties":{"token":"t"}}')
    }
  })
  describe('NaN', () => nanCases(make))
  it('flags are those of the record’s own text', () => {
    const clean = '{"event":"e","properties":{"token":"t"}}'
    const list = `[${clean},${texts('\xff')[0]},${clean},${texts('\\ud800')[2]},${clean}]`
    const { rows } = decode(make(), track(latin1(list)))
    expect(rows.map((row) => row.flags)).toEqual([[], ['utf8_repaired'], [], ['surrogate_repaired'], []])
  })
}

function nanCases(make: Make): void {
  const event = (value: string): string =>
    `{"event":"e","properties":{"token":"t","a":[${value}],"b":${value}}}`
  it.each(['NaN', 'Infinity', '-Infinity'])('%s is null outside strict', (value) => {
    for (const request of [track(event(value)), lenientImport(event(value))]) {
      expect(decode(make(), request).rows[0]).toMatchObject({
        record: event('null'),
        flags: ['nan_replaced'],
      })
    }
    const profile = (inside: string): string => `{"$token":"t","$distinct_id":"u","$set":{"a":${inside}}}`
    expect(decode(make(), engage(profile(value))).rows[0]!.record).toBe(profile('null'))
    const group = (inside: string): string =>
      `{"$token":"t","$group_key":"k","$group_id":"i","$set":{"a":${inside}}}`
    expect(decode(make(), groups(group(value))).rows[0]!.record).toBe(group('null'))
    const strict = decode(make(), strictImport(event(value)))
    expect(strict.rows[0]!.problem!.code).toBe('json_invalid')
  })
  it('on /track strict means nothing', () => {
    expect(decode(make(), track(event('NaN'), 'strict=1')).rows[0]!.outcome).toBe('accepted')
  })
}
