/** The long form of property.test.ts: many random lives. */
import * as fc from 'fast-check'
import { afterEach, beforeEach, it, vi } from 'vitest'
import { fakeTimers, life, liveThrough } from './support/random-lives.js'

beforeEach(fakeTimers)
afterEach(() => void vi.useRealTimers())

it('P1, P6: through many random lives every record arrives once, and those of a key in order', async () => {
  const property = fc.asyncProperty(life, async (one) => void (await liveThrough(one)))
  await fc.assert(property, { numRuns: 20_000 })
})
