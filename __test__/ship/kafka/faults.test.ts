/** What a broker that fails looks like from here: every time an outcome, never an exception, and nothing doubled. */
import { createHash } from 'node:crypto'
import { expect, it, onTestFinished } from 'vitest'
import { createSink } from '../../../src/ship/kafka/select.js'
import { PublicProducerSink } from '../../../src/ship/kafka/public-sink.js'
import type { PartitionBatch, Sink } from '../../../src/ship/sink.js'
import { SinkUnavailable } from '../../../src/ship/sink.js'
import type { Cluster } from '../../kafka/support/cluster.js'
import { API, type Fault } from '../../kafka/support/fault-proxy.js'
import { consumeAll } from '../../kafka/support/read.js'
import { describeKafka } from '../../kafka/support/suite.js'
import { identityOf, outRecord, recordsOf } from '../sink.cases.js'
import { fixtureOf, optionsFor, REQUEST_TIMEOUT_MS, sinkFor } from './fixture.js'

interface Started {
  readonly sink: Sink
  readonly topic: string
  readonly batch: (first: number, length: number) => PartitionBatch
  readonly values: () => Promise<string[]>
}

async function start(cluster: Cluster): Promise<Started> {
  const sink = await sinkFor(cluster)
  const topic = await fixtureOf(cluster, sink).createTopic()
  const producer = await identityOf(sink)
  return {
    sink,
    topic,
    batch: (first, length) => {
      const records = recordsOf(first, first + length)
      return { topic, partition: 0, producer, firstSequence: first, records, possibleDuplicate: false }
    },
    values: async () => (await consumeAll(cluster, topic)).map(({ value }) => value),
  }
}

const expected = (to: number): string[] => recordsOf(0, to).map(({ value }) => Buffer.from(value).toString())

/** As the shipper does it: the same batch until it is delivered. */
async function insist(sink: Sink, batch: PartitionBatch): Promise<number> {
  for (let tries = 1; ; tries++) {
    const outcome = await sink.publish(batch)
    if (outcome.kind === 'delivered') return tries
    if (outcome.kind !== 'retry' || tries === 200) throw new Error(JSON.stringify(outcome))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

await describeKafka('a broker that fails', { faults: true }, (cluster) => {
  it.each<[Fault['kind'], Fault]>([
    ['lose_request', { kind: 'lose_request' }],
    ['lose_reply', { kind: 'lose_reply' }],
    ['cut_reply', { kind: 'cut_reply' }],
    ['half_close', { kind: 'half_close' }],
    ['hang', { kind: 'hang' }],
    // What comes behind it on the same connection would be late, too: hence another connection.
    ['delay', { kind: 'delay', ms: 20_000 }],
  ])('%s: the outcome is retry, and the same batch again is kept once', async (_, fault) => {
    const { sink, batch, values } = await start(cluster())
    await insist(sink, batch(0, 3))
    const happened = cluster().proxies[0]!.next(API.produce, fault)
    const doubtful = await sink.publish(batch(3, 4))
    await happened
    expect(doubtful).toMatchObject({ kind: 'retry', cause: { code: 'unreachable' } })
    expect(await insist(sink, batch(3, 4))).toBe(1)
    expect((await sink.publish(batch(7, 1))).kind).toBe('delivered')
    expect(await values()).toEqual(expected(8))
  })

  it('five batches under way when the connection breaks: all retry, and sent again they are kept once, in order', async () => {
    const { sink, batch, values } = await start(cluster())
    const five = [0, 1, 2, 3, 4].map((index) => batch(index * 10, 10))
    let seen = 0
    // The first two are written and answered into the void; the third never arrives.
    cluster().proxies[0]!.faults(({ apiKey }) => {
      return apiKey === API.produce && ++seen === 3 ? { kind: 'lose_request' } : undefined
    })
    onTestFinished(() => cluster().proxies[0]!.heal())
    const outcomes = await Promise.all(five.map((one) => sink.publish(one)))
    expect(outcomes.slice(2).map(({ kind }) => kind)).toEqual(['retry', 'retry', 'retry'])
    cluster().proxies[0]!.heal()
    const again = await Promise.all(five.map((one) => sink.publish(one)))
    expect(again.map(({ kind }) => kind)).toEqual(Array(5).fill('delivered'))
    expect(await values()).toEqual(expected(50))
  })

  it('P6: through hundreds of random faults every batch is kept once, in order', async () => {
    const { sink, batch, values } = await start(cluster())
    const kinds = ['lose_request', 'lose_reply', 'cut_reply', 'half_close'] as const
    // Numbers that look random and are the same in every run.
    let state = 20_261_125
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    cluster().proxies[0]!.faults(({ apiKey }) => {
      return apiKey === API.produce && random(12) === 0 ? { kind: kinds[random(4)]! } : undefined
    })
    onTestFinished(() => cluster().proxies[0]!.heal())
    const total = 6000
    let acknowledged = 0
    let failures = 0
    // Five under way at most; after a failure everything that is not acknowledged again, in order, as the shipper does.
    for (let tries = 0; acknowledged < total && tries < 5000; tries++) {
      const firsts = [0, 10, 20, 30, 40].map((more) => acknowledged + more).filter((first) => first < total)
      const outcomes = await Promise.all(firsts.map((first) => sink.publish(batch(first, 10))))
      const good = outcomes.findIndex(({ kind }) => kind !== 'delivered')
      acknowledged += (good === -1 ? firsts.length : good) * 10
      if (good === -1) continue
      failures++
      expect(['retry', 'unsettled']).toContain(outcomes[good]!.kind)
    }
    cluster().proxies[0]!.heal()
    expect(acknowledged).toBe(total)
    expect(failures).toBeGreaterThan(50)
    expect(await values()).toEqual(expected(total))
  })

  it('P5: memory of batches is used again only when it has left, however slowly', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic(2)
    const producer = await identityOf(sink)
    // 800 KB each, all different: more than a socket takes at once.
    const to = (partition: number, first: number): PartitionBatch => {
      const records = recordsOf(first, first + 8).map(({ offset, key }) => {
        const value = createHash('shake256', { outputLength: 50_000 }).update(`${partition} ${offset}`)
        return outRecord(offset, key, Buffer.from(value.digest('hex')))
      })
      return { topic, partition, producer, firstSequence: first, records, possibleDuplicate: false }
    }
    for (let round = 0; round < 4; round++) {
      const batches = [0, 1].flatMap((partition) =>
        [0, 1, 2, 3, 4].map((index) => to(partition, (round * 5 + index) * 8)),
      )
      const outcomes = await Promise.all(batches.map((batch) => sink.publish(batch)))
      expect(outcomes.map(({ kind }) => kind)).toEqual(Array(10).fill('delivered'))
    }
    for (const { partition, value, offset } of await consumeAll(cluster(), topic)) {
      expect(value).toBe(to(partition, offset - (offset % 8)).records[offset % 8]!.value.toString())
    }
  })

  it('a late reply is waited for within the time limit', async () => {
    const { sink, batch, values } = await start(cluster())
    const happened = cluster().proxies[0]!.next(API.produce, { kind: 'delay', ms: 500 })
    expect((await sink.publish(batch(0, 2))).kind).toBe('delivered')
    await happened
    expect(await values()).toEqual(expected(2))
  })

  it('a partition that is slow does not hold up the others', async () => {
    const sink = await sinkFor(cluster())
    const topic = await fixtureOf(cluster(), sink).createTopic(2)
    const producer = await identityOf(sink)
    const to = (partition: number, first: number, length: number): PartitionBatch => {
      const records = recordsOf(first, first + length)
      return { topic, partition, producer, firstSequence: first, records, possibleDuplicate: false }
    }
    // A partition that has just been made may not be known for a moment.
    for (const partition of [0, 1]) await insist(sink, to(partition, 0, 1))
    // As if a replica of partition 0 were slow: its batch is the one with many bytes.
    cluster().proxies[0]!.faults(({ apiKey, bytes }) => {
      return apiKey === API.produce && bytes > 5000 ? { kind: 'delay', ms: 2000 } : undefined
    })
    onTestFinished(() => cluster().proxies[0]!.heal())
    const order: string[] = []
    const slow = sink.publish(to(0, 1, 200)).then(({ kind }) => order.push(`slow ${kind}`))
    const quick = sink.publish(to(1, 1, 2)).then(({ kind }) => order.push(`quick ${kind}`))
    await Promise.all([slow, quick, sink.describe([topic]).then(() => order.push('described'))])
    expect(order.toSorted()).toEqual(['described', 'quick delivered', 'slow delivered'])
    expect(order.at(-1)).toBe('slow delivered')
  })

  it('nothing is rejected or thrown past a time limit, whatever hangs', async () => {
    const { sink, topic, batch } = await start(cluster())
    await insist(sink, batch(0, 1))
    cluster().proxies[0]!.faults(() => ({ kind: 'hang' }))
    onTestFinished(() => cluster().proxies[0]!.heal())
    const began = performance.now()
    const producer = batch(0, 1).producer
    expect((await sink.publish(batch(1, 1))).kind).toBe('retry')
    expect((await sink.producerState(topic, 0, producer)).kind).toBe('retry')
    await expect(sink.describe([topic])).rejects.toBeInstanceOf(SinkUnavailable)
    await expect(sink.producerIdentity()).rejects.toBeInstanceOf(SinkUnavailable)
    expect(performance.now() - began).toBeLessThan(8 * REQUEST_TIMEOUT_MS)
    cluster().proxies[0]!.heal()
    expect(await insist(sink, batch(1, 1))).toBeGreaterThan(0)
  })

  it('a broker that is killed and comes back: retry until then, kept once after it', async () => {
    const { sink, topic, batch, values } = await start(cluster())
    await insist(sink, batch(0, 5))
    const [broker] = cluster().brokers
    await broker!.kill()
    expect(await sink.publish(batch(5, 5))).toMatchObject({ kind: 'retry', cause: { code: 'unreachable' } })
    await expect(sink.describe([topic])).rejects.toThrow(SinkUnavailable)
    await expect(async () => {
      for await (const _ of sink.scan(topic, 0, undefined));
    }).rejects.toThrow(SinkUnavailable)
    broker!.start()
    await cluster().ready()
    await insist(sink, batch(5, 5))
    // What it knew of the producer it knows again.
    expect(await sink.producerState(topic, 0, batch(0, 1).producer)).toMatchObject({ lastSequence: 9 })
    expect((await sink.publish(batch(0, 5))).kind).toBe('delivered')
    expect(await values()).toEqual(expected(10))
  })

  it('no broker at all: an outcome or SinkUnavailable, within the time limit', async () => {
    const options = optionsFor(cluster())
    const sink = await createSink({ ...options, brokers: ['127.0.0.1:1'] })
    onTestFinished(() => sink.close())
    const producer = { id: 1n, epoch: 0 }
    const batch = { topic: 't', partition: 0, producer, firstSequence: 0, possibleDuplicate: false }
    const outcome = await sink.publish({ ...batch, records: recordsOf(0, 1) })
    expect(outcome).toMatchObject({ kind: 'retry', cause: { code: 'unreachable' } })
    await expect(sink.describe(['t'])).rejects.toThrow(SinkUnavailable)
  })

  it('P6: at least once, a lost reply doubles a batch and never changes the order', async () => {
    const sink = new PublicProducerSink(optionsFor(cluster()))
    onTestFinished(() => sink.close())
    const topic = await fixtureOf(cluster(), sink).createTopic()
    const producer = { id: -1n, epoch: -1 }
    const batches = [0, 1, 2].map((index) => {
      const records = recordsOf(index, index + 1)
      return { topic, partition: 0, producer, firstSequence: 0, records, possibleDuplicate: false }
    })
    await sink.describe([topic])
    await insist(sink, batches[0]!)
    void cluster().proxies[0]!.next(API.produce, { kind: 'lose_reply' })
    const outcomes = await Promise.all(batches.slice(1).map((batch) => sink.publish(batch)))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['retry', 'retry'])
    for (const batch of batches.slice(1)) await insist(sink, batch)
    const numbers = (await consumeAll(cluster(), topic)).map(({ value }) => JSON.parse(value).n)
    expect(numbers).toEqual([0, 1, 1, 2])
  })
})
