/** `time` to milliseconds, and its flags (docs/DECODING.md 5; docs/PROTOCOL.md 9.3). */
import { describe, expect, it } from 'vitest'
import { type Endpoint, ENDPOINTS } from '../../../src/record.js'
import type { Make } from '../decoder.cases.js'
import { decode, engage, groups, type Input, lenientImport, NOW_MS, track } from '../harness.js'

/** The member's JSON text, and its milliseconds; undefined: not a time. */
const TIMES: readonly [json: string, ms: number | undefined][] = [
  ['0', 0],
  ['-0', 0],
  ['-0.0005', 0],
  ['0e999999999', 0],
  ['1', 1000],
  ['1700000000', 1_700_000_000_000],
  ['1700000000123', 1_700_000_000_123],
  ['1700000000.123', 1_700_000_000_123],
  ['1700000000.1239999', 1_700_000_000_123],
  ['1700000000.1', 1_700_000_000_100],
  // 1.1 and 1.001 have no exact double: arithmetic in binary would give a millisecond less.
  ['1.001', 1001],
  ['1.1', 1100],
  ['4.035', 4035],
  ['1700000000123.999', 1_700_000_000_123],
  ['99999999999', 99_999_999_999_000],
  ['99999999999.9999', 99_999_999_999_999],
  ['100000000000', 100_000_000_000],
  ['100000000000.5', 100_000_000_000],
  ['1e11', 100_000_000_000],
  ['0.1e12', 100_000_000_000],
  ['1e10', 10_000_000_000_000],
  ['17E8', 1_700_000_000_000],
  ['1.7e+9', 1_700_000_000_000],
  ['17000000000e-1', 1_700_000_000_000],
  ['1700000000123e-3', 1_700_000_000_123],
  ['0.0000000001e19', 1_000_000_000_000],
  ['1e-4', 0],
  ['-1.5', -1500],
  ['-1.9999', -1999],
  ['-99999999999', -99_999_999_999_000],
  ['-100000000000', -100_000_000_000],
  ['9007199254740992', 9_007_199_254_740_992],
  ['-9007199254740992', -9_007_199_254_740_992],
  ['9007199254740992.999', 9_007_199_254_740_992],
  ['9007199254740993', undefined],
  ['-9007199254740993', undefined],
  ['1e16', undefined],
  ['1e400', undefined],
  ['1e99999999999999999999', undefined],
  ['1e-99999999999999999999', 0],
  [`1${'0'.repeat(400)}e-391`, 1_000_000_000_000],
  ['"1700000000"', 1_700_000_000_000],
  ['"1700000000.5"', 1_700_000_000_500],
  ['"1.7e9"', 1_700_000_000_000],
  ['"\\u0031"', 1000],
  ['"-1"', -1000],
  ['""', undefined],
  ['" 1"', undefined],
  ['"1 "', undefined],
  ['"+1"', undefined],
  ['"01"', undefined],
  ['".5"', undefined],
  ['"1."', undefined],
  ['"1e"', undefined],
  ['"-"', undefined],
  ['"0x10"', undefined],
  ['"1_000"', undefined],
  ['"NaN"', undefined],
  ['"Infinity"', undefined],
  ['"2020-01-01T00:00:00"', undefined],
  ['"１"', undefined],
  ['true', undefined],
  ['[1]', undefined],
  ['{}', undefined],
]

const WITH_TIME: Readonly<Record<Endpoint, (time: string) => Input>> = {
  track: (time) => track(`{"event":"e","properties":{"token":"t","time":${time}}}`),
  import: (time) => lenientImport(`{"event":"e","properties":{"time":${time}}}`),
  engage: (time) => engage(`{"$token":"t","$distinct_id":"u","$delete":"","$time":${time}}`),
  groups: (time) => groups(`{"$token":"t","$group_key":"k","$group_id":"i","$delete":"","$time":${time}}`),
}

const FIVE_DAYS_MS = 432_000_000

export function timeCases(make: Make): void {
  const resultOf = (endpoint: Endpoint, time: string): [unknown, unknown] => {
    const { rows } = decode(make(), WITH_TIME[endpoint](time))
    expect(rows[0]!.flags).toEqual(rows[0]!.envelope!['flags'])
    return [rows[0]!.envelope!['time_ms'], rows[0]!.envelope!['flags']]
  }
  it.each(TIMES)('%s is %s', (json, ms) => {
    for (const endpoint of ENDPOINTS) {
      expect(resultOf(endpoint, json)).toEqual(expectedOf(endpoint, ms))
    }
  })
  it.each(ENDPOINTS)('/%s: absent, null and NaN', (endpoint) => {
    expect(resultOf(endpoint, 'null')).toEqual([NOW_MS, []])
    expect(resultOf(endpoint, 'NaN')).toEqual([NOW_MS, ['nan_replaced']])
    expect(resultOf(endpoint, '1,"x":2')[0]).toBe(1000)
  })
  it('reads time from the last properties, and $time from the top', () => {
    const doubled = track(
      '{"event":"e","properties":{"time":5},"properties":{"token":"t","time":6,"time":7}}',
    )
    expect(decode(make(), doubled).rows[0]!.envelope!['time_ms']).toBe(7000)
    const wrong = track('{"time":5,"$time":5,"event":"e","properties":{"token":"t","$time":5}}')
    expect(decode(make(), wrong).rows[0]!.envelope!['time_ms']).toBe(NOW_MS)
    const profile = engage('{"$token":"t","$distinct_id":"u","time":5,"$delete":"","$set":{"$time":5}}')
    expect(decode(make(), profile).rows[0]!.envelope!['time_ms']).toBe(NOW_MS)
  })
  describe('late and future', () => {
    it.each([
      ['track', NOW_MS, []],
      ['import', NOW_MS, []],
      ['track', NOW_MS - FIVE_DAYS_MS, []],
      ['track', NOW_MS - FIVE_DAYS_MS - 1, ['late']],
      ['import', NOW_MS - FIVE_DAYS_MS - 1, []],
      ['engage', NOW_MS + 1, []],
      ['groups', 0, []],
    ] as const)('/%s at %i: %j', (endpoint, ms, flags) => {
      expect(resultOf(endpoint, String(ms))).toEqual([ms, flags])
    })
    it.each(['track', 'import'] as const)('/%s: a time to come is the receipt time', (endpoint) => {
      expect(resultOf(endpoint, String(NOW_MS + 1))).toEqual([NOW_MS, ['time_future']])
    })
  })
}

/** time_ms and flags; toEqual tells -0 from 0. */
function expectedOf(endpoint: Endpoint, ms: number | undefined): [number, string[]] {
  if (ms === undefined) return [NOW_MS, ['time_invalid']]
  const isEvent = endpoint === 'track' || endpoint === 'import'
  if (isEvent && ms > NOW_MS) return [NOW_MS, ['time_future']]
  return [ms, endpoint === 'track' && ms < NOW_MS - FIVE_DAYS_MS ? ['late'] : []]
}
