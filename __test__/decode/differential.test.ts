/** P8: the native and the reference decoder say the same about every input; what once told them apart is replayed. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { describeWith } from '../support/require.js'
import { checkAgreement, differenceOfVector, freshSeed, type Vector } from './random/differential.js'

const RUNS = 100_000

const vectors = readFileSync(new URL('found.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Vector)

describeWith('native', 'P8: both decoders', () => {
  const seed = freshSeed()
  it(`agree on ${RUNS} generated inputs, seed ${seed}`, () => checkAgreement(RUNS, seed), 300_000)
  it.each(vectors.map((vector) => [vector.title, vector] as const))('agree on: %s', (_, vector) => {
    expect(differenceOfVector(vector)).toBeUndefined()
  })
})
