/** Rules of /import, strict and not (docs/DECODING.md 4; docs/PROTOCOL.md 5 and 7.3; rule R12). */
import { describe, expect, it } from 'vitest'
import type { Make } from '../decoder.cases.js'
import { decode, IMPORT, importWith, latin1, lenientImport, NOW_MS, strictImport } from '../harness.js'
import { faultCases, type FaultCase } from './faults.js'

const LENIENT: readonly FaultCase[] = [
  ['data_missing', '[«{}]', { field: 'data', pointer: '', message: 'data, missing or empty', got: '{}' }],
  ['data_missing', '«{ \n}'],
  ['event_missing', '«{"properties":{}}'],
  ['event_invalid', '{"event":«"","properties":{}}'],
  ['properties_missing', '«{"event":"e"}'],
  ['properties_invalid', '{"event":"e","properties":«7}'],
  ['distinct_id_missing', '{"event":"$create_alias","properties":«{}}'],
  ['record_not_object', '[«[]]'],
]

/** One fault each; `P` stands for properties that are fine. */
const P = '"time":1618716477000,"distinct_id":"u1","$insert_id":"a-1"'
const withId = (id: string): string =>
  `{"event":"e","properties":{"time":1618716477,"distinct_id":"u","$insert_id":${id}}}`
const withDistinct = (id: string): string =>
  `{"event":"e","properties":{"time":1618716477,"$insert_id":"a","distinct_id":${id}}}`
const withTime = (time: string): string =>
  `{"event":"e","properties":{"time":${time},"distinct_id":"u","$insert_id":"a"}}`

const STRICT: readonly FaultCase[] = [
  ['import_event_blank', '«{}', { field: 'event', message: "'event' must not be missing or blank", got: '' }],
  ['import_event_blank', '{"event":«null}'],
  ['import_event_blank', '{"event":«7}'],
  ['import_event_blank', '{"event":«" \\t\\u000b\\r"}'],
  ['properties_invalid', '«{"event":"e"}', { message: "'properties' is invalid: must be an object" }],
  ['properties_invalid', '{"event":"e","properties":«null}'],
  ['import_time_missing', '{"event":"e","properties":«{}}', { field: 'properties.time', got: '' }],
  ['import_time_missing', withTime('«null')],
  [
    'import_time_invalid',
    withTime('«"1618716477"'),
    { message: "'properties.time' is invalid: must be specified as seconds since epoch" },
  ],
  ['import_time_invalid', withTime('«"2020-01-01"')],
  ['import_time_invalid', withTime('«[]')],
  [
    'import_time_future',
    withTime(`«${NOW_MS + 3_600_001}`),
    { message: "'properties.time' is invalid: must not be in the future" },
  ],
  ['import_time_future', withTime(`«9007199254740993`)],
  ['import_time_future', withTime(`«1e400`)],
  [
    'import_time_past',
    withTime('«0'),
    { message: "'properties.time' is invalid: must not be before 1971-01-01" },
  ],
  ['import_time_past', withTime('«31535999.999')],
  ['import_time_past', withTime('«-1e99')],
  [
    'import_distinct_id_missing',
    '{"event":"e","properties":«{"time":1618716477}}',
    { field: 'properties.distinct_id' },
  ],
  ['import_distinct_id_missing', withDistinct('«null')],
  ['import_distinct_id_disallowed', withDistinct('«[]')],
  ['import_distinct_id_disallowed', withDistinct('«{"a":1}')],
  [
    'import_insert_id_missing',
    '{"event":"e","properties":«{"time":1618716477,"distinct_id":"u"}}',
    { field: '$insert_id' },
  ],
  ['import_insert_id_missing', withId('«null'), { insertId: undefined }],
  ['import_insert_id_missing', withId('«""'), { insertId: '' }],
  ['import_insert_id_disallowed', withId('«"NULL"'), { insertId: 'NULL', pointer: '/properties/$insert_id' }],
  ['import_insert_id_disallowed', withId('«true')],
  ['import_insert_id_disallowed', withId('«{}')],
  ['import_insert_id_disallowed', withId('«[ ]')],
  ['import_insert_id_charset', withId('«[1]'), { insertId: undefined }],
  [
    'import_insert_id_charset',
    withId('«"a:b"'),
    {
      insertId: 'a:b',
      message: "'$insert_id' is invalid: must only contain alphanumeric or hyphen '-' characters",
    },
  ],
  ['import_insert_id_charset', withId('«" "')],
  ['import_insert_id_charset', withId('«"é"')],
  ['import_insert_id_charset', withId(`«"${'_'.repeat(40)}"`)],
  ['import_insert_id_charset', withId('«1.5'), { insertId: '1.5' }],
  [
    'import_insert_id_too_long',
    withId(`«"${'a'.repeat(37)}"`),
    { message: "'$insert_id' is invalid: must be at most 36 bytes" },
  ],
  ['json_invalid', `{"event":"e","properties":{${P},"x":«NaN}}`],
  ['json_invalid', `{"event":"e","properties":{${P},"x":-«Infinity}}`],
]

const DISALLOWED = [
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
]

const list = (length: number): string => `[${Array(length).fill(0).join(',')}]`
const members = (length: number): string => Array.from({ length }, (_, i) => `"k${i % 200}":0`).join(',')
/** An event whose properties are fine, and then `more`. */
const holding = (more: string): string => `{"event":"e","properties":{${P},${more}}}`

const SHAPES: readonly FaultCase[] = [
  [
    'import_too_many_keys',
    `{"event":"e","properties":«{${P},${members(253)}}}`,
    { field: 'properties', pointer: '/properties', got: expect.stringContaining('…') },
  ],
  ['import_nested_too_many_keys', holding(`"a":«{${members(256)}}`), { pointer: '/properties/a' }],
  ['import_nested_too_many_keys', holding(`"x":{"y":[«{${members(256)}}]}`), { pointer: '/properties/x' }],
  ['import_list_too_long', holding(`"a/b~c":«${list(256)}`), { pointer: '/properties/a~1b~0c' }],
  ['import_list_too_long', holding(`"a":{},"b":«[${list(256)},${Array(255).fill('[[[0]]]').join(',')}]`)],
  ['import_list_too_long', holding(`"a":[[1],«${list(256)}]`)],
  [
    'import_too_deep',
    holding('"a":[[[«[]]]]'),
    { pointer: '/properties/a', message: "'properties' is invalid: max nesting depth is 3" },
  ],
  ['import_too_deep', holding('"a":{"b":{"c":{"d":«{}}}}')],
  ['import_too_deep', holding(`"a":[[[«${list(256)}]]],"b":${list(256)}`)],
  ['import_too_deep', holding('"a":[1,[2,[3,«[4,[5]]]]]')],
  ['import_too_many_keys', `{"event":"$merge","properties":«{${members(256)}}}`],
  ['record_too_deep', `{"event":"e","x":${'['.repeat(63)}«[${']'.repeat(64)},"properties":{${P}}}`],
]

function allowedCases(make: Make): void {
  it.each([
    ['the golden record', IMPORT],
    ['an empty distinct_id', importWith({ distinct_id: '' })],
    ['an id of 36 bytes', importWith({ $insert_id: 'A-z0'.repeat(9) })],
    ['a number as insert id', importWith({ $insert_id: 12 })],
    ['one hour ahead', importWith({ time: NOW_MS + 3_600_000 })],
    ['the first instant of 1971', importWith({ time: 31_536_000 })],
    ['a string of 300 characters', importWith({ s: 'x'.repeat(300) })],
    ['$merge with nothing', { event: '$merge', properties: {} }],
    ['$ignore has no meaning here', importWith({ $ignore: true })],
    ['depth 3', importWith({ a: [[[1]]], b: { c: { d: 1 } } })],
    ['255 elements', importWith({ a: Array(255).fill(0) })],
    ['255 properties', importWith(Object.fromEntries(Array.from({ length: 252 }, (_, i) => [`p${i}`, i])))],
  ])('accepts %s', (_, record) => {
    expect(decode(make(), strictImport([record])).rows).toMatchObject([{ outcome: 'accepted' }])
  })
  it('outside strict all of that is fine', () => {
    const odd = [
      importWith({ $insert_id: 'a:b', time: 'x', distinct_id: 'null', a: [[[[]]]] }),
      importWith({ time: 0 }),
    ]
    const { rows } = decode(make(), lenientImport(odd))
    expect(rows.map((row) => row.outcome)).toEqual(['accepted', 'accepted'])
  })
}

function orderCases(make: Make): void {
  it('R3: strict accepts the good records beside the bad one', () => {
    const { rows } = decode(make(), strictImport([IMPORT, importWith({ time: undefined }), IMPORT]))
    expect(rows.map((row) => row.problem?.code)).toEqual([undefined, 'import_time_missing', undefined])
    expect(rows[1]!.problem).toMatchObject({ index: 1, insertId: IMPORT.properties.$insert_id })
  })
  it('strict reports depth and size last', () => {
    const big = `{"event":"e","properties":{${P},"x":"${'x'.repeat(300)}"}}`
    const deep = `{"event":"e","x":${'['.repeat(200)}${']'.repeat(200)},"properties":{${P}}}`
    const early = `{"event":"","x":"${'x'.repeat(300)}"}`
    const { rows } = decode(make({ recordBytesMax: 200 }), strictImport(`[${big},${deep},${early}]`))
    expect(rows.map((row) => row.problem?.code)).toEqual([
      'record_too_large',
      'record_too_deep',
      'import_event_blank',
    ])
    expect(rows[0]!.problem!.message).toBe('record is invalid: must be smaller than 200 bytes')
  })
  it('reports the first rule in the order of the document', () => {
    const record = { event: '', properties: 7 }
    expect(decode(make(), strictImport(record)).rows[0]!.problem!.code).toBe('import_event_blank')
    const bad = importWith({ time: 0, distinct_id: 'nil', $insert_id: ':' })
    expect(decode(make(), strictImport(bad)).rows[0]!.problem!.code).toBe('import_time_past')
  })
}

function utf8Cases(make: Make): void {
  const codeOf = (text: string): unknown => decode(make(), strictImport(latin1(text))).rows[0]!.problem
  it('strict: invalid UTF-8 in a property fails the record and names it', () => {
    const text = `{"event":"e","properties":{${P},"na~/me":"ok \xe2\x82 \xff"}}`
    expect(codeOf(text)).toMatchObject({
      code: 'import_utf8_invalid',
      offset: text.indexOf('\xe2'),
      field: 'properties.na~/me',
      pointer: '/properties/na~0~1me',
      message: 'properties.na~/me is invalid: string should be valid utf8',
    })
  })
  it('strict: the first member in text order, names and nested values included', () => {
    const inName = `{"event":"e","properties":{${P},"a\xc0":1,"b":"\xff"}}`
    expect(codeOf(inName)).toMatchObject({ code: 'import_utf8_invalid', offset: inName.indexOf('\xc0') })
    const nested = `{"event":"e\xff","properties":{${P},"a":[{"b":"\xed\xa0\x80"}]}}`
    expect(codeOf(nested)).toMatchObject({ offset: nested.indexOf('\xed'), pointer: '/properties/a' })
  })
  it('strict: invalid UTF-8 elsewhere', () => {
    for (const text of [
      `{"event":"\xfe","properties":{${P}},"z":"\xff"}`,
      `{"event":"e","properties":{${P}},"z":"\xfe"}`,
      `{"event":"e","properties":{"a":"\xfe"},"properties":{${P}}}`,
    ]) {
      expect(codeOf(text)).toMatchObject({
        code: 'import_record_utf8_invalid',
        offset: text.indexOf('\xfe'),
        pointer: '',
      })
    }
  })
  it('strict: CESU-8 and lone escapes are repaired', () => {
    const text = `{"event":"\xed\xa0\xbc\xed\xbc\xb3","properties":{${P},"x":"\\ud83c"}}`
    const { rows } = decode(make(), strictImport(latin1(text)))
    expect(rows[0]).toMatchObject({ outcome: 'accepted', flags: ['utf8_repaired', 'surrogate_repaired'] })
  })
}

export function importCases(make: Make): void {
  describe('not strict: faults', () => faultCases({ make, request: lenientImport }, LENIENT))
  describe('strict: faults', () => faultCases({ make, request: strictImport }, STRICT))
  describe('strict: shapes', () => faultCases({ make, request: strictImport }, SHAPES))
  describe('strict: allowed', () => allowedCases(make))
  describe('strict: order', () => orderCases(make))
  describe('strict: text', () => utf8Cases(make))
  it.each(DISALLOWED)('strict: disallows %s as distinct_id and as insert id', (id) => {
    for (const text of [id, id.toUpperCase(), `\t ${id}\r\n`]) {
      const distinct = decode(make(), strictImport(importWith({ distinct_id: text })))
      expect(distinct.rows[0]!.problem!.code).toBe('import_distinct_id_disallowed')
      const insert = decode(make(), strictImport(importWith({ $insert_id: text })))
      expect(insert.rows[0]!.problem!.code).toBe('import_insert_id_disallowed')
    }
  })
  it('strict: compares numbers and booleans by their text', () => {
    for (const id of ['0', '-1', 'true', 'false']) {
      expect(decode(make(), strictImport(withDistinct(id))).rows[0]!.problem!.code).toBe(
        'import_distinct_id_disallowed',
      )
    }
    for (const id of ['0.0', '-0', '1']) {
      expect(decode(make(), strictImport(withDistinct(id))).rows[0]!.outcome).toBe('accepted')
    }
  })
  describe('tokens', () => tokenCases(make))
}

function tokenCases(make: Make): void {
  it('takes the record’s token, else the credential’s, else none', () => {
    const records = [
      importWith({ token: 'own' }),
      importWith({ token: '' }),
      importWith({ token: 7 }),
      IMPORT,
    ]
    const { rows } = decode(make(), lenientImport(records), { authToken: 'basic' })
    expect(rows.map((row) => row.envelope!['token'])).toEqual(['own', 'basic', 'basic', 'basic'])
    const none = decode(make(), lenientImport(IMPORT))
    expect(none.rows[0]).toMatchObject({ token: undefined, key: ':u1', envelope: { token: null } })
  })
  it('tokens mode: an unlisted token is rejected, none at all is fine', () => {
    const options = { tokensAllowed: ['good'] }
    for (const request of [lenientImport, strictImport]) {
      const codes = (authToken: string): (string | undefined)[] =>
        decode(
          make(options),
          request([importWith({ token: 'bad' }), IMPORT, importWith({ token: 'good' })]),
          {
            authToken,
          },
        ).rows.map((row) => row.problem?.code)
      expect(codes('')).toEqual(['token_unknown', undefined, undefined])
      expect(codes('good')).toEqual(['token_unknown', undefined, undefined])
      expect(codes('other')).toEqual(['token_unknown', 'token_unknown', undefined])
    }
  })
  it('tokens mode: the token comes before the other rules', () => {
    const decoder = make({ tokensAllowed: ['good'] })
    const alias = { event: '$create_alias', properties: { token: 'bad' } }
    expect(decode(decoder, lenientImport(alias)).rows[0]!.problem!.code).toBe('token_unknown')
    const timeless = { event: 'e', properties: { token: 'bad' } }
    expect(decode(decoder, strictImport(timeless)).rows[0]!.problem!.code).toBe('token_unknown')
  })
}
