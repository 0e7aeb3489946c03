/** Parameters, forms, GET, sniffing, base64 and its repairs (docs/DECODING.md 1 and 2; rules R7, R8, R12). */
import { describe, expect, it } from 'vitest'
import { Content, Param } from '../../../src/decode/decoder.js'
import type { Make } from '../decoder.cases.js'
import {
  base64,
  bytesOf,
  decode,
  EVENT,
  form,
  get,
  type Input,
  json,
  latin1,
  ndjson,
  PROFILE,
  sniff,
} from '../harness.js'

const TEXT = JSON.stringify(EVENT)
const ENCODED = base64(TEXT)
/** Holds `+` and `/`. */
const PLUS = '{"event":"p","properties":{"token":"t0k","s":">>>???~~~"}}'
const PLUS_ENCODED = base64(PLUS)
const BOM = '\ufeff'
const escaped = encodeURIComponent

/** Title, request, the record's text that must come out. */
type WrappedCase = readonly [title: string, request: Input, record: string]

const FORMS: readonly WrappedCase[] = [
  ['percent-encoded base64', form(`data=${escaped(ENCODED)}`), TEXT],
  ['base64 as it is', form(`data=${PLUS_ENCODED}`), PLUS],
  ['+ as %2B', form(`data=${PLUS_ENCODED.replaceAll('+', '%2B')}`), PLUS],
  ['+ as %20', form(`data=${PLUS_ENCODED.replaceAll('+', '%20')}`), PLUS],
  ['URL-safe alphabet', form(`data=${Buffer.from(PLUS).toString('base64url')}`), PLUS],
  ['padding cut off', form(`data=${escaped(PLUS_ENCODED.replace(/=+$/, ''))}`), PLUS],
  ['too much padding', form(`data=${PLUS_ENCODED}%3D=%3D=`), PLUS],
  ['wrapped lines', form(`data=${ENCODED.replace(/.{76}/g, '$&\r\n')}`), TEXT],
  [
    'wrapped lines and tabs, percent-encoded',
    form(`data=${escaped(ENCODED.replace(/.{9}/g, '$&\r\n\t'))}`),
    TEXT,
  ],
  ['padding broken by a line', form(`data=${PLUS_ENCODED.slice(0, -1)}%0A=`), PLUS],
  ['percent-encoded twice', form(`data=${escaped(escaped(PLUS_ENCODED))}`), PLUS],
  ['JSON percent-encoded twice', form(`data=${escaped(escaped(TEXT))}`), TEXT],
  ['plain JSON', form(`data=${escaped(TEXT)}`), TEXT],
  [
    'plain JSON, spaces as +',
    form(`data=${escaped('{"event": "a b","properties":{"token":"t"}}').replaceAll('%20', '+')}`),
    '{"event":"a b","properties":{"token":"t"}}',
  ],
  [
    'a plus sign in plain JSON stays',
    form('data={"event":"a%2Bb","properties":{"token":"t"}}'),
    '{"event":"a+b","properties":{"token":"t"}}',
  ],
  ['blanks around the value', form(`data=%20%0B${ENCODED}%0C+`), TEXT],
  ['BOM in front of the JSON', form(`data=${escaped(` ${BOM} ${TEXT}`)}`), TEXT],
  ['BOM inside the base64', form(`data=${escaped(base64(BOM + TEXT))}`), TEXT],
  ['an escaped name', form(`%64at%61=${ENCODED}`), TEXT],
  ['the first data that is not empty', form(`data=&data&data=${ENCODED}&data=x`), TEXT],
  ['data behind other parameters', form(`verbose=1&ip=0&data=${ENCODED}`), TEXT],
  ['blanks in front of the form', form(`\r\n data=${ENCODED}`), TEXT],
  ['data of the query when the form has none', form('verbose=1', `data=${ENCODED}`), TEXT],
  ['data of the form before data of the query', form(`data=${ENCODED}`, 'data=e30='), TEXT],
  ['JSON declared as a form', form(TEXT), TEXT],
  ['JSON behind blanks and BOM, declared as a form', form(`\n${BOM} ${TEXT}`), TEXT],
  [
    'an incomplete escape stays',
    form('data={"event":"5%","properties":{"token":"%4"}}'),
    '{"event":"5%","properties":{"token":"%4"}}',
  ],
  [
    'bytes that are not UTF-8',
    form(latin1('data={"event":"\xe9%E9","properties":{"token":"t"}}')),
    '{"event":"��","properties":{"token":"t"}}',
  ],
]

const OTHERS: readonly WrappedCase[] = [
  ['GET', get(`data=${escaped(ENCODED)}`), TEXT],
  ['GET with plain JSON', get(`ip=1&data=${escaped(TEXT)}`), TEXT],
  ['GET ignores a body', { ...get(`data=${ENCODED}`), body: bytesOf('[]') }, TEXT],
  ['an empty body: the query', json('', `data=${ENCODED}`), TEXT],
  ['a blank body: the query', form(' \r\n\t\v\f ', `data=${ENCODED}`), TEXT],
  ['a BOM alone: the query', sniff(BOM, `data=${ENCODED}`), TEXT],
  ['JSON', json(TEXT), TEXT],
  ['JSON ignores data of the query', json(TEXT, 'data=e30='), TEXT],
  ['form declared as JSON', json(` data=${escaped(ENCODED)}`), TEXT],
  ['base64 declared as JSON', json(ENCODED), TEXT],
  ['lines declared as a form', ndjson(`data=${ENCODED}`), TEXT],
  ['sniffed form (beacon)', sniff(`data=${escaped(ENCODED)}`), TEXT],
  ['sniffed form, data not first', sniff(`verbose=1&data=${escaped(ENCODED)}`), TEXT],
  ['sniffed JSON', sniff(` ${TEXT}`), TEXT],
  ['sniffed base64', sniff(`${ENCODED}\n`), TEXT],
]

/** Title, request, code, offset (-1: none), payload kept. */
type UnwrappedCase = readonly [title: string, request: Input, code: string, offset: number, payload: string]

const FAULTS: readonly UnwrappedCase[] = [
  ['nothing at all', get(''), 'data_missing', -1, ''],
  ['no data', form('verbose=1'), 'data_missing', -1, ''],
  ['empty data', form('data='), 'data_missing', -1, ''],
  ['blank data hides the query', form('data=+%0A', `data=${ENCODED}`), 'data_missing', -1, ''],
  ['padding alone', form('data===='), 'data_missing', -1, ''],
  ['base64 of blanks', form(`data=${base64(' \n')}`), 'data_missing', -1, ' \n'],
  ['blank after the second percent round', form('data=%2520'), 'data_missing', -1, ''],
  ['no alphabet', form('data=!!!!'), 'base64_invalid', 0, '!!!!'],
  ['the first byte outside the alphabet', form('data=%20QUJD*UI%3D'), 'base64_invalid', 4, 'QUJD*UI='],
  ['the index counts what is dropped', form('data=QU%0AJD*'), 'base64_invalid', 5, 'QU\nJD*'],
  ['a percent sign after two rounds', form('data=%252525'), 'base64_invalid', 0, '%25'],
  ['= in the middle', form('data=QQ==QQ=='), 'base64_invalid', 2, 'QQ==QQ=='],
  ['a space behind the padding', form('data=QQ==+='), 'base64_invalid', 2, 'QQ== ='],
  ['one character left over', form('data=QUJDQ'), 'base64_invalid', 5, 'QUJDQ'],
  ['one left over, with padding', form('data=QUJDQ==='), 'base64_invalid', 8, 'QUJDQ==='],
  ['vertical tab inside', form('data=QU%0BJD'), 'base64_invalid', 2, 'QU\vJD'],
  ['base64 that is no JSON', form(`data=${base64('hello')}`), 'json_invalid', 0, 'hello'],
  ['JSON in data, offsets from its own start', form('data=%20{]'), 'json_invalid', 2, ' {]'],
  ['sniffed text', sniff('hello, world'), 'base64_invalid', 5, 'hello, world'],
]

function params(make: Make, request: Input): number {
  return decode(make(), request).batch.params
}

function parameterCases(make: Make): void {
  it.each([
    ['verbose=1', Param.verbose1],
    ['verbose=2', Param.verbose2],
    ['verbose=3', 0],
    ['verbose=01', 0],
    ['verbose=0&verbose=1', 0],
    ['verbose=&verbose=1', Param.verbose1],
    ['%76erbose=%31', Param.verbose1],
    ['img=1&callback=f&redirect=u', Param.img | Param.callback | Param.redirect],
    ['img=true&callback=&redirect', 0],
    ['strict=1', 0],
    ['VERBOSE=1', 0],
    ['verbose', 0],
    ['&&=&verbose=1&', Param.verbose1],
  ])('query %s', (query, bits) => {
    expect(params(make, get(query))).toBe(bits)
  })

  it('R12: strict counts on /import, /engage and /groups only, and only as 1', () => {
    for (const endpoint of ['import', 'engage', 'groups'] as const) {
      expect(params(make, get('strict=1', endpoint))).toBe(Param.strict)
      expect(params(make, get('strict=true', endpoint))).toBe(0)
      expect(params(make, get('', endpoint))).toBe(0)
    }
  })

  it('R7: reads flags from the form, and the query wins', () => {
    const body = `data=${ENCODED}&verbose=1&img=1`
    expect(params(make, form(body))).toBe(Param.verbose1 | Param.img)
    expect(params(make, form(body, 'verbose=2'))).toBe(Param.verbose2 | Param.img)
    expect(params(make, form(body, 'verbose=0'))).toBe(Param.img)
  })

  it('reads no parameters from bodies that are no forms', () => {
    const request = { ...json('[]&verbose=1'), content: Content.form }
    expect(params(make, request)).toBe(0)
    expect(params(make, sniff('verbose=1'))).toBe(0)
    expect(params(make, { ...get(''), body: bytesOf('data=x&verbose=1') })).toBe(0)
  })
}

export function wrappingCases(make: Make): void {
  const accepts = (request: Input, record: string): void => {
    const { rows } = decode(make(), request)
    expect(rows.map((row) => row.record)).toEqual([record])
  }
  describe('R7, R8: forms', () => void it.each(FORMS)('%s', (_, request, record) => accepts(request, record)))
  describe('other bodies', () => void it.each(OTHERS)('%s', (_, request, record) => accepts(request, record)))
  describe('payloads that cannot be taken out', () => {
    it.each(FAULTS)('%s', (_, request, code, offset, kept) => {
      const { batch, rows, payload } = decode(make(), request)
      expect(rows).toHaveLength(1)
      expect(rows[0]!.problem).toMatchObject({ code, offset })
      expect(batch).toMatchObject({ undecodable: true, received: 1, rejected: 1, recordCount: 0 })
      expect(payload).toBe(kept)
    })
  })
  describe('parameters', () => parameterCases(make))
  it('takes every endpoint by GET', () => {
    const data = `data=${base64(JSON.stringify(PROFILE))}`
    expect(decode(make(), get(data, 'engage')).rows[0]).toMatchObject({ outcome: 'accepted', key: 't0k:u1' })
  })
}
