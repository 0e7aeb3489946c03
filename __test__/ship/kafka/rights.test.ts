/** What the sink may do is up to the cluster: each missing right has an answer of its own, and no event is lost over it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { createKafka } from '../../../src/ship/kafka/client.js'
import { createSink } from '../../../src/ship/kafka/select.js'
import type { PartitionBatch, Sink } from '../../../src/ship/sink.js'
import { SinkDenied, SinkUnavailable } from '../../../src/ship/sink.js'
import type { Cluster } from '../../kafka/support/cluster.js'
import { describeKafka } from '../../kafka/support/suite.js'
import { identityOf, recordsOf } from '../sink.cases.js'
import { optionsFor } from './fixture.js'

const properties = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  // The brokers themselves and the tests' tools, on their own listener.
  'super.users': 'User:ANONYMOUS',
  'sasl.enabled.mechanisms': 'PLAIN',
  'listener.name.client.plain.sasl.jaas.config':
    'org.apache.kafka.common.security.plain.PlainLoginModule required user_gate="secret";',
}

type Operation = 'READ' | 'WRITE' | 'DESCRIBE' | 'DESCRIBE_CONFIGS'

async function allow(cluster: Cluster, topic: string, ...operations: Operation[]): Promise<void> {
  await cluster.admin.createAcls({
    acl: operations.map((operation) => ({
      resourceType: AclResourceTypes.TOPIC,
      resourceName: topic,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: 'User:gate',
      host: '*',
      operation: AclOperationTypes[operation],
      permissionType: AclPermissionTypes.ALLOW,
    })),
  })
}

async function sinkOf(cluster: Cluster, password = 'secret'): Promise<Sink> {
  const options = optionsFor(cluster)
  const kafka = createKafka({
    kafka: options.brokers,
    kafkaAccess: { tls: undefined, sasl: { mechanism: 'plain', username: 'gate', password } },
    kafkaClientId: 'sluicegate-test',
    kafkaConnectTimeoutMs: 1000,
    kafkaRequestTimeoutMs: 3000,
  })
  const sink = await createSink({ ...options, kafka })
  onTestFinished(() => sink.close())
  return sink
}

async function batchTo(sink: Sink, topic: string): Promise<PartitionBatch> {
  const producer = await identityOf(sink)
  const records = recordsOf(0, 3)
  return { topic, partition: 0, producer, firstSequence: 0, records, possibleDuplicate: false }
}

const drain = async (records: AsyncIterable<unknown>): Promise<number> => {
  let count = 0
  for await (const _ of records) count++
  return count
}

await describeKafka('rights', { protocol: 'SASL_PLAINTEXT', properties }, (cluster) => {
  beforeAll(async () => {
    for (const topic of ['none', 'reading', 'writing', 'all']) await cluster().createTopic(topic)
    await allow(cluster(), 'reading', 'READ', 'DESCRIBE')
    await allow(cluster(), 'writing', 'WRITE', 'DESCRIBE')
    await allow(cluster(), 'all', 'READ', 'WRITE', 'DESCRIBE', 'DESCRIBE_CONFIGS')
  })

  it('describe says for each topic whether it can be used', async () => {
    const sink = await sinkOf(cluster())
    const view = await sink.describe(['none', 'reading', 'writing', 'all'])
    expect(view.topics).toMatchObject([
      // Without DESCRIBE_CONFIGS the limit is not known; that alone does not stop us.
      { name: 'writing', messageBytesMax: undefined },
      { name: 'all', messageBytesMax: 1_048_588 },
    ])
    expect(view.unusable).toMatchObject([
      { name: 'none', cause: { code: 'not_authorized' } },
      { name: 'reading', cause: { code: 'not_authorized' } },
    ])
  })

  it('a batch without the right to write is sent again for ever, never rejected', async () => {
    const sink = await sinkOf(cluster())
    for (const topic of ['none', 'reading']) {
      const outcome = await sink.publish(await batchTo(sink, topic))
      expect(outcome).toMatchObject({ kind: 'retry', cause: { code: 'not_authorized' } })
    }
  })

  it('without READ neither the producer nor records can be looked up, and that is told from an outage', async () => {
    const sink = await sinkOf(cluster())
    const batch = await batchTo(sink, 'writing')
    expect((await sink.publish(batch)).kind).toBe('delivered')
    const state = await sink.producerState('writing', 0, batch.producer)
    expect(state).toMatchObject({ kind: 'denied', cause: { code: 'not_authorized' } })
    // Its place is no secret: DESCRIBE is enough for that.
    expect(await sink.end('writing', 0)).toBe(3n)
    await expect(drain(sink.scan('writing', 0, undefined))).rejects.toThrow(SinkDenied)
  })

  it('without any right on a topic it is waited for: it would help nothing to go on in doubt', async () => {
    const sink = await sinkOf(cluster())
    const state = await sink.producerState('none', 0, { id: 1n, epoch: 0 })
    expect(state).toMatchObject({ kind: 'retry', cause: { code: 'not_authorized' } })
    for (const work of [sink.end('none', 0), drain(sink.scan('none', 0, undefined))]) {
      const error = await work.catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(SinkUnavailable)
      expect(error).toMatchObject({ cause: { code: 'not_authorized' } })
    }
  })

  it('with all rights everything works over SASL', async () => {
    const sink = await sinkOf(cluster())
    const batch = await batchTo(sink, 'all')
    expect((await sink.publish(batch)).kind).toBe('delivered')
    expect(await sink.producerState('all', 0, batch.producer)).toMatchObject({ lastSequence: 2 })
    expect(await drain(sink.scan('all', 0, undefined))).toBe(3)
  })

  it('a wrong password is told from an outage, and not shown', async () => {
    const sink = await sinkOf(cluster(), 'wr0ng')
    const error = await sink.describe(['all']).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ cause: { code: 'authentication_failed' } })
    expect(String((error as Error).message)).not.toContain('wr0ng')
  })
})

// kafkajs renews a session 10 s before its end, so here every 2 s.
const ending = { ...properties, 'listener.name.client.plain.connections.max.reauth.ms': 12_000 }

await describeKafka('sessions that end', { protocol: 'SASL_PLAINTEXT', properties: ending }, (cluster) => {
  it('are renewed between batches, and replaced when nothing was sent in time', async () => {
    for (const topic of ['busy', 'idle']) {
      await cluster().createTopic(topic)
      await allow(cluster(), topic, 'READ', 'WRITE', 'DESCRIBE')
    }
    const [busy, idle] = [await sinkOf(cluster()), await sinkOf(cluster())]
    const [many, few] = [await batchTo(busy, 'busy'), await batchTo(idle, 'idle')]
    expect((await idle.publish(few)).kind).toBe('delivered')
    let first = 0
    for (const end = performance.now() + 13_000; performance.now() < end; await sleep(100)) {
      const batches = Array.from({ length: 5 }, (_, index) => {
        const from = first + index * 3
        return { ...many, firstSequence: from, records: recordsOf(from, from + 3) }
      })
      const outcomes = await Promise.all(batches.map((batch) => busy.publish(batch)))
      expect(outcomes.map(({ kind }) => kind)).toEqual(Array(5).fill('delivered'))
      first += 15
    }
    expect(await drain(busy.scan('busy', 0, undefined))).toBe(first)
    const late = { ...few, firstSequence: 3 }
    const outcomes = [await idle.publish(late), await idle.publish(late)]
    expect(outcomes.at(-1)).toEqual({ kind: 'delivered', baseOffset: 3n })
  })
})
