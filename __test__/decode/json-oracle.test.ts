/** An oracle that nobody here wrote: what is JSON, and what it says, is what JSON.parse makes of it (promise P5). */
import { assert, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Decoder } from '../../src/decode/decoder.js'
import { createNativeDecoder } from '../../src/decode/native.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import type { Endpoint } from '../../src/record.js'
import { describeWith } from '../support/require.js'
import { decode, type Decoded, latin1, OPTIONS, post } from './harness.js'
import { CORPUS } from './json-corpus.js'
import { compact, decodedText, parsed, repaired, trimmed } from './json-oracle.js'
import { Choices } from './random/choices.js'
import { entropy, freshSeed } from './random/differential.js'
import { record } from './random/records.js'
import { BLANKS, mutated } from './random/requests.js'
import { list, space, value } from './random/values.js'

const LIMITS = { ...OPTIONS, payloadBytesMax: 1 << 20 }
const RUNS = 10_000
const TIME_LIMIT_MS = 10_000

/** Behind base64 any text is parsed, whatever its first byte. */
function decodeText(decoder: Decoder, endpoint: Endpoint, bytes: string, query: string): Decoded {
  const data = encodeURIComponent(latin1(bytes).toString('base64'))
  return decode(decoder, { ...post(endpoint, ''), query: `data=${data}&${query}` })
}

/** What the decoder thinks of the grammar alone. */
function isJson({ rows, payload }: Decoded): boolean {
  const code = rows[0]!.problem?.code
  return code !== 'json_invalid' && !(code === 'data_missing' && trimmed(decodedText(payload)) === '')
}

function corpusCases(decoder: Decoder): void {
  // With strict NaN is no value, so that the grammar is RFC 8259's.
  const verdict = (bytes: string): boolean => isJson(decodeText(decoder, 'engage', bytes, 'strict=1'))
  it.each(CORPUS)('%s', (name, bytes) => {
    expect(verdict(bytes)).toBe(!name.startsWith('n_'))
    // The corpus itself is held against the engine, which leaves bytes inside strings to the decoder of its text.
    expect(parsed(trimmed(decodedText(bytes))) !== undefined).toBe(!name.startsWith('n_'))
  })
  // What is not decided by bytes in front of or behind a whole text, nor by NaN.
  const inner = CORPUS.filter(([name]) => !/BOM|formfeed_around|no_data|single_space|NaN|nfinity/.test(name))
  it.each(inner)('%s, inside an event', (_, bytes) => {
    const text = `{"event":"e","properties":{"token":"t","x":${bytes}}}`
    const { rows } = decodeText(decoder, 'track', text, '')
    const oracle = parsed(repaired(decodedText(text), false))
    expect(rows[0]!.problem?.code !== 'json_invalid').toBe(oracle !== undefined)
    if (rows[0]!.outcome === 'accepted') expect(JSON.parse(rows[0]!.record!)).toEqual(oracle!.value)
  })
}

/** A text of one record, a list of them, or anything. */
function payloadOf(endpoint: Endpoint, choices: Choices): string {
  choices.calm = choices.pick([4, 1])
  const one = (): string => record(endpoint, choices, 1_795_500_000_000)
  const text = choices.pick([
    () => one(),
    () => list(choices.list(1, 3, one), choices),
    () => value(choices),
  ])()
  const around = choices.pick(BLANKS) + space(choices) + text + choices.pick(['', ' ', '\n\f'])
  return choices.next(3) === 2 ? mutated(around, choices) : around
}

function checkMeaning(decoder: Decoder, bytes: Uint8Array): void {
  const choices = new Choices(bytes)
  const endpoint = choices.pick(['track', 'import', 'engage', 'groups'] as const)
  const strict = endpoint !== 'track' && choices.next(2) === 1
  const text = payloadOf(endpoint, choices)
  const decoded = decodeText(decoder, endpoint, text, strict ? 'strict=1' : '')
  const expected = repaired(trimmed(decodedText(text)), !strict)
  const oracle = parsed(expected)
  if (isJson(decoded) !== (oracle !== undefined)) throw new Error(`JSON or not: ${JSON.stringify(text)}`)
  const values = (Array.isArray(oracle?.value) ? oracle.value : [oracle?.value]) as unknown[]
  for (const [index, row] of decoded.rows.entries()) {
    if (row.outcome !== 'accepted') continue
    expect(row.envelope!['record']).toEqual(values[index])
    expect(row.envelope!['index']).toBe(index)
    // Every digit and escape as it was: the texts are the same, not only their meaning.
    expect(compact(expected)).toContain(row.record)
  }
}

function oracleCases(decoder: Decoder): void {
  describe('P5: classic edge cases', () => corpusCases(decoder))
  const seed = freshSeed()
  it(`P5: up to ${RUNS} generated texts mean what JSON.parse says, seed ${seed}`, () => {
    const means = property(entropy(), (bytes) => checkMeaning(decoder, bytes))
    assert(means, { numRuns: RUNS, seed, interruptAfterTimeLimit: TIME_LIMIT_MS })
  })
}

describe('reference', () => oracleCases(createReferenceDecoder(LIMITS)))
describeWith('native', 'native', () => oracleCases(createNativeDecoder(LIMITS)))
