/** P1, P6 and exactly once at random: whatever happens to the shipper and around it, each record arrives once, in order. */
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ShipLives } from './support/lives.js'

type Command =
  | { readonly do: 'append'; readonly count: number; readonly poison: boolean }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'kill'; readonly steps: number; readonly made: boolean }
  | { readonly do: 'power'; readonly seed: number }
  | {
      readonly do: 'faults'
      readonly faults: ('lost_request' | 'lost_reply' | 'not_enough_replicas' | undefined)[]
    }
  | { readonly do: 'outage'; readonly ms: number; readonly forget: boolean }
  | { readonly do: 'forget' }
  | { readonly do: 'rot'; readonly slot: number }
  | { readonly do: 'lose state' }
  | { readonly do: 'partitions'; readonly more: number }
  | { readonly do: 'limit'; readonly bytes: number }
  | { readonly do: 'stands'; readonly topic: string; readonly ms: number }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 60 }),
      poison: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 400 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('kill' as const),
      steps: fc.integer({ min: 1, max: 60 }),
      made: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('power' as const), seed: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('faults' as const),
      faults: fc.array(
        fc.constantFrom(
          'lost_request' as const,
          'lost_reply' as const,
          'not_enough_replicas' as const,
          undefined,
        ),
        { maxLength: 8 },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('outage' as const),
      ms: fc.integer({ min: 10, max: 5000 }),
      forget: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('rot' as const), slot: fc.integer({ min: 0, max: 1 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose state' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('partitions' as const), more: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('limit' as const), bytes: fc.integer({ min: 150, max: 800 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('stands' as const),
      topic: fc.constantFrom('t.track', 't.engage'),
      ms: fc.integer({ min: 10, max: 3000 }),
    }),
  },
)

beforeEach(
  () =>
    void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] }),
)
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

async function perform(lives: ShipLives, one: Command): Promise<void> {
  if (one.do === 'append') lives.append(one.count, 5, one.poison ? 'poison' : 'x')
  if (one.do === 'wait') await pass(one.ms)
  if (one.do === 'kill') {
    lives.life.killAfter(one.steps, one.made)
    await pass(200)
  }
  if (one.do === 'power') lives.power({ seed: one.seed })
  if (one.do === 'faults') lives.faults.push(...one.faults)
  if (one.do === 'outage') {
    lives.setDown(true)
    await pass(one.ms)
    if (one.forget) lives.broker.forget()
    lives.setDown(false)
  }
  if (one.do === 'forget') {
    // What was on its way comes first: the broker forgets those alone from whom it has heard nothing for long.
    lives.kill()
    await pass(20)
    lives.broker.forget()
  }
  if (one.do === 'rot' || one.do === 'lose state') {
    lives.kill()
    await pass(20)
    await lives.damageState(one.do === 'rot' ? one.slot : undefined)
  }
  if (one.do === 'partitions') lives.broker.topics.get('t.track')!.grow(Math.min(9, 3 + one.more))
  if (one.do === 'limit') lives.broker.topics.get('t.engage')!.messageBytesMax = one.bytes
  if (one.do === 'stands') {
    lives.sink.standing.add(one.topic)
    await pass(one.ms)
    lives.sink.standing.delete(one.topic)
  }
}

async function finish(lives: ShipLives): Promise<void> {
  lives.faults = []
  lives.kill()
  await pass(50)
  await lives.start()
  for (let round = 0; round < 120 && lives.lag > 0; round++) await pass(5000)
}

/** Lives that once doubled a record. */
const FOUND: [Command[], number][] = [
  // Found by a search, and forgotten by the next crash before reading had passed it.
  [
    [
      { do: 'append', count: 1, poison: false },
      { do: 'wait', ms: 20 },
      { do: 'faults', faults: [] },
      { do: 'lose state' },
      { do: 'stands', topic: 't.track', ms: 500 },
    ],
    2146697198,
  ],
  // The older state, which is all that is left, knew no topic yet.
  [
    [
      { do: 'append', count: 16, poison: false },
      { do: 'wait', ms: 12 },
      { do: 'rot', slot: 0 },
      { do: 'outage', ms: 10, forget: false },
      { do: 'wait', ms: 1 },
      { do: 'wait', ms: 1 },
    ],
    1712051813,
  ],
  // Arrived before the crash; refused when it was sent again, since the topic's limit had become smaller.
  [
    [
      { do: 'wait', ms: 4 },
      { do: 'append', count: 3, poison: false },
      { do: 'kill', steps: 12, made: true },
      { do: 'wait', ms: 5 },
      { do: 'partitions', more: 2 },
      { do: 'faults', faults: [undefined, 'not_enough_replicas'] },
      { do: 'stands', topic: 't.engage', ms: 2994 },
      { do: 'wait', ms: 97 },
      { do: 'power', seed: 1750559892 },
      { do: 'power', seed: 1189548895 },
      { do: 'append', count: 16, poison: true },
      { do: 'limit', bytes: 152 },
      { do: 'partitions', more: 1 },
      { do: 'stands', topic: 't.track', ms: 12 },
    ],
    439404921,
  ],
]

it('P1, P6: through random lives of shipper, disk and brokers every record arrives once, and those of a key in order', async () => {
  const totals = { starts: 0, sent: 0, rejects: 0 }
  const property = fc.asyncProperty(
    fc.array(command, { minLength: 3, maxLength: 25 }),
    fc.nat(),
    async (list, seed) => {
      const lives = new ShipLives({ seed })
      await lives.start()
      for (const one of list) {
        await perform(lives, one)
        if (lives.life.dead) {
          await pass(20)
          await lives.start()
        }
      }
      await finish(lives)
      expect(lives.lag).toBe(0)
      lives.expectExactlyOnce()
      expect(lives.sink.outMost).toBeLessThanOrEqual(5)
      totals.starts += lives.starts
      totals.sent += lives.sent
      totals.rejects += lives.rejects.length
      lives.kill()
      // What killed lives were waiting for would be gone through in every life that follows.
      vi.clearAllTimers()
    },
  )
  await fc.assert(property, { numRuns: 60, examples: FOUND })
  expect(totals.starts).toBeGreaterThan(100)
  expect(totals.sent).toBeGreaterThan(300)
  expect(totals.rejects).toBeGreaterThan(5)
}, 300_000)
