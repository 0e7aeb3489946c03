/** Random lives of a shipper: what may happen to it and around it, and what has to be true in the end. */
import * as fc from 'fast-check'
import { expect, vi } from 'vitest'
import { ROUTES, ShipLives } from './lives.js'

/** Some records of `t.track` go elsewhere. */
const OWN_ROUTES = { prefix: 't.', tokens: { tok0: { track: 'own' } } }

export type Command =
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
  | { readonly do: 'routes'; readonly own: boolean }
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
  { weight: 1, arbitrary: fc.record({ do: fc.constant('routes' as const), own: fc.boolean() }) },
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

/** Those that a shipper, its disk and its brokers use. */
export const fakeTimers = (): unknown =>
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

const QUIET_MS = 1000

/**
 * Brokers forget those alone from whom they have heard nothing for long: `producer.id.expiration.ms`, a day, or until
 * retention has removed the last that they wrote. Our batches are on their way together within a second of a reply.
 */
const forgetQuiet = ({ broker }: ShipLives): void => broker.forget(Date.now() - QUIET_MS + 1)

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
    if (one.forget) forgetQuiet(lives)
    lives.setDown(false)
  }
  if (one.do === 'forget') {
    lives.kill()
    await pass(QUIET_MS)
    forgetQuiet(lives)
  }
  if (one.do === 'rot' || one.do === 'lose state') {
    lives.kill()
    await pass(20)
    await lives.damageState(one.do === 'rot' ? one.slot : undefined)
  }
  if (one.do === 'partitions') lives.broker.topics.get('t.track')!.grow(Math.min(9, 3 + one.more))
  if (one.do === 'routes') {
    lives.kill()
    lives.routes = one.own ? OWN_ROUTES : ROUTES
  }
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

/** What happens in a life, and the seed of its chances. */
export const life: fc.Arbitrary<[Command[], number]> = fc.tuple(
  fc.array(command, { minLength: 3, maxLength: 25 }),
  fc.nat(),
)

/** What damage to the state may bring about, if more came together: as narrow as docs/KAFKA.md has it. */
function afterDamage(commands: readonly Command[], said: readonly string[]) {
  const isDamaged = commands.some((one) => one.do === 'lose state' || one.do === 'rot')
  const isRouted = commands.some((one) => one.do === 'routes' && one.own)
  const elsewhere = said.some((text) => text.startsWith('former routes'))
  if (elsewhere) expect({ isDamaged, isRouted }).toEqual({ isDamaged: true, isRouted: true })
  const limits = commands.flatMap((one) => (one.do === 'limit' ? [one.bytes] : []))
  const isEnlarged = limits.some((bytes, at) => bytes > (limits[at - 1] ?? Infinity))
  return { elsewhere, enlarged: isDamaged && isEnlarged }
}

/** On fake timers: every record arrives once, and those of a key in order. */
export async function liveThrough([commands, seed]: [Command[], number]): Promise<ShipLives> {
  const lives = new ShipLives({ seed })
  lives.broker.create('own', 2)
  try {
    await lives.start()
    for (const one of commands) {
      await perform(lives, one)
      if (lives.life.dead) {
        await pass(20)
        await lives.start()
      }
    }
    await finish(lives)
    expect(lives.lag).toBe(0)
    lives.expectExactlyOnce(afterDamage(commands, lives.said))
    expect(lives.sink.outMost).toBeLessThanOrEqual(5)
  } finally {
    lives.kill()
    // What killed lives were waiting for would be gone through in every life that follows.
    vi.clearAllTimers()
  }
  return lives
}
