/** P1, P6 and P9: twenty kills on one data directory, with figures. */
import { randomInt } from 'node:crypto'
import { describe, it } from 'vitest'
import { missing } from '../support/require.js'
import { expectKept, killRounds } from './support/kill-rounds.js'
import { print } from './support/print.js'
import { workspace } from './support/server.js'

const ROUNDS = 20
const DECODERS = missing('native') === undefined ? ['native', 'reference'] : ['reference']

describe('P1, P6, P9: kill -9 under load, the long form', () => {
  it(`${ROUNDS} rounds: nothing acknowledged is lost, nothing doubled, order kept`, async () => {
    const seed = randomInt(2 ** 31)
    const rounds = await killRounds(workspace(), ROUNDS, seed, DECODERS)
    print(
      `kill -9, ${ROUNDS} rounds on one data directory, seed ${seed} (events are sums over the rounds)`,
      rounds,
    )
    expectKept(rounds)
  })
})
