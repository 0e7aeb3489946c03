/**
 * P8: the native and the reference decoder say the same about every input. found.jsonl keeps requests that told them
 * apart, each shrunk to what matters: real differences, and planted mistakes that the property had to find.
 */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { describeWith } from '../support/require.js'
import { checkAgreement, differenceOfVector, freshSeed, type Vector } from './random/differential.js'

const RUNS = 100_000
/** On a busy machine fewer inputs, but never hardly any. */
const TIME_LIMIT_MS = 20_000
const RUNS_MIN = 1000

const vectors = readFileSync(new URL('found.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Vector)

describeWith('native', 'P8: both decoders', () => {
  const seed = freshSeed()
  it(`agree on up to ${RUNS} generated inputs, seed ${seed}`, () => {
    expect(checkAgreement(RUNS, seed, TIME_LIMIT_MS)).toBeGreaterThan(RUNS_MIN)
  })
  it.each(vectors.map((vector) => [vector.title, vector] as const))('agree on: %s', (_, vector) => {
    expect(differenceOfVector(vector)).toBeUndefined()
  })
})
