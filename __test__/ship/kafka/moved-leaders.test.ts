/** A leader that moved while connections stay open: when the sink looks again, and that batches keep their order. */
import { expect, it } from 'vitest'
import { systemClock } from '../../../src/clock.js'
import { javascriptCrc32c } from '../../../src/ship/kafka/crc32c.js'
import { RecordBatchEncoder } from '../../../src/ship/kafka/record-batch.js'
import { KafkaSink } from '../../../src/ship/kafka/sink.js'
import type { PartitionBatch } from '../../../src/ship/sink.js'
import { recordsOf, WRITER } from '../sink.cases.js'
import { clusterOf, FakeBrokers } from './fake-brokers.js'

const producer = { id: 1n, epoch: 0 }

function start(): { brokers: FakeBrokers; sink: KafkaSink; batch: (first: number) => PartitionBatch } {
  const brokers = new FakeBrokers()
  brokers.topics = { t: { leaders: [1] } }
  const crc32c = javascriptCrc32c
  const encoder = new RecordBatchEncoder({ writer: WRITER, compression: 'none', crc32c })
  const options = { cluster: clusterOf(brokers), encoder, crc32c, clock: systemClock, requestTimeoutMs: 100 }
  const batch = (first: number): PartitionBatch => {
    const records = recordsOf(first, first + 1)
    return { topic: 't', partition: 0, producer, firstSequence: first, records, possibleDuplicate: false }
  }
  return { brokers, sink: new KafkaSink(options), batch }
}

it.each([3, 6, 56, 74, 75, 100])('after error %i the leader is looked up again', async (code) => {
  const { brokers, sink, batch } = start()
  expect(await sink.publish(batch(0))).toEqual({ kind: 'delivered', baseOffset: 1n })
  brokers.topics = { t: { leaders: [2] } }
  brokers.produceErrors = [code]
  expect((await sink.publish(batch(1))).kind).toBe('retry')
  expect(await sink.publish(batch(1))).toEqual({ kind: 'delivered', baseOffset: 2n })
})

it.each([7, 19, 45, 87])('error %i says nothing about leaders', async (code) => {
  const { brokers, sink, batch } = start()
  await sink.publish(batch(0))
  const { asked } = brokers
  brokers.produceErrors = [code]
  await sink.publish(batch(1))
  await sink.publish(batch(1))
  expect(brokers.asked).toBe(asked)
})

it('after a connection that broke the leader is looked up again, though it can be reached', async () => {
  const { brokers, sink, batch } = start()
  await sink.publish(batch(0))
  brokers.topics = { t: { leaders: [2] } }
  brokers.breaking = 1
  expect(await sink.publish(batch(1))).toMatchObject({ kind: 'retry', cause: { code: 'unreachable' } })
  expect(await sink.publish(batch(1))).toEqual({ kind: 'delivered', baseOffset: 2n })
})

it('the state of a producer is asked of the leader of now: a former one would know less', async () => {
  const { brokers, sink, batch } = start()
  await sink.publish(batch(0))
  brokers.topics = { t: { leaders: [2] } }
  expect(await sink.producerState('t', 0, producer)).toMatchObject({ kind: 'alive', lastSequence: 2 })
})

it('P6: batches leave in the order of the calls, also when the leader has to be found for the first of them', async () => {
  const { brokers, sink, batch } = start()
  brokers.away = new Set([1])
  const first = sink.publish(batch(0))
  brokers.away.clear()
  // Each call at another moment of the look-up.
  const rest: Promise<unknown>[] = []
  for (let index = 1; index < 5; index++) {
    await Promise.resolve()
    rest.push(sink.publish(batch(index)))
  }
  await Promise.all([first, ...rest])
  const sequences = brokers.batches.map((bytes) => bytes.readInt32BE(bytes.indexOf(ffff) + FIRST_SEQUENCE))
  expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
  expect(sequences.length).toBeGreaterThan(2)
})

/** Leader epoch and magic of a batch, and how far behind them its first sequence stands. */
const ffff = Buffer.from('ffffffff02', 'hex')
const FIRST_SEQUENCE = 41
