/** Rules of /track, and those that every record meets first (docs/DECODING.md 4; docs/PROTOCOL.md 7.2). */
import { describe, expect, it } from 'vitest'
import type { Make } from '../decoder.cases.js'
import { decode, EVENT, eventWith, track } from '../harness.js'
import { faultCases, type FaultCase } from './faults.js'

const FAULTS: readonly FaultCase[] = [
  [
    'event_missing',
    '«{"properties":{"token":"t"}}',
    { field: 'event', pointer: '/event', got: '', message: 'event, missing' },
  ],
  ['event_missing', '«{}'],
  ['event_invalid', '{"event":«null}', { message: 'event, missing or empty', got: 'null' }],
  ['event_invalid', '{"event":«""}', { got: '""' }],
  ['event_invalid', '{"event":«NaN,"properties":{"token":"t"}}', { got: 'NaN' }],
  ['event_invalid', '{"event":«true}'],
  ['event_invalid', '{"event":«{"a":1}}', { got: '{"a":1}' }],
  ['event_invalid', '{"event":"e","event":«["a"],"properties":{"token":"t"}}'],
  ['properties_missing', '«{"event":"e"}', { message: 'properties, missing', got: '' }],
  ['properties_invalid', '{"event":"e","properties":«null}', { message: 'properties, must be an object' }],
  ['properties_invalid', '{"event":"e","properties":{"token":"t"},"properties":«[]}'],
  ['properties_invalid', '{"event":"e","properties":«"{}"}'],
  [
    'token_missing',
    '{"event":"e","properties":«{}}',
    { message: 'token, missing or empty', got: '', field: 'properties.token' },
  ],
  [
    'token_missing',
    '{"event":"e","properties":{"token":«null}}',
    { got: 'null', pointer: '/properties/token' },
  ],
  ['token_missing', '{"event":"e","properties":{"token":«""}}'],
  ['token_missing', '{"event":"e","properties":{"token":«7}}'],
  ['token_missing', '{"event":"e","properties":{"token":«{}}}', { got: '{}' }],
  ['token_missing', '{"token":"t","event":"e","properties":«{"a":{"token":"t"}}}'],
  ['token_missing', '{"event":"e","properties":{"token":"t","token":«false}}'],
  [
    'distinct_id_missing',
    '{"event":"$create_alias","properties":«{"token":"t","alias":"a"}}',
    { message: 'distinct_id, missing or empty', got: '' },
  ],
  ['distinct_id_missing', '{"event":"$create_alias","properties":{"token":"t","distinct_id":«""}}'],
  [
    'distinct_id_missing',
    '{"event":"$create_alias","properties":{"token":"t","distinct_id":«null,"$user_id":"u"}}',
  ],
  ['distinct_id_missing', '{"event":"$create_alias","properties":«{"token":"t","$device_id":"d"}}'],
  ['distinct_id_missing', '{"event":"\\u0024create_alias","properties":{"token":"t","distinct_id":«["a"]}}'],
]

/** What is checked before anything else, in this order. */
const FIRST: readonly FaultCase[] = [
  ['record_not_object', '[«7]', { field: 'record', pointer: '', got: '7' }],
  ['record_too_large', `[«{"event":"${'x'.repeat(200)}"}]`, { message: 'event too large: limit 200 bytes' }],
  ['record_too_large', `[ «{"a":${'['.repeat(100)}${']'.repeat(100)}} ]`],
  ['record_not_object', `[«"${'x'.repeat(300)}"]`, { got: `"${'x'.repeat(79)}…` }],
  ['record_not_object', `[«${'['.repeat(70)}${']'.repeat(70)}]`],
]

const ACCEPTED = [
  ['a number as event', { ...EVENT, event: 7 }],
  [
    'null among the other members',
    { ...EVENT, $mp_metadata: null, properties: { ...EVENT.properties, ip: null } },
  ],
  ['$create_alias with a number', { event: '$create_alias', properties: { token: 't', distinct_id: 0 } }],
  [
    '$create_alias with a boolean',
    { event: '$create_alias', properties: { token: 't', distinct_id: false } },
  ],
  ['a distinct_id that import refuses', eventWith({ distinct_id: 'undefined' })],
  ['$ignore empty', eventWith({ $ignore: '' })],
  ['$ignore false', eventWith({ $ignore: false })],
  ['$ignore null', eventWith({ $ignore: null })],
  ['$ignore 1', eventWith({ $ignore: 1 })],
  ['$ignore beside the properties', { ...EVENT, $ignore: true }],
  ['256 properties', eventWith(Object.fromEntries(Array.from({ length: 256 }, (_, i) => [`p${i}`, i])))],
] as const

const DAY_MS = 86_400_000

function outcomeCases(make: Make): void {
  it.each(ACCEPTED)('accepts %s', (_, event) => {
    expect(decode(make(), track(event)).rows).toMatchObject([{ outcome: 'accepted' }])
  })
  it.each([true, 'x', ' ', 'false'])('ignores $ignore %j', ($ignore) => {
    const { batch, rows } = decode(make(), track([EVENT, eventWith({ $ignore }), EVENT]))
    expect(rows.map((row) => row.outcome)).toEqual(['accepted', 'ignored', 'accepted'])
    expect(batch).toMatchObject({ received: 3, accepted: 2, ignored: 1, rejected: 0 })
    expect(rows[1]).toMatchObject({ token: 't0k' })
  })
  it('late=drop ignores what is older than five days, and only that', () => {
    const at = (days: number, more = 0): object =>
      eventWith({ time: 1_795_500_000_000 - days * DAY_MS - more })
    const { rows } = decode(
      make({ dropLate: true }),
      track([at(5), at(5, 1), at(6), eventWith({ time: 'x' })]),
    )
    expect(rows.map((row) => row.outcome)).toEqual(['accepted', 'ignored', 'ignored', 'accepted'])
  })
  it('R3: a bad event does not harm its neighbours', () => {
    const { rows } = decode(make(), track([EVENT, { properties: {} }, EVENT]))
    expect(rows.map((row) => row.outcome)).toEqual(['accepted', 'rejected', 'accepted'])
    expect(rows[1]!.problem).toMatchObject({ index: 1, code: 'event_missing' })
  })
}

export function trackCases(make: Make): void {
  describe('faults', () => faultCases({ make, request: track }, FAULTS))
  const options = { recordBytesMax: 200, tokensAllowed: undefined }
  describe('faults before the rules', () => faultCases({ make, request: track, options }, FIRST))
  describe('in tokens mode', () => {
    faultCases({ make, request: track, options: { tokensAllowed: ['good', 'é'] } }, [
      [
        'token_unknown',
        '{"event":"e","properties":{"token":«"bad"}}',
        { message: 'token, not known here', field: 'properties.token' },
      ],
      ['token_unknown', '{"event":"$create_alias","properties":{"token":«"goo"}}'],
      ['token_missing', '{"event":"e","properties":{"token":«""}}'],
    ])
    it('accepts the listed ones, however they are written', () => {
      const events = ['"good"', '"\\u00e9"', '"é"'].map(
        (token) => `{"event":"e","properties":{"token":${token}}}`,
      )
      const { rows } = decode(make({ tokensAllowed: ['good', 'é'] }), track(`[${events}]`))
      expect(rows.map((row) => row.token)).toEqual(['good', 'é', 'é'])
    })
  })
  describe('outcomes', () => outcomeCases(make))
}
