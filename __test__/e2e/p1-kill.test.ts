/** P1, P6 and P9 with a process that is killed: the short form; p1-kill.soak.test.ts goes on for longer. */
import { describe, expect, it } from 'vitest'
import { missing } from '../support/require.js'
import { expectKept, killRounds } from './support/kill-rounds.js'
import { workspace } from './support/server.js'

const SEED = 20261125
const DECODERS = missing('native') === undefined ? ['native', 'reference'] : ['reference']

describe('P1, P6, P9: kill -9 under load', () => {
  it('loses nothing acknowledged, doubles nothing, keeps the order, and serves again within 2 s', async () => {
    const rounds = await killRounds(workspace(), 3, SEED, DECODERS)
    expectKept(rounds)
    // Unanswered events may be there or not; that some were unanswered shows that the kills hit requests under way.
    expect(rounds.at(-1)!.unanswered).toBeGreaterThan(0)
  })
})
