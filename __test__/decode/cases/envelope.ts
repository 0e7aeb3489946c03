/** The envelope's members, the partition key and the record's bytes (docs/DECODING.md 5; docs/PROTOCOL.md 9.3). */
import { describe, expect, it } from 'vitest'
import { type DecoderOptions, type RequestContext, Row, StoreIp } from '../../../src/decode/decoder.js'
import { murmur2 } from '../../../src/decode/reference/murmur2.js'
import { FLAGS, KINDS, RECORD_HEADER_BYTES } from '../../../src/record.js'
import type { Make } from '../decoder.cases.js'
import {
  CONTEXT,
  decode,
  engage,
  EVENT,
  eventWith,
  GROUP,
  groups,
  IMPORT,
  importWith,
  type Input,
  lenientImport,
  NOW_MS,
  PROFILE,
  track,
} from '../harness.js'
import { requestId } from '../../../src/request-id.js'

type Envelope = Record<string, unknown>

function envelopeOf(make: Make, request: Input, context?: Partial<RequestContext>): Envelope {
  const { rows } = decode(make(), request, context)
  expect(rows).toMatchObject([{ outcome: 'accepted' }])
  return rows[0]!.envelope!
}

const HEAD = '"project_id":null,"received_ms":1795500000000,"request_id":"req7","index":0,"ip":"203.0.113.9"'

/** Whole texts: the order of members and the absence of white space are part of the format. */
function wholeCases(make: Make): void {
  const textOf = (request: Input, context?: Partial<RequestContext>): string =>
    decode(make(), request, context).rows[0]!.envelopeText!
  it('track', () => {
    expect(textOf(track(EVENT))).toBe(
      `{"v":1,"kind":"track","token":"t0k",${HEAD},"geo":"none","ua":"curl/8","lib":null,` +
        '"insert_id":"abc-1","insert_id_source":"client","distinct_id":"u1","distinct_id_source":"record",' +
        `"time_ms":1700000000000,"flags":["late"],"record":${JSON.stringify(EVENT)}}`,
    )
  })
  it('engage', () => {
    expect(textOf(engage(PROFILE))).toBe(
      `{"v":1,"kind":"engage","token":"t0k",${HEAD},"geo":"request","ua":"curl/8","lib":null,` +
        '"insert_id":"req7-0","insert_id_source":"generated","distinct_id":"u1","distinct_id_source":"record",' +
        `"time_ms":${NOW_MS},"flags":[],"record":${JSON.stringify(PROFILE)}}`,
    )
  })
  it('groups', () => {
    expect(textOf(groups(GROUP))).toBe(
      `{"v":1,"kind":"groups","token":"t0k",${HEAD},"geo":"request","ua":"curl/8","lib":null,` +
        '"insert_id":"req7-0","insert_id_source":"generated","distinct_id":null,"distinct_id_source":"none",' +
        `"time_ms":${NOW_MS},"flags":[],"record":${JSON.stringify(GROUP)}}`,
    )
  })
  it('import, replayed test data of a project', () => {
    const context = { projectId: 'a"b/é', authToken: 'Tök', replayed: true, requestId: requestId('Z9') }
    const request = { ...lenientImport(IMPORT), query: 'test=1' }
    expect(textOf(request, { ...context, peer: { ipJson: 'null', uaJson: 'null' } })).toBe(
      '{"v":1,"kind":"import","token":"Tök","project_id":"a\\"b/é","received_ms":1795500000000,' +
        '"request_id":"Z9","index":0,"ip":null,"geo":"none","ua":null,"lib":null,' +
        '"insert_id":"29fc2962-6d9c-455d-95ad-95b84f09b9e4","insert_id_source":"client",' +
        '"distinct_id":"u1","distinct_id_source":"record","time_ms":1618716477000,' +
        `"flags":["test","replayed"],"record":${JSON.stringify(IMPORT)}}`,
    )
  })
  it('all flags, in their order', () => {
    const event = '{"event":"\xff\\ud800","properties":{"token":"t","time":-1,"n":NaN}}'
    const request = { ...track(Buffer.from(event, 'latin1')), query: 'test=1' }
    const { rows } = decode(make(), request, { replayed: true })
    const [first, , , ...rest] = FLAGS
    expect(rows[0]!.envelope!['flags']).toEqual([first, ...rest])
    expect(rows[0]!.flags).toEqual([first, ...rest])
  })
  it('index counts the records of the payload, rejected ones included', () => {
    const { rows } = decode(make(), track([EVENT, 7, EVENT]))
    expect(rows.map((row) => row.envelope?.['index'])).toEqual([0, undefined, 2])
  })
  it('P5: white space outside strings goes, nothing else changes', () => {
    const text =
      ' { "event" :\t"a  b" ,\r\n"properties":{ "token" : "t","n" : [ 1.50 , -0e+1 ] , "e" : { } } } '
    expect(decode(make(), track(text)).rows[0]!.record).toBe(
      '{"event":"a  b","properties":{"token":"t","n":[1.50,-0e+1],"e":{}}}',
    )
  })
}

/** Text in the event as JSON, and the JSON string that the decoder writes for it. */
const WRITTEN = [
  ['"\\u0022\\u005c\\/"', '"\\"\\\\/"'],
  ['"\\u0008\\u0009\\u000a\\u000c\\u000d"', '"\\b\\t\\n\\f\\r"'],
  ['"\\u0000\\u0001\\u000B\\u001F"', '"\\u0000\\u0001\\u000b\\u001f"'],
  ['"\\u007f\\u0080\\u00E9\\u2028\\uFFFF"', '"\u007f\u0080é\u2028\uffff"'],
  ['"\\uD83D\\ude00😀<>&\'"', '"😀😀<>&\'"'],
  ['"\\ud83dx"', '"\ufffdx"'],
] as const

function stringCases(make: Make): void {
  it.each(WRITTEN)('writes %s as %s', (given, expected) => {
    const text = `{"event":"e","properties":{"token":${given},"distinct_id":${given},"$insert_id":${given},"mp_lib":${given}}}`
    const { rows } = decode(make(), track(text))
    for (const member of ['token', 'insert_id', 'distinct_id', 'lib']) {
      expect(rows[0]!.envelopeText).toContain(`"${member}":${expected},`)
    }
    const value = JSON.parse(expected) as string
    expect(rows[0]).toMatchObject({ key: `${value}:${value}`, token: value })
  })
}

const ADDRESSES = [
  '1.2.3.4',
  '0.0.0.0',
  '255.255.255.255',
  '::',
  '::1',
  '1::',
  'a:B:c:D:1:2:3:4',
  '1:2:3:4:5:6:7::',
].concat([
  '::2:3:4:5:6:7:8',
  '1::8',
  '::ffff:1.2.3.4',
  '1:2:3:4:5:6:1.2.3.4',
  'fe80::0001',
  '64:ff9b::192.0.2.33',
])
const NO_ADDRESSES = [
  '',
  ' 1.2.3.4',
  '1.2.3.4 ',
  '1.2.3',
  '1.2.3.4.5',
  '01.2.3.4',
  '1.2.3.256',
  '1..3.4',
  '1.2.3.+4',
]
  .concat([
    ':',
    ':::',
    '1:2',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '12345::',
    'g::',
    ':1::',
    '1::2:',
  ])
  .concat([
    '1:2:3:4::5:6:7:8',
    '::1:2:3:4:5:6:7:8',
    'fe80::1%eth0',
    '[::1]',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
  ])
  .concat(['1:2:3:4:5:6:7:1.2.3.4', '::01.2.3.4', '0x1.2.3.4', '1', '１.2.3.4'])

function addressCases(make: Make): void {
  const geoOf = (ip: unknown): unknown => envelopeOf(make, track(eventWith({ ip })))['geo']
  it.each(ADDRESSES)('geo: %s is an address', (ip) => expect(geoOf(ip)).toBe('property'))
  it.each(NO_ADDRESSES)('geo: %j is none', (ip) => expect(geoOf(ip)).toBe('none'))

  /** Mode, parameter ip, the record's ip as JSON; what is stored, and geo on /track and on /engage. */
  const cases: [keyof typeof StoreIp, string, string | undefined, boolean, string, string][] = [
    ['unlessRefused', '', undefined, true, 'none', 'request'],
    ['unlessRefused', '1', undefined, true, 'request', 'request'],
    ['unlessRefused', '0', undefined, false, 'none', 'none'],
    ['unlessRefused', '2', undefined, true, 'none', 'request'],
    ['unlessRefused', '', '0', false, 'none', 'none'],
    ['unlessRefused', '1', '"0"', false, 'none', 'none'],
    ['unlessRefused', '', '0.0', true, 'none', 'request'],
    ['unlessRefused', '', '-0', true, 'none', 'request'],
    ['unlessRefused', '', 'false', true, 'none', 'request'],
    ['unlessRefused', '', 'null', true, 'none', 'request'],
    ['unlessRefused', '', '[0]', true, 'none', 'request'],
    ['unlessRefused', '', '1', true, 'none', 'request'],
    ['unlessRefused', '0', '"1.2.3.4"', false, 'property', 'property'],
    ['unlessRefused', '1', '"1.2.3.4"', true, 'property', 'property'],
    ['unlessRefused', '1', '"\\u0031::"', true, 'property', 'property'],
    ['always', '0', '0', true, 'none', 'none'],
    ['never', '1', undefined, false, 'request', 'request'],
    ['never', '', '"1.2.3.4"', false, 'property', 'property'],
  ]
  it.each(cases)('store_ip %s, ip=%s, record %s', (mode, param, own, stored, onTrack, onEngage) => {
    const options: Partial<DecoderOptions> = { storeIp: StoreIp[mode] }
    const [ip, $ip] = own === undefined ? ['', ''] : [`,"ip":${own}`, `,"$ip":${own}`]
    const query = param === '' ? '' : `ip=${param}`
    const event = track(`{"event":"e","properties":{"token":"t"${ip}}}`, query)
    const profile = engage(`{"$token":"t","$distinct_id":"u","$delete":""${$ip}}`, query)
    const expected = stored ? '203.0.113.9' : null
    expect(decode(make(options), event).rows[0]!.envelope).toMatchObject({ ip: expected, geo: onTrack })
    expect(decode(make(options), profile).rows[0]!.envelope).toMatchObject({ ip: expected, geo: onEngage })
    const imported = decode(make(options), lenientImport(Buffer.from(event.body), query))
    expect(imported.rows[0]!.envelope).toMatchObject({ ip: expected, geo: onTrack })
    const grouped = `{"$token":"t","$group_key":"k","$group_id":1,"$delete":""${$ip}}`
    const ofGroup = decode(make(options), groups(grouped, query))
    expect(ofGroup.rows[0]!.envelope).toMatchObject({ ip: expected, geo: onEngage })
  })
  it('an unknown address stays unknown', () => {
    const peer = { ...CONTEXT.peer, ipJson: 'null' }
    expect(envelopeOf(make, track(EVENT, 'ip=1'), { peer })).toMatchObject({ ip: null, geo: 'request' })
  })
}

function libCases(make: Make): void {
  const lib = (more: object): unknown => envelopeOf(make, track(eventWith(more)))['lib']
  it('joins mp_lib and $lib_version, both non-empty strings', () => {
    expect(lib({ mp_lib: 'web', $lib_version: '2.8' })).toBe('web/2.8')
    expect(lib({ mp_lib: 'web', $lib_version: '' })).toBe('web')
    expect(lib({ mp_lib: 'web', $lib_version: 2 })).toBe('web')
    expect(lib({ mp_lib: '', $lib_version: '2.8' })).toBe(null)
    expect(lib({ mp_lib: 7, $lib_version: '2.8' })).toBe(null)
    expect(lib({ $lib_version: '2.8' })).toBe(null)
    expect(envelopeOf(make, lenientImport(importWith({ mp_lib: 'py' })))['lib']).toBe('py')
    expect(envelopeOf(make, engage({ ...PROFILE, mp_lib: 'web' }))['lib']).toBe(null)
  })
  it.each([
    ['a', 256, 'a'.repeat(256)],
    ['a', 257, 'a'.repeat(256)],
    ['é', 129, 'é'.repeat(128)],
    ['€', 86, '€'.repeat(85)],
    ['😀', 65, '😀'.repeat(64)],
  ])('P7: cuts %s × %i at 256 bytes, on a character boundary', (character, times, expected) => {
    expect(lib({ mp_lib: character.repeat(times) })).toBe(expected)
    expect(lib({ mp_lib: character.repeat(times), $lib_version: '2' })).toBe(
      Buffer.byteLength(expected) < 255 ? `${expected}/2` : expected,
    )
  })
  it('cuts inside the version, too', () => {
    expect(lib({ mp_lib: 'w', $lib_version: '€'.repeat(90) })).toBe(`w/${'€'.repeat(84)}`)
  })
}

/** Members of the event beside its properties, of the properties, and the ids that come of them. */
const INSERT_IDS: readonly [top: string, properties: string, id: string, source: string][] = [
  ['', '"$insert_id":"a b"', 'a b', 'client'],
  ['', '"$insert_id":12.50', '12.50', 'client'],
  ['', '"$insert_id":"x","$insert_id":""', 'req7-0', 'generated'],
  ['', '"$insert_id":true', 'req7-0', 'generated'],
  ['', '"$insert_id":null', 'req7-0', 'generated'],
  ['', '"$insert_id":NaN', 'req7-0', 'generated'],
  ['"$insert_id":"top",', '', 'req7-0', 'generated'],
  ['"$mp_metadata":{"$mp_event_id":"m"},', '"$insert_id":""', 'm', 'mp_metadata'],
  ['"$mp_metadata":{"$mp_event_id":1e3},', '', '1e3', 'mp_metadata'],
  ['"$mp_metadata":{"$mp_event_id":"m"},', '"$insert_id":"i"', 'i', 'client'],
  ['"$mp_metadata":{"$mp_event_id":""},', '', 'req7-0', 'generated'],
  ['"$mp_metadata":["$mp_event_id","m"],', '', 'req7-0', 'generated'],
  ['"$mp_metadata":{"$mp_event_id":"m"},"$mp_metadata":{},', '', 'req7-0', 'generated'],
  ['"$mp_metadata":{"a":{"$mp_event_id":"x"},"$mp_event_\\u0069d":"m"},', '', 'm', 'mp_metadata'],
  ['', '"$mp_metadata":{"$mp_event_id":"m"}', 'req7-0', 'generated'],
]

const DISTINCT_IDS: readonly [properties: string, id: string | null, source: string][] = [
  ['"distinct_id":"u"', 'u', 'record'],
  ['"distinct_id":""', '', 'record'],
  ['"distinct_id":1.0', '1.0', 'record'],
  ['"distinct_id":false', 'false', 'record'],
  ['"distinct_id":"","$user_id":"x"', '', 'record'],
  ['"distinct_id":null,"$user_id":"x"', 'x', 'user_id'],
  ['"distinct_id":[],"$user_id":0', '0', 'user_id'],
  ['"distinct_id":{},"$user_id":true,"$device_id":"d"', 'true', 'user_id'],
  ['"$user_id":"","$device_id":"d"', '$device:d', 'device_id'],
  ['"$user_id":null,"$device_id":7', '$device:7', 'device_id'],
  ['"$user_id":[1],"$device_id":false', '$device:false', 'device_id'],
  ['"$device_id":""', null, 'none'],
  ['"$device_id":{}', null, 'none'],
  ['"distinct_id":NaN', null, 'none'],
  ['', null, 'none'],
]

function idCases(make: Make): void {
  it.each(INSERT_IDS)('insert id of {%s} {%s}', (top, properties, id, source) => {
    const more = properties === '' ? '' : `,${properties}`
    const record = `{${top}"event":"e","properties":{"token":"t"${more}}}`
    for (const request of [track(record), lenientImport(record)]) {
      expect(envelopeOf(make, request)).toMatchObject({ insert_id: id, insert_id_source: source })
    }
  })
  // At the top of a profile all members are top-level ones.
  const ofProfiles = INSERT_IDS.filter(
    ([top, members]) => !top.startsWith('"$insert_id"') && !members.startsWith('"$mp_metadata"'),
  )
  it.each(ofProfiles)('insert id of a profile with {%s} {%s}', (top, members, id, source) => {
    const more = members === '' ? '' : `,${members}`
    const record = `{${top}"$token":"t","$distinct_id":"u","$delete":""${more}}`
    expect(envelopeOf(make, engage(record))).toMatchObject({ insert_id: id, insert_id_source: source })
  })
  it.each(DISTINCT_IDS)('distinct id of {%s}', (properties, id, source) => {
    const more = properties === '' ? '' : `,${properties}`
    const record = `{"event":"e","properties":{"token":"t"${more}}}`
    for (const request of [track(record), lenientImport(record)]) {
      const envelope = envelopeOf(make, request)
      expect(envelope).toMatchObject({ distinct_id: id, distinct_id_source: source })
      expect(decode(make(), request).rows[0]!.key).toBe(`t:${id || 'req7-0'}`)
    }
  })
}

function keyCases(make: Make): void {
  it('P6: the key is token and distinct id, groups: token and group', () => {
    const keyOf = (request: Input): string => decode(make(), request).rows[0]!.key!
    expect(keyOf(track(EVENT))).toBe('t0k:u1')
    expect(keyOf(track(eventWith({ distinct_id: '' })))).toBe('t0k:abc-1')
    expect(keyOf(track(eventWith({ token: 'a:b', distinct_id: 'c:d' })))).toBe('a:b:c:d')
    expect(keyOf(groups({ ...GROUP, $group_id: 1.5 }))).toBe('t0k:company:1.5')
    expect(keyOf(engage('{"$token":"t","$distinct_id":1e2,"$delete":1}'))).toBe('t:1e2')
    expect(keyOf(lenientImport(IMPORT))).toBe(':u1')
    expect(keyOf(lenientImport({ event: 'e', properties: {} }))).toBe(':req7-0')
  })
  it('P6: hashes keys of every length as Java’s partitioner does', () => {
    const ids = Array.from({ length: 70 }, (_, length) => 'é\u007fz€'.repeat(40).slice(0, length))
    const { rows, bytes, batch } = decode(
      make(),
      track(ids.map((id) => eventWith({ distinct_id: id || 'x' }))),
    )
    for (const [index, row] of rows.entries()) {
      const key = Buffer.from(row.key!)
      const expected = murmur2(key, 0, key.length)
      expect(batch.row(index, Row.keyHash)).toBe(expected)
      expect(bytes.readInt32LE(batch.row(index, Row.position) + 8)).toBe(expected)
    }
  })
  it.each([
    ['track', track(eventWith({ token: 'té' })), 3],
    ['engage', engage(PROFILE), 3],
    ['groups', groups(GROUP), 3],
    ['import', lenientImport(IMPORT), 0],
  ] as const)('the record of /%s: header, key, envelope', (endpoint, request, tokenLength) => {
    const { rows, bytes } = decode(make(), request)
    const key = Buffer.from(rows[0]!.key!)
    const value = Buffer.from(rows[0]!.envelopeText!)
    expect(bytes.length).toBe(RECORD_HEADER_BYTES + key.length + value.length)
    expect(bytes.readUInt32LE(0)).toBe(bytes.length)
    expect([bytes[4], bytes[5]]).toEqual([KINDS.indexOf(endpoint), 0])
    expect(bytes.readUInt16LE(6)).toBe(
      rows[0]!.flags!.reduce((bits, f) => bits | (1 << FLAGS.indexOf(f as never)), 0),
    )
    expect(bytes.readUInt32LE(12)).toBe(tokenLength)
    expect(bytes.readUInt32LE(16)).toBe(key.length)
    expect(bytes.subarray(RECORD_HEADER_BYTES)).toEqual(Buffer.concat([key, value]))
  })
}

export function envelopeCases(make: Make): void {
  describe('whole texts', () => wholeCases(make))
  describe('strings that the decoder writes', () => stringCases(make))
  describe('address and geo', () => addressCases(make))
  describe('lib', () => libCases(make))
  describe('ids', () => idCases(make))
  describe('key', () => keyCases(make))
}
