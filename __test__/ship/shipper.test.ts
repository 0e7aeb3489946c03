/** What the shipper does when something is wrong, one thing at a time; all of them together are in property.test.ts. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { partitionOf } from '../../src/ship/route.js'
import type { StoredRecord } from './support/memory-broker.js'
import { DIRECTORY, ShipLives } from './support/lives.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
})
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const STATE = `${DIRECTORY}/ship/state`

async function begun(options: ConstructorParameters<typeof ShipLives>[0] = {}): Promise<ShipLives> {
  const lives = new ShipLives(options)
  await lives.start()
  return lives
}

function byOffset(lives: ShipLives): Map<number, StoredRecord[]> {
  const all = new Map<number, StoredRecord[]>()
  for (const record of lives.stored()) all.set(record.offset, [...(all.get(record.offset) ?? []), record])
  return all
}

const statusOf = (lives: ShipLives) => lives.life.shipper!.status()
const topicOf = (lives: ShipLives, name: string) =>
  statusOf(lives).topics.find((topic) => topic.name === name)!

it('ships in batches, acknowledges each record, and moves the cursor', async () => {
  const lives = await begun()
  lives.append(200)
  await lives.drain()
  lives.expectExactlyOnce()
  expect(lives.acknowledged.size).toBe(200)
  expect(lives.sink.sent.length).toBeLessThan(100)
  await pass(2000)
  expect(statusOf(lives)).toMatchObject({
    state: 'shipping',
    cursor: 200,
    lagRecords: 0,
    lagMs: 0,
    refused: 0,
  })
})

it('sends nothing before the state that tells of it is on disk', async () => {
  const lives = await begun()
  await pass(50)
  lives.disk.onCall = ({ op, path }) =>
    op === 'sync' && path.startsWith(STATE) ? { error: 'EIO' } : undefined
  lives.append(20)
  await pass(3000)
  expect(lives.sink.sent).toEqual([])
  expect(statusOf(lives)).toMatchObject({ state: 'waiting', cause: { code: 'state_unwritable' } })
  lives.disk.onCall = undefined
  await lives.drain()
  lives.expectExactlyOnce()
})

describe('Kafka away', () => {
  it('for long: few tries, bounded memory, and all of it afterwards, in order', async () => {
    const lives = await begun()
    lives.append(30)
    await lives.drain()
    lives.setDown(true)
    lives.append(2000)
    await pass(1000)
    const { length } = lives.sink.sent
    let most = 0
    for (let minute = 0; minute < 20; minute++) {
      await pass(60_000)
      most = Math.max(most, statusOf(lives).memoryBytes)
    }
    expect(statusOf(lives)).toMatchObject({
      state: 'waiting',
      cause: { code: 'unreachable' },
      lagRecords: 2000,
    })
    expect(statusOf(lives).lagMs).toBeGreaterThan(1_200_000)
    expect(most).toBeLessThan(13_000)
    // Ten seconds between tries, jittered, a lane: not one after the other.
    expect(lives.sink.sent.length - length).toBeLessThan(6 * 240)
    lives.setDown(false)
    await lives.drain()
    lives.expectExactlyOnce()
  })

  it('once it is back no partition waits out its back-off: all begin within a look-up', async () => {
    const lives = await begun({ partitions: 12 })
    lives.append(100)
    await lives.drain()
    lives.setDown(true)
    lives.append(2000)
    await pass(10 * 60_000)
    lives.setDown(false)
    // 2 s to the next look, jittered, and the rounds after it; a back-off alone lasts 5 to 10 s.
    await pass(4000)
    expect(statusOf(lives)).toMatchObject({ lagRecords: 0 })
    lives.expectExactlyOnce()
  })

  it('at the start: waits, and ships once it is there', async () => {
    const lives = new ShipLives()
    await lives.start()
    lives.setDown(true)
    lives.append(50)
    await pass(60_000)
    expect(lives.stored()).toEqual([])
    expect(statusOf(lives)).toMatchObject({ state: 'waiting', cause: { code: 'unreachable' } })
    lives.setDown(false)
    await lives.drain()
    lives.expectExactlyOnce()
  })

  it('too few replicas in sync: nothing counts as acknowledged until there are enough', async () => {
    const lives = await begun()
    lives.faults = Array(60).fill('not_enough_replicas')
    lives.append(40)
    await pass(3000)
    expect(lives.acknowledged.size).toBe(0)
    expect(statusOf(lives)).toMatchObject({ state: 'degraded', cause: { code: 'not_enough_replicas' } })
    lives.faults = []
    await lives.drain()
    lives.expectExactlyOnce()
    expect(lives.acknowledged.size).toBe(40)
  })

  it('our id forgotten meanwhile, the last replies lost: what arrived is found, nothing is doubled', async () => {
    const lives = await begun()
    lives.append(60)
    lives.faults = [
      undefined,
      undefined,
      'lost_reply',
      'lost_reply',
      'lost_reply',
      'lost_reply',
      'lost_reply',
    ]
    await pass(60)
    lives.setDown(true)
    await pass(5000)
    lives.broker.forget()
    lives.setDown(false)
    await lives.drain()
    lives.expectExactlyOnce()
  })
})

describe('one that stands still', () => {
  it('does not stop the others, within bounded memory; it gets everything later, in order', async () => {
    const lives = await begun()
    lives.sink.standing.add('t.engage')
    lives.append(3000)
    await pass(120_000)
    expect(topicOf(lives, 't.track').pending).toBe(0)
    expect(topicOf(lives, 't.engage').pending).toBeGreaterThan(1000)
    expect(statusOf(lives)).toMatchObject({ state: 'degraded' })
    expect(statusOf(lives).memoryBytes).toBeLessThan(13_000)
    const tracked = lives.broker.topics.get('t.track')!.partitions.flatMap(({ records }) => records)
    expect(tracked).toHaveLength(lives.source.records.filter(({ kind }) => kind === 0).length)
    lives.sink.standing.clear()
    await lives.drain(600)
    lives.expectExactlyOnce()
  })

  it('keeps its records in the log: the cursor stays, also over a restart', async () => {
    const lives = await begun()
    lives.sink.standing.add('t.engage')
    lives.append(500)
    await pass(30_000)
    const first = lives.source.records.find(({ kind }) => kind === 1)!.offset
    expect(statusOf(lives).cursor).toBe(first)
    await lives.restart()
    await lives.drain(600)
    lives.expectExactlyOnce()
  })
})

describe('a topic', () => {
  it('that is missing is named and waited for, while the others go on', async () => {
    const lives = new ShipLives()
    lives.broker.topics.delete('t.engage')
    await lives.start()
    lives.append(300)
    await pass(10_000)
    expect(statusOf(lives)).toMatchObject({ state: 'degraded', cause: { code: 'topic_missing' } })
    expect(topicOf(lives, 't.track').pending).toBe(0)
    expect(topicOf(lives, 't.engage').pending).toBeGreaterThan(100)
    await lives.restart()
    await pass(5000)
    lives.broker.create('t.engage', 2)
    await lives.drain()
    lives.expectExactlyOnce()
  })

  it('that gets partitions: they count from one offset on, and no key overtakes itself', async () => {
    const lives = await begun({ partitions: 2 })
    lives.append(100)
    await lives.drain()
    lives.append(400)
    lives.broker.topics.get('t.track')!.grow(5)
    await pass(40_000)
    lives.append(300)
    await lives.drain()
    lives.expectExactlyOnce()
    const partitionsOf = new Map<number, number>()
    for (const [index, { records }] of lives.broker.topics.get('t.track')!.partitions.entries()) {
      for (const { offset } of records) partitionsOf.set(offset, index)
    }
    const tracked = lives.source.records.filter(({ kind }) => kind === 0)
    const placed = (offset: number, keyHash: number, count: number) =>
      partitionsOf.get(offset) === partitionOf(keyHash, count)
    const change = tracked.findIndex(({ offset, keyHash }) => !placed(offset, keyHash, 2))
    expect(change).toBeGreaterThan(50)
    expect(tracked.slice(change).every(({ offset, keyHash }) => placed(offset, keyHash, 5))).toBe(true)
    expect(lives.said.filter((text) => text.includes('has 5 partitions now'))).toHaveLength(1)
  })

  it.each([2, 3, 4])(
    'that was deleted and created again with %i partitions gets what was not acknowledged before',
    async (partitions) => {
      const lives = await begun()
      lives.append(100)
      await lives.drain()
      lives.sink.standing.add('t.track')
      lives.append(100)
      await pass(1000)
      lives.broker.create('t.track', partitions)
      lives.sink.standing.clear()
      await lives.drain()
      const stored = lives.broker.topics.get('t.track')!.partitions.flatMap(({ records }) => records)
      const offsets = stored.map(({ offset }) => offset).toSorted((a, b) => a - b)
      const missing = lives.source.records.filter(({ kind, offset }) => kind === 0 && offset >= 100)
      expect(offsets).toEqual(missing.map(({ offset }) => offset))
      expect(lives.failures).toEqual([])
    },
  )

  it('a cluster that was wiped gets what was not acknowledged before, under a fresh id', async () => {
    const lives = await begun()
    lives.append(100)
    await lives.drain()
    lives.setDown(true)
    lives.append(100)
    await pass(1000)
    lives.broker.wipe(3)
    lives.setDown(false)
    await lives.drain()
    lives.append(50)
    await lives.drain()
    expect(
      lives
        .stored()
        .map(({ offset }) => offset)
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: 150 }, (_, index) => 100 + index))
    lives.expectOrder()
  })
})

describe('without the right to look', () => {
  it('what may have arrived is sent again, marked as a possible duplicate; nothing is lost', async () => {
    const lives = await begun()
    lives.append(40)
    lives.faults = Array(20).fill('lost_reply')
    await pass(30)
    lives.setDenied(true)
    lives.kill()
    await pass(20)
    lives.broker.forget()
    lives.faults = []
    await lives.start()
    await pass(5)
    await lives.drain()
    const counts = byOffset(lives)
    expect([...counts.keys()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => n))
    const twice = [...counts.values()].filter(({ length }) => length > 1)
    expect(twice.length).toBeGreaterThan(0)
    for (const records of twice) expect(records.at(-1)!.possibleDuplicate).toBe(true)
    expect(statusOf(lives).possibleDuplicates).toBeGreaterThan(0)
    expect(lives.said.some((text) => text.includes('possible duplicates'))).toBe(true)
  })
})

it('a sink that promises at least once gets one batch at a time, and again what may be lost, marked', async () => {
  const lives = await begun({ exactlyOnce: false })
  lives.append(100)
  lives.faults = ['lost_reply', undefined, 'lost_request', 'lost_reply']
  await lives.drain()
  const counts = byOffset(lives)
  expect(counts.size).toBe(100)
  expect(lives.sink.outMost).toBe(1)
  expect(statusOf(lives).exactlyOnce).toBe(false)
  for (const records of counts.values())
    expect(records.slice(1).every(({ possibleDuplicate }) => possibleDuplicate)).toBe(true)
})

describe('where it begins', () => {
  it('--kafka-from end leaves out what was there before, once and for all', async () => {
    const lives = new ShipLives()
    lives.from = 'end'
    lives.append(50)
    await lives.start()
    await pass(2000)
    lives.append(30)
    await lives.drain()
    await lives.restart()
    lives.append(20)
    await lives.drain()
    expect(
      lives
        .stored()
        .map(({ offset }) => offset)
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: 50 }, (_, index) => 50 + index))
  })

  it('the state was removed: what has been sent is looked for, nothing is doubled', async () => {
    const lives = await begun()
    lives.append(200)
    await lives.drain()
    await pass(3000)
    lives.append(100)
    await pass(40)
    lives.kill()
    await pass(20)
    await lives.disk.unlink(STATE)
    await lives.start()
    await pass(20)
    await lives.drain()
    lives.expectExactlyOnce()
    expect(lives.said.some((text) => text.includes('state is missing'))).toBe(true)
  })

  it.each([0, 1])(
    'slot %i of the state is damaged: the other one counts, what was sent is looked for',
    async (slot) => {
      const lives = await begun()
      lives.append(200)
      await pass(60)
      lives.kill()
      await pass(20)
      const file = await lives.disk.open(STATE, 'r+')
      const half = (await file.size()) / 2
      await file.write(Buffer.from('rot'), slot * half + 100)
      await file.close()
      lives.append(50)
      await lives.start()
      await pass(20)
      await lives.drain()
      lives.expectExactlyOnce()
    },
  )
})

describe('new routes', () => {
  it('count from one offset on; what was under way goes where it was going', async () => {
    const lives = await begun()
    lives.sink.standing.add('t.track')
    lives.append(60)
    await pass(2000)
    lives.broker.create('own', 4)
    lives.routes = { prefix: 't.', tokens: { tok0: { track: 'own' } } }
    await lives.restart()
    lives.append(100)
    await lives.drain()
    lives.expectExactlyOnce()
    const own = lives.broker.topics.get('own')!.partitions.flatMap(({ records }) => records)
    expect(own.length).toBeGreaterThan(20)
    const from = Math.min(...own.map(({ offset }) => offset))
    const kept = lives.broker.topics.get('t.track')!.partitions.flatMap(({ records }) => records)
    const former = kept.filter(({ key }) => Buffer.from(key).toString().startsWith('tok0:'))
    expect(former.length).toBeGreaterThan(0)
    expect(Math.max(...former.map(({ offset }) => offset))).toBeLessThan(from)
    expect(own.every(({ key }) => Buffer.from(key).toString().startsWith('tok0:'))).toBe(true)
  })
})

describe('what Kafka refuses for ever', () => {
  it('goes to the rejects with the reason, once, and does not hold up the others', async () => {
    const lives = await begun()
    lives.append(50)
    lives.append(1, 1, 'poison')
    lives.append(50)
    await lives.drain()
    lives.expectExactlyOnce()
    expect(lives.rejects).toMatchObject([{ offset: 50, refusal: { code: 'record_refused' } }])
    expect(statusOf(lives)).toMatchObject({ refused: 1, lagRecords: 0, state: 'shipping' })
    expect(lives.acknowledged.has(50)).toBe(true)
  })

  it('a batch over the limit is divided until the guilty record stands alone', async () => {
    const lives = await begun()
    for (const name of ['t.track', 't.engage']) lives.broker.topics.get(name)!.messageBytesMax = 420
    lives.append(30)
    lives.append(1, 1, 'z'.repeat(600))
    lives.append(30)
    await lives.drain()
    lives.expectExactlyOnce()
    expect(lives.rejects).toMatchObject([{ offset: 30, refusal: { code: 'batch_too_large' } }])
  })

  it('killed at any step of refusing it: it is in the rejects once', async () => {
    for (let step = 5; step < 75; step++) {
      const lives = await begun()
      await pass(50)
      lives.append(3, 1, 'poison')
      lives.append(10)
      lives.life.killAfter(step, true)
      await pass(1000)
      await lives.restart()
      await lives.drain()
      lives.expectExactlyOnce()
      expect(lives.rejects).toHaveLength(3)
      lives.kill()
    }
  })
})
