/** P1, P2, P6, P9 at random: whatever is done to a log, it keeps what it promised and shows nothing that it refused. */
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { commands } from './support/commands.js'
import { Lives } from './support/lives.js'

beforeEach(
  () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }),
)
afterEach(() => void vi.useRealTimers())

it('P1, P2, P6, P9: a log through random lives is the list that its answers say', async () => {
  let [starts, acknowledged] = [0, 0]
  const property = fc.asyncProperty(commands, async (list) => {
    const lives = new Lives(async (ms) => void (await vi.advanceTimersByTimeAsync(ms)))
    await lives.run(list)
    starts += lives.starts
    acknowledged += lives.acknowledged
  })
  await fc.assert(property, { numRuns: 60 })
  expect(starts).toBeGreaterThan(120)
  expect(acknowledged).toBeGreaterThan(400)
  // Shrinking takes its time.
}, 300_000)
