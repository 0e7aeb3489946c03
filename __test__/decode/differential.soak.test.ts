/** P8, the long form. */
import { describeWith } from '../support/require.js'
import { it } from 'vitest'
import { checkAgreement, freshSeed } from './random/differential.js'

/** SLUICEGATE_TEST_RUNS sets another number. */
const RUNS = Number(process.env['SLUICEGATE_TEST_RUNS'] ?? 1_000_000)

describeWith('native', 'P8: both decoders', () => {
  const seed = freshSeed()
  it(`agree on ${RUNS} generated inputs, seed ${seed}`, () => {
    const startMs = performance.now()
    checkAgreement(RUNS, seed)
    const seconds = (performance.now() - startMs) / 1000
    console.log(`${RUNS} inputs in ${seconds.toFixed(1)} s: ${Math.round(RUNS / seconds)} a second`)
  })
})
