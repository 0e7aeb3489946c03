/** Looking up leaders and keeping connections, without a broker: who is asked, how often, and what is forgotten. */
import { describe, expect, it } from 'vitest'
import type { BrokerConnection } from '../../../src/ship/kafka/kafkajs-inside.js'
import type { SinkUnavailable } from '../../../src/ship/sink.js'
import { clusterOf, FakeBrokers, type FakeConnection } from './fake-brokers.js'

const causeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return (error as SinkUnavailable).cause.code
}

describe('leaders', () => {
  it('are looked up once for all that wait, and again only after an answer that says they moved', async () => {
    const brokers = new FakeBrokers()
    const cluster = clusterOf(brokers)
    await Promise.all([0, 1, 2].map((partition) => cluster.leader('t', partition)))
    const asked = brokers.asked
    expect(await cluster.leader('t', 0)).toMatchObject({ leaderEpoch: 4, connection: { id: 1 } })
    expect(brokers.asked).toBe(asked)
    brokers.topics = { t: { leaders: [2, 2, 2] } }
    expect(await cluster.leader('t', 0)).toMatchObject({ connection: { id: 1 } })
    cluster.markStale()
    const found = await Promise.all([0, 1, 2].map((partition) => cluster.leader('t', partition)))
    expect(found.map(({ connection }) => (connection as FakeConnection).id)).toEqual([2, 2, 2])
    expect(brokers.asked).toBe(asked + 1)
  })

  it('whoever comes while they are looked up waits for that', async () => {
    const brokers = new FakeBrokers()
    const cluster = clusterOf(brokers)
    await cluster.describe(['t'])
    brokers.topics = { t: { leaders: [2, 1] } }
    cluster.markStale()
    const first = cluster.leader('t', 0)
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    const second = cluster.leader('t', 1)
    expect([await first, await second]).toMatchObject([{ connection: { id: 2 } }, { connection: { id: 1 } }])
  })

  it('describe is never answered from a question that was asked before it', async () => {
    const brokers = new FakeBrokers()
    const cluster = clusterOf(brokers)
    const first = cluster.describe(['t'])
    await new Promise((resolve) => setImmediate(resolve))
    brokers.topics = { t: { leaders: [1] }, u: { leaders: [2] } }
    const [, second] = await Promise.all([first, cluster.describe(['u'])])
    expect(second.topics.map(({ name }) => name)).toEqual(['t', 'u'])
  })

  it('a partition without a leader, without a topic, without a right: each says so, and the next look asks again', async () => {
    const brokers = new FakeBrokers()
    brokers.topics = { t: { leaders: [-1] }, u: { leaders: [], error: 29 } }
    const cluster = clusterOf(brokers)
    expect(await causeOf(cluster.leader('t', 0))).toBe('leader_missing')
    expect(await causeOf(cluster.leader('t', 5))).toBe('topic_missing')
    expect(await causeOf(cluster.leader('missing', 0))).toBe('topic_missing')
    expect(await causeOf(cluster.leader('u', 0))).toBe('not_authorized')
    brokers.topics = { t: { leaders: [2] } }
    expect(await cluster.leader('t', 0)).toMatchObject({ connection: { id: 2 } })
  })
})

describe('brokers', () => {
  it('any that can be reached is asked: seeds that are away or hang are passed over', async () => {
    const brokers = new FakeBrokers()
    brokers.ids = [1, 2, 3]
    brokers.away = new Set([1])
    brokers.hanging = new Set([2])
    const cluster = clusterOf(brokers, ['b1:1', 'b2:2', 'b3:3'])
    expect((await cluster.describe(['t'])).clusterId).toBe('cluster')
  })

  it('known ones are asked when all seeds are gone', async () => {
    const brokers = new FakeBrokers()
    brokers.ids = [1, 2, 3]
    const cluster = clusterOf(brokers, ['b1:1'])
    await cluster.describe(['t'])
    brokers.away = new Set([1])
    for (const connection of brokers.open) connection.close()
    expect((await cluster.describe(['t'])).nodes).toHaveLength(3)
  })

  it('when none is there that is an outage, and it ends by itself', async () => {
    const brokers = new FakeBrokers()
    brokers.away = new Set([1, 2])
    const cluster = clusterOf(brokers)
    expect(await causeOf(cluster.describe(['t']))).toBe('unreachable')
    expect(await causeOf(cluster.leader('t', 0))).toBe('unreachable')
    brokers.away.clear()
    expect(await cluster.leader('t', 0)).toMatchObject({ connection: { id: 1 } })
  })

  it('that are too old are told from those that are away', async () => {
    const brokers = new FakeBrokers()
    brokers.tooOld = true
    expect(await causeOf(clusterOf(brokers).describe(['t']))).toBe('kafka_too_old')
    expect(brokers.open.every(({ isClosed }) => isClosed)).toBe(true)
  })
})

describe('connections', () => {
  it('one that closed is replaced once, however many wait for it', async () => {
    const brokers = new FakeBrokers()
    const cluster = clusterOf(brokers)
    const { connection } = await cluster.leader('t', 0)
    connection.close()
    const before = brokers.connected.length
    const again = await Promise.all([0, 2, 0].map((partition) => cluster.leader('t', partition)))
    expect(brokers.connected.length).toBe(before + 1)
    expect(new Set(again.map((leader) => leader.connection)).size).toBe(1)
  })

  it('each partition has its own for batches, always the same, up to 16 a broker', async () => {
    const brokers = new FakeBrokers()
    brokers.topics = { t: { leaders: Array<number>(40).fill(1) } }
    const cluster = clusterOf(brokers)
    const asking = await cluster.leader('t', 0)
    const first: BrokerConnection[] = []
    for (let partition = 0; partition < 40; partition++) {
      first.push((await cluster.leaderForBatches('t', partition)).connection)
    }
    expect(new Set(first).size).toBe(16)
    expect(first).not.toContain(asking.connection)
    for (let partition = 39; partition >= 0; partition--) {
      expect((await cluster.leaderForBatches('t', partition)).connection).toBe(first[partition])
    }
  })

  it('to addresses where no broker is any more are closed', async () => {
    const brokers = new FakeBrokers()
    const cluster = clusterOf(brokers, ['b1:1'])
    const { connection } = await cluster.leader('t', 1)
    brokers.ids = [1, 3]
    await cluster.describe(['t'])
    await new Promise((resolve) => setImmediate(resolve))
    expect(connection.isClosed).toBe(true)
  })

  it('after close there are none, and none is made', async () => {
    const brokers = new FakeBrokers()
    const cluster = clusterOf(brokers)
    await cluster.leader('t', 0)
    cluster.close()
    await new Promise((resolve) => setImmediate(resolve))
    expect(brokers.open.every(({ isClosed }) => isClosed)).toBe(true)
    const before = brokers.connected.length
    expect(await causeOf(cluster.leader('t', 0))).toBe('unreachable')
    expect(brokers.connected.length).toBe(before)
  })
})
