/** Sinks over a test cluster. */
import { onTestFinished } from 'vitest'
import { systemClock } from '../../../src/clock.js'
import { createKafka } from '../../../src/ship/kafka/client.js'
import { createSink, type SinkOptions } from '../../../src/ship/kafka/select.js'
import type { Sink } from '../../../src/ship/sink.js'
import type { Cluster } from '../../kafka/support/cluster.js'
import { consumeAll } from '../../kafka/support/read.js'
import { type SinkFixture, WRITER } from '../sink.cases.js'

export const REQUEST_TIMEOUT_MS = 3000

/** Plain connections, short time-outs; `more` overrides. */
export function optionsFor(cluster: Cluster, more: Partial<SinkOptions> = {}): SinkOptions {
  const brokers = cluster.addresses.split(',')
  const kafka = createKafka({
    kafka: brokers,
    kafkaAccess: { tls: undefined, sasl: undefined },
    kafkaClientId: 'sluicegate-test',
    kafkaConnectTimeoutMs: 1000,
    kafkaRequestTimeoutMs: REQUEST_TIMEOUT_MS,
  })
  return {
    kafka,
    brokers,
    exactlyOnce: 'require',
    compression: 'none',
    connectTimeoutMs: 1000,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    writer: WRITER,
    clock: systemClock,
    ...more,
  }
}

/** Closed when the test is over. */
export async function sinkFor(cluster: Cluster, more: Partial<SinkOptions> = {}): Promise<Sink> {
  const sink = await createSink(optionsFor(cluster, more))
  onTestFinished(() => sink.close())
  return sink
}

export function fixtureOf(cluster: Cluster, sink: Sink): SinkFixture {
  return {
    sink,
    async createTopic(partitions = 1, messageBytesMax) {
      const topic = `t${process.hrtime.bigint()}`
      const limit = messageBytesMax === undefined ? {} : { 'max.message.bytes': String(messageBytesMax) }
      await cluster.createTopic(topic, partitions, limit)
      return topic
    },
    async read(topic, partition) {
      const all = await consumeAll(cluster, topic)
      return all
        .filter((record) => record.partition === partition)
        .map(({ key, value, headers }) => ({ key, value, headers }))
    },
  }
}
