/** Rules of /engage and /groups (docs/DECODING.md 4; docs/PROTOCOL.md 7.4 and 7.5). */
import { describe, expect, it } from 'vitest'
import type { Make } from '../decoder.cases.js'
import { decode, engage, GROUP, groups, PROFILE } from '../harness.js'
import { faultCases, type FaultCase } from './faults.js'

const profile = (rest: string): string => `{"$token":"t","$distinct_id":"u",${rest}}`

const ENGAGE: readonly FaultCase[] = [
  [
    'profile_token_missing',
    '«{}',
    { field: '$token', pointer: '/$token', message: '$token, missing or empty' },
  ],
  ['profile_token_missing', '{"$token":«null,"token":"t"}'],
  ['profile_token_missing', '{"$token":«"","$distinct_id":"u"}'],
  ['profile_distinct_id_missing', '«{"$token":"t","$set":{}}', { message: '$distinct_id, missing or empty' }],
  ['profile_distinct_id_missing', '{"$token":"t","$distinct_id":«""}'],
  ['profile_distinct_id_missing', '{"$token":"t","$distinct_id":«null}'],
  ['profile_distinct_id_missing', '{"$token":"t","$distinct_id":«["u"]}'],
  [
    'operation_missing',
    '«{"$token":"t","$distinct_id":"u"}',
    { message: 'no known operation in update', field: 'record' },
  ],
  ['operation_missing', `«${profile('"$increment":{"a":1}')}`],
  ['set_invalid', profile('"$set":«null'), { field: '$set', pointer: '/$set', got: 'null' }],
  ['set_invalid', profile('"$set":«["a"],"$add":"x"')],
  ['set_invalid', profile('"$delete":"","$set":«"x"')],
  ['set_once_invalid', profile('"$add":"x","$set_once":«"x","$set":{}')],
  ['add_invalid', profile('"$add":«7'), { pointer: '/$add' }],
  ['add_invalid', profile('"$add":{"ok":1,"a/b":«"1","c":null}'), { pointer: '/$add/a~1b', got: '"1"' }],
  ['add_invalid', profile('"$add":{"n":«NaN}')],
  ['add_invalid', profile('"$add":{"n":«1e309}')],
  ['add_invalid', profile('"$add":{"n":«-1e309}')],
  ['add_invalid', profile('"$add":{"n":«"x","n":1}')],
  ['append_invalid', profile('"$append":«[1]')],
  ['union_invalid', profile('"$union":«[1]')],
  ['union_invalid', profile('"$union":{"l":«"x"}'), { pointer: '/$union/l' }],
  ['union_invalid', profile('"$union":{"l":«[ ]}')],
  ['union_invalid', profile('"$union":{"k":[1],"l":["a",«null]}'), { pointer: '/$union/l', got: 'null' }],
  ['union_invalid', profile('"$union":{"l":[1,«{"a":[]},2]}'), { got: '{"a":[]}' }],
  ['remove_invalid', profile('"$remove":«null')],
  ['remove_invalid', profile('"$remove":{"a":null,"b":«[1]}'), { pointer: '/$remove/b' }],
  ['remove_invalid', profile('"$remove":{"b":«{}}')],
  ['unset_invalid', profile('"$unset":«{"a":1}'), { pointer: '/$unset' }],
  ['unset_invalid', profile('"$unset":«"a"')],
  ['unset_invalid', profile('"$unset":«[]')],
  ['unset_invalid', profile('"$unset":["a",«1]'), { pointer: '/$unset', got: '1' }],
]

const group = (rest: string): string => `{"$token":"t","$group_key":"k","$group_id":"i",${rest}}`

const GROUPS: readonly FaultCase[] = [
  ['profile_token_missing', '«{}'],
  [
    'group_distinct_id_forbidden',
    '{"$token":"t","$distinct_id":«"u"}',
    { message: '$distinct_id, not allowed in group update' },
  ],
  ['group_distinct_id_forbidden', '{"$token":"t","$distinct_id":«""}'],
  ['group_key_missing', '«{"$token":"t","$distinct_id":null}'],
  ['group_key_missing', '{"$token":"t","$group_key":«7}'],
  ['group_id_missing', '«{"$token":"t","$group_key":"k"}'],
  ['group_id_missing', '{"$token":"t","$group_key":"k","$group_id":«""}'],
  ['group_id_missing', '{"$token":"t","$group_key":"k","$group_id":«true}'],
  ['operation_missing', `«${group('"$append":{"a":1}')}`],
  ['set_invalid', group('"$append":7,"$set":«7')],
  ['unset_invalid', group('"$unset":«null')],
]

const ACCEPTED = [
  { $set: {} },
  { $set_once: { a: null } },
  { $add: { a: -1.5e3, b: 0 } },
  { $add: {} },
  { $append: { $transactions: { $time: 'x', $amount: 50 } } },
  { $union: { a: ['x', 1] } },
  { $union: {} },
  { $remove: { a: 'x', b: 1, c: true, d: null } },
  { $unset: ['a', ''] },
  { $delete: '' },
  { $delete: 'null' },
  { $delete: null },
  { $delete: 'u1' },
  { $set: { a: 1 }, $unknown: 7, $unset: ['b'] },
  {
    $set: {},
    $ignore_alias: 'true',
    $ip: 0,
    $ignore_time: true,
    $mp_metadata: {},
    $device_id: 'd',
    $user_id: 'u',
  },
]

export function profileCases(make: Make): void {
  describe('/engage', () => faultCases({ make, request: engage }, ENGAGE))
  describe('/groups', () => faultCases({ make, request: groups }, GROUPS))
  it.each(ACCEPTED)('accepts %j', (operation) => {
    const { $set: _, ...rest } = PROFILE
    expect(decode(make(), engage({ ...rest, ...operation })).rows).toMatchObject([{ outcome: 'accepted' }])
  })
  it.each(['"x"', '7', 'true', '0', 'false'])('takes %s as $distinct_id', (id) => {
    const { rows } = decode(make(), engage(`{"$token":"t","$distinct_id":${id},"$delete":""}`))
    expect(rows[0]!.envelope!['distinct_id']).toBe(String(JSON.parse(id)))
  })
  it.each(['$set', '$set_once', '$add', '$union', '$remove', '$delete'])('/groups knows %s', (operation) => {
    const { $set: _, ...rest } = GROUP
    const { rows } = decode(make(), groups({ ...rest, [operation]: {} }))
    expect(rows).toMatchObject([{ outcome: 'accepted' }])
  })
  it('takes a number as $group_id, and $distinct_id null', () => {
    const { rows } = decode(make(), groups({ ...GROUP, $group_id: 12, $distinct_id: null }))
    expect(rows[0]).toMatchObject({ key: 't0k:company:12', outcome: 'accepted' })
  })
  it('P5: the record is not touched', () => {
    const text = profile('"$set":{"a":1.0,"a":2},"$add":{"n":1e2}')
    expect(decode(make(), engage(text)).rows[0]!.record).toBe(text)
  })
  it.each([
    ['"$remove":{"a":NaN}', undefined],
    ['"$delete":-Infinity', undefined],
    ['"$append":{"a":NaN}', undefined],
    ['"$set":NaN', 'set_invalid'],
    ['"$union":{"a":[NaN]}', 'union_invalid'],
    ['"$unset":[Infinity]', 'unset_invalid'],
    ['"$add":{"a":Infinity}', 'add_invalid'],
  ])('NaN and its like are null in %s', (operation, code) => {
    const { rows } = decode(make(), engage(profile(operation)))
    expect(rows[0]!.problem?.code).toBe(code)
    expect(rows[0]!.flags).toEqual(code === undefined ? ['nan_replaced'] : undefined)
  })
  it('tokens mode: names $token', () => {
    const { rows } = decode(make({ tokensAllowed: ['t'] }), engage({ ...PROFILE, $distinct_id: '' }))
    expect(rows[0]!.problem).toMatchObject({
      code: 'token_unknown',
      field: '$token',
      pointer: '/$token',
      got: '"t0k"',
    })
  })
  it('strict changes one rule: NaN is a syntax error', () => {
    const text = profile('"$set":{"a":NaN}')
    expect(decode(make(), engage(text)).rows[0]).toMatchObject({
      outcome: 'accepted',
      flags: ['nan_replaced'],
    })
    expect(decode(make(), engage(text, 'strict=1')).rows[0]!.problem).toMatchObject({ code: 'json_invalid' })
    const { rows } = decode(make(), engage(profile('"$set":7'), 'strict=1'))
    expect(rows[0]!.problem).toMatchObject({ code: 'set_invalid', message: '$set, must be an object' })
  })
}
