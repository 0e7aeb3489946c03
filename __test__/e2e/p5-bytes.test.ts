/** P5: what was received is what is queued, byte for byte, through every form of request and both decoders. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { random } from '../log/support/random.js'
import { exchange, type RawRequest } from '../support/http.js'
import { missing } from '../support/require.js'
import { FORM, post } from './support/events.js'
import { startServer, workspace } from './support/server.js'
import { tailText } from './support/tail.js'

const DECODERS = missing('native') === undefined ? ['native', 'reference'] : ['reference']

/** Values as texts: JSON.parse and JSON.stringify would change every one of them, or could. */
const VALUES = [
  '12345678901234567890123456789012345678901234567890',
  '9007199254740993',
  '-0',
  '1.10',
  '1.0',
  '1E400',
  '1e-400',
  '0.1000000000000000055511151231257827021181583404541015625',
  '-1.5e+03',
  '"\\u0041\\u00e9\\u4e2d"',
  '"\\/\\b\\f\\n\\r\\t\\"\\\\"',
  '"\\ud83d\\ude00 😀"',
  '"\\u0000 and \\u001f"',
  '"  spaces , : { } [ ] stay  "',
  '"é ü ß 中文 العربية עברית 👩‍👩‍👧‍👦 \u2028\u2029 \u200b \ufeff \ufffd"',
  '"e\u0301 is not \u00e9"',
  '{"b":1,"a":2,"b":3,"":4,"__proto__":5,"constructor":6}',
  '{"10":"a","9":"b","-1":"c"}',
  '[]',
  '{}',
  '[[[[[]]]],null,true,false]',
  `"${'long '.repeat(5000)}"`,
]

const textOf = (value: string, n: number): string =>
  `{"z":"before","event":"exact","properties":{"distinct_id":"u1","n":${n},"token":"t0k","value":${value},"n":${n}},"a":"behind"}`

/** White space wherever JSON lets it be. */
function spaced(text: string, numbers: () => number): string {
  const outside = /("(?:[^"\\]|\\.)*")|([{}[\],:])/g
  const space = (): string => [' ', '\n', '\t', '\r\n', '   ', ''][Math.floor(numbers() * 6)]!
  return text.replace(outside, (part) => `${space()}${part}${space()}`)
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const form = (data: string): RawRequest => post('/track', `data=${data}`, { 'Content-Type': FORM })

/** Ways for one record's text to get here. */
const WAYS: readonly [string, (text: string) => RawRequest][] = [
  ['JSON', (text) => post('/track', text)],
  ['a list', (text) => post('/track', `[ ${text} ]`)],
  ['gzip', (text) => post('/track', gzipSync(text), { 'Content-Encoding': 'gzip' })],
  ['a form with base64', (text) => form(encodeURIComponent(base64(text)))],
  ['a form with bare base64', (text) => form(base64(text))],
  ['a form with JSON', (text) => form(encodeURIComponent(text))],
  ['text/plain', (text) => post('/track', text, { 'Content-Type': 'text/plain;charset=UTF-8' })],
  [
    'NDJSON',
    (text) => post('/track', text.replaceAll(/\r?\n/g, ' '), { 'Content-Type': 'application/x-ndjson' }),
  ],
  [
    'a GET',
    (text) => ({ method: 'GET', target: `/track?data=${encodeURIComponent(base64(text))}&verbose=0` }),
  ],
]

describe.each(DECODERS)('P5: what was received is what tail prints, %s decoder', (decoder) => {
  it('numbers, escapes, order, duplicates and Unicode, through every form', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir, args: ['--decoder', decoder] })
    const numbers = random(5)
    const expected: string[] = []
    for (const value of VALUES) {
      for (const [way, request] of WAYS) {
        const text = textOf(value, expected.length)
        const { status, body } = await exchange(server.ingest, request(spaced(text, numbers)))
        expect(`${status} ${body.toString()}`, `${way}: ${text.slice(0, 200)}`).toBe('200 1')
        expected.push(text)
      }
    }
    const lines = await tailText(dataDir)
    const records = lines.map((line) => line.slice(line.indexOf('"record":') + 9, -1))
    expect(records).toEqual(expected)
    // And the repairs that there are were not made: no flag but `late` or none.
    expect(lines.filter((line) => !line.includes('"flags":[]'))).toEqual([])
  })
})
