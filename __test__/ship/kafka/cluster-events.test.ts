/** What happens to topics and clusters while we ship, as the sink tells it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { ManualClock } from '../../../src/clock.js'
import { canCompress } from '../../../src/ship/kafka/compression.js'
import type { FoundRecord, PartitionBatch, Sink } from '../../../src/ship/sink.js'
import { SinkDenied, SinkUnavailable } from '../../../src/ship/sink.js'
import { consumeAll, dumpSegments } from '../../kafka/support/read.js'
import { describeKafka } from '../../kafka/support/suite.js'
import { identityOf, recordsOf } from '../sink.cases.js'
import { fixtureOf, sinkFor } from './fixture.js'

async function found(sink: Sink, topic: string, from?: bigint): Promise<FoundRecord[]> {
  const all: FoundRecord[] = []
  for await (const record of sink.scan(topic, 0, from)) all.push(record)
  return all
}

async function batches(
  sink: Sink,
  topic: string,
): Promise<(first: number, length: number) => PartitionBatch> {
  const producer = await identityOf(sink)
  return (first, length) => {
    const records = recordsOf(first, first + length)
    return { topic, partition: 0, producer, firstSequence: first, records, possibleDuplicate: false }
  }
}

const properties = { 'producer.id.expiration.ms': 3000, 'producer.id.expiration.check.interval.ms': 500 }

await describeKafka('one broker', { properties }, (cluster) => {
  it('well-formed batches are what Kafka’s own tool finds in the segment', async () => {
    const sink = await sinkFor(cluster(), { compression: 'lz4' })
    const topic = await fixtureOf(cluster(), sink).createTopic()
    const batch = await batches(sink, topic)
    await sink.publish(batch(0, 300))
    await sink.publish(batch(300, 20))
    const dump = await dumpSegments(cluster(), topic)
    expect(dump).toMatch(/baseOffset: 0 lastOffset: 299 count: 300 baseSequence: 0 lastSequence: 299/)
    expect(dump).toMatch(/baseOffset: 300 lastOffset: 319 count: 20 baseSequence: 300 lastSequence: 319/)
    expect(dump.match(/compresscodec: lz4 .* isvalid: true/g)).toHaveLength(2)
    expect(dump).toContain('headerKeys: [log_position]')
  })

  it('a producer that was silent for too long is unknown, and its records are found by scanning', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic()
    const batch = await batches(sink, topic)
    await sink.publish(batch(0, 10))
    const { producer } = batch(0, 1)
    expect(await sink.producerState(topic, 0, producer)).toMatchObject({ kind: 'alive', lastSequence: 9 })
    await expect
      .poll(() => sink.producerState(topic, 0, producer), { timeout: 20_000, interval: 300 })
      .toEqual({ kind: 'unknown' })
    expect((await found(sink, topic, 7n)).map(({ logOffset }) => logOffset)).toEqual([7, 8, 9])
    // The reason for all this: the same batch would be taken as new.
    expect(await sink.publish(batch(0, 10))).toEqual({ kind: 'delivered', baseOffset: 10n })
  })

  it.each(['gzip', 'lz4', 'snappy', 'zstd'])(
    'our records are found where the topic compresses again with %s',
    async (codec) => {
      const sink = await sinkFor(cluster())
      const topic = `again-${codec}`
      await cluster().createTopic(topic, 1, { 'compression.type': codec })
      const batch = await batches(sink, topic)
      await sink.publish(batch(0, 400))
      await sink.publish(batch(400, 3))
      if (codec === 'zstd' && !canCompress('zstd')) {
        const error = await found(sink, topic).catch((reason: unknown) => reason)
        expect(error).toBeInstanceOf(SinkDenied)
        expect(error).toMatchObject({ cause: { code: 'unreadable_codec' } })
        return
      }
      const places = (await found(sink, topic)).map(({ logOffset }) => logOffset)
      expect(places).toEqual(recordsOf(0, 403).map(({ offset }) => offset))
    },
  )

  it('where retention has removed records, the scan begins with the oldest that is left', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic()
    const batch = await batches(sink, topic)
    for (const first of [0, 4, 8]) await sink.publish(batch(first, 4))
    await cluster().admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] })
    expect((await found(sink, topic, 2n)).map(({ logOffset }) => logOffset)).toEqual([6, 7, 8, 9, 10, 11])
  })

  it('records of others between ours are passed over', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic()
    const batch = await batches(sink, topic)
    const other = await sinkFor(cluster(), { writer: { id: 'f'.repeat(32), epoch: 1 } })
    const foreign = await batches(other, topic)
    await sink.publish(batch(0, 2))
    await other.publish(foreign(50, 1))
    await cluster().admin.connect()
    await sink.publish(batch(2, 2))
    const writers = (await found(sink, topic)).map(({ writerId, logOffset }) => `${writerId[0]}${logOffset}`)
    expect(writers).toEqual(['00', '01', 'f50', '02', '03'])
  })

  it('a topic that was deleted and made again has another id, and is shipped to', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic(2)
    const before = await sink.describe([topic])
    const batch = await batches(sink, topic)
    await sink.publish(batch(0, 2))
    await cluster().admin.deleteTopics({ topics: [topic] })
    await expect
      .poll(async () => (await sink.describe([topic])).unusable, { timeout: 10_000 })
      .toHaveLength(1)
    expect(await sink.publish(batch(2, 2))).toMatchObject({ kind: 'retry', cause: { code: 'topic_missing' } })
    await cluster().createTopic(topic, 3)
    await expect.poll(async () => (await sink.describe([topic])).topics, { timeout: 10_000 }).toHaveLength(1)
    const { topics, clusterId } = await sink.describe([topic])
    expect(clusterId).toBe(before.clusterId)
    expect(topics[0]).toMatchObject({ name: topic, partitions: 3 })
    expect(topics[0]!.id).not.toBe(before.topics[0]!.id)
    await expect
      .poll(async () => (await sink.publish(batch(2, 2))).kind, { timeout: 10_000 })
      .toBe('delivered')
    expect((await consumeAll(cluster(), topic)).map(({ value }) => value)).toHaveLength(2)
  })

  it('more partitions are seen at the next look, and shipped to', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic(1)
    const batch = await batches(sink, topic)
    await cluster().admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    await expect
      .poll(async () => (await sink.describe([topic])).topics[0]?.partitions, { timeout: 10_000 })
      .toBe(4)
    await expect
      .poll(async () => (await sink.publish({ ...batch(0, 1), partition: 3 })).kind, { timeout: 10_000 })
      .toBe('delivered')
  })

  it('a gate whose clock is wrong waits, and loses no record to the rejects', async () => {
    const sink = await sinkFor(cluster(), { clock: new ManualClock(1_000_000) })
    const topic = 'strict-about-time'
    await cluster().createTopic(topic, 1, { 'message.timestamp.before.max.ms': '60000' })
    await sleep(200)
    const batch = await batches(sink, topic)
    expect(await sink.publish(batch(0, 1))).toMatchObject({ kind: 'retry', cause: { code: 'clock_wrong' } })
  })

  it('closing ends what is under way with outcomes', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic()
    const batch = await batches(sink, topic)
    const outcome = sink.publish(batch(0, 1))
    await sink.close()
    expect(['delivered', 'retry']).toContain((await outcome).kind)
    expect((await sink.publish(batch(0, 1))).kind).toBe('retry')
    await expect(sink.describe([topic])).rejects.toThrow(SinkUnavailable)
  })
})

await describeKafka('three brokers', { brokers: 3 }, (cluster) => {
  /** As the shipper: the same batch until it is delivered. */
  async function insist(sink: Sink, batch: PartitionBatch): Promise<number> {
    for (let tries = 1; ; tries++) {
      const outcome = await sink.publish(batch)
      if (outcome.kind === 'delivered') return tries
      if (outcome.kind !== 'retry' || tries === 300) throw new Error(JSON.stringify(outcome))
      await sleep(100)
    }
  }

  async function start(): Promise<{
    sink: Sink
    topic: string
    batch: (first: number, length: number) => PartitionBatch
  }> {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic()
    await cluster().inSync(topic)
    return { sink, topic, batch: await batches(sink, topic) }
  }

  const numbers = async (topic: string): Promise<number[]> =>
    (await consumeAll(cluster(), topic)).map(({ value }) => JSON.parse(value).n)
  const expected = (to: number): number[] => recordsOf(0, to).map(({ offset }) => offset)

  it('a leader that is killed: another one takes over, and every batch is kept once', async () => {
    const { sink, topic, batch } = await start()
    await sink.publish(batch(0, 5))
    const leader = await cluster().leaderOf(topic)
    await leader.kill()
    expect(await insist(sink, batch(5, 5))).toBeGreaterThan(1)
    // The same again, to the new leader: it knows the producer from its replica.
    expect(await sink.publish(batch(0, 5))).toEqual({ kind: 'delivered', baseOffset: 0n })
    expect(await sink.producerState(topic, 0, batch(0, 1).producer)).toMatchObject({ lastSequence: 9 })
    expect((await found(sink, topic)).map(({ logOffset }) => logOffset)).toEqual(expected(10))
    leader.start()
    await cluster().ready()
    await cluster().inSync(topic)
    expect(await numbers(topic)).toEqual(expected(10))
  })

  it('a leader that hangs: after the time limit the others are asked, and what it had is kept once', async () => {
    const { sink, topic, batch } = await start()
    await sink.publish(batch(0, 5))
    const leader = await cluster().leaderOf(topic)
    leader.pause()
    onTestFinished(() => leader.resume())
    await insist(sink, batch(5, 5))
    leader.resume()
    await cluster().inSync(topic)
    await insist(sink, batch(10, 2))
    expect(await numbers(topic)).toEqual(expected(12))
  })

  it('scan: records that the leader has and its replicas have not are waited for, never taken as absent', async () => {
    const { sink, topic, batch } = await start()
    await sink.publish(batch(0, 5))
    const leader = await cluster().leaderOf(topic)
    const followers = cluster().brokers.filter((broker) => broker !== leader)
    for (const follower of followers) follower.pause()
    onTestFinished(() => followers.forEach((follower) => follower.resume()))
    const doubtful = await sink.publish(batch(5, 3))
    expect(doubtful.kind).toBe('retry')
    const again = await sinkFor(cluster())
    const error = await found(again, topic, 5n).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(SinkUnavailable)
    expect(error).toMatchObject({ cause: { code: 'not_enough_replicas' } })
    for (const follower of followers) follower.resume()
    await cluster().inSync(topic)
    await expect
      .poll(async () => (await found(again, topic, 5n).catch(() => [])).map(({ logOffset }) => logOffset), {
        timeout: 20_000,
        interval: 200,
      })
      .toEqual([5, 6, 7])
    await insist(sink, batch(5, 3))
    expect(await numbers(topic)).toEqual(expected(8))
  })

  it('too few replicas: nothing is delivered, what to do is said, and afterwards all of it is kept once', async () => {
    const { sink, topic, batch } = await start()
    const strict = `strict-${topic}`
    await cluster().createTopic(strict, 1, { 'min.insync.replicas': '3' })
    await cluster().inSync(strict)
    const to = (first: number): PartitionBatch => ({ ...batch(first, 2), topic: strict })
    await insist(sink, to(0))
    const leader = await cluster().leaderOf(strict)
    const follower = cluster().brokers.find((broker) => broker !== leader)!
    await follower.kill()
    await expect
      .poll(async () => await sink.publish(to(2)), { timeout: 20_000, interval: 200 })
      .toMatchObject({ kind: 'retry', cause: { code: 'not_enough_replicas' } })
    follower.start()
    await cluster().ready()
    await insist(sink, to(2))
    expect(await numbers(strict)).toEqual(expected(4))
  })
})
