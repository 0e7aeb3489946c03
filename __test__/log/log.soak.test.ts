/** The long forms of the log's tests: many seeds of crashes (P1) and of random lives. */
import * as fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { commands } from './support/commands.js'
import { firstFlaw, recordRun } from './support/crashes.js'
import { Lives } from './support/lives.js'
import { MIXED_FRAMES } from './support/run.js'

afterEach(() => void vi.useRealTimers())

describe('P1, at length', () => {
  it.each([1, 2, 3, 4, 5])(
    'crashes that keep any part of what is not synced: the %i-th hundred',
    async (hundred) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
      const more = hundred % 2 === 0 ? MIXED_FRAMES : {}
      for (let ten = 0; ten < 10; ten++) {
        const seeds = Array.from({ length: 10 }, (_, one) => ({ seed: hundred * 100 + ten * 10 + one }))
        const { snapshots, promised } = await recordRun(seeds, undefined, more)
        expect(await firstFlaw(snapshots, promised.sent)).toBeUndefined()
        // Logs that were cut off leave theirs behind, and with them every disk: 200 MB each time.
        vi.clearAllTimers()
      }
    },
  )
})

it('P1, P2, P6, P9: many random lives', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
  const property = fc.asyncProperty(commands, async (list) => {
    await new Lives(async (ms) => void (await vi.advanceTimersByTimeAsync(ms))).run(list)
    // Lives that were killed leave theirs behind: all of them would go on, in every life that follows.
    vi.clearAllTimers()
  })
  await fc.assert(property, { numRuns: 1500 })
})
