/** The sink that the shipper's own tests run on behaves as a broker's does: the same cases. */
import { describe } from 'vitest'
import { exactlyOnceCases, scanCases, sinkCases, type SinkFixture, WRITER } from './sink.cases.js'
import { MemoryBroker } from './support/memory-broker.js'
import { MemorySink } from './support/memory-sink.js'

/** Kafka's default. */
const MESSAGE_BYTES_MAX = 1_048_588

function fixtureOf(exactlyOnce: boolean): SinkFixture {
  const broker = new MemoryBroker()
  const sink = new MemorySink({
    broker,
    writerId: WRITER.id,
    epoch: WRITER.epoch,
    exactlyOnce,
    nowMs: () => Date.now(),
  })
  return {
    sink,
    async createTopic(partitions = 1, messageBytesMax = MESSAGE_BYTES_MAX) {
      const topic = `t${broker.topics.size}`
      broker.create(topic, partitions).messageBytesMax = messageBytesMax
      return topic
    },
    async read(topic, partition) {
      const records = broker.partition(topic, partition)?.records ?? []
      return records.map(({ key, value, writerId, offset, possibleDuplicate }) => ({
        key: Buffer.from(key).toString(),
        value: Buffer.from(value).toString(),
        headers: {
          log_position: `${writerId}.${WRITER.epoch}.${offset}`,
          ...(possibleDuplicate && { possible_duplicate: '1' }),
        },
      }))
    },
  }
}

describe('memory sink, exactly once', () => {
  const fixture = fixtureOf(true)
  for (const cases of [sinkCases, exactlyOnceCases, scanCases]) cases(() => fixture)
})

describe('memory sink, at least once', () => {
  const fixture = fixtureOf(false)
  sinkCases(() => fixture)
})
