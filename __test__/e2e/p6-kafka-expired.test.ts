/**
 * Exactly once where the brokers have forgotten the server's producer id while a batch was under way: DescribeProducers
 * says so, and the topic itself whether the batch was written.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs'
import { expect, it } from 'vitest'
import type { Cluster } from '../kafka/support/cluster.js'
import { API, type Fault } from '../kafka/support/fault-proxy.js'
import { dumpSegments } from '../kafka/support/read.js'
import { describeKafka } from '../kafka/support/suite.js'
import { event, postJson } from './support/events.js'
import {
  drained,
  expectOrdered,
  expectSame,
  published,
  type Published,
  startShipping,
} from './support/kafka.js'
import { type ServerProcess, waitFor, workspace } from './support/server.js'
import { RawConnection, requestBytes } from '../support/http.js'

const EXPIRES_MS = 3000
const EXPIRY = {
  'producer.id.expiration.ms': EXPIRES_MS,
  'producer.id.expiration.check.interval.ms': 500,
}

async function send(server: ServerProcess, from: number, to: number): Promise<void> {
  const connection = await RawConnection.open(server.ingest)
  const events = Array.from({ length: to - from }, (_, at) => event('e', { n: from + at }))
  connection.write(requestBytes(postJson('/track', events)))
  expect((await connection.reply()).body.toString()).toBe('1')
  connection.destroy()
}

/** A batch meets `fault`, the server dies, the brokers forget, another server goes on. */
async function dieAndBeForgotten(
  cluster: Cluster,
  prefix: string,
  fault: Fault,
  args: readonly string[] = [],
): Promise<{ lines: readonly Published[]; dataDir: string }> {
  const dataDir = workspace()
  const topic = `${prefix}track`
  await cluster.createTopic(topic, 1, { 'max.message.bytes': '4194304' })
  const flags = ['--topic-prefix', prefix, ...args]
  const first = await startShipping(cluster, dataDir, flags)
  await send(first, 0, 10)
  await drained(first)
  const [proxy] = cluster.proxies
  let met = 0
  proxy!.faults(({ apiKey }) => {
    if (apiKey !== API.produce) return undefined
    met++
    return fault
  })
  await send(first, 10, 20)
  await waitFor(() => (met > 0 ? true : undefined))
  // What the broker was sent is written by then.
  await sleep(200)
  await first.kill()
  proxy!.heal()
  await sleep(EXPIRES_MS + 1500)
  const second = await startShipping(cluster, dataDir, flags)
  await send(second, 20, 30)
  await drained(second)
  expect((await second.stop()).code).toBe(0)
  return { lines: await published(cluster, [topic]), dataDir }
}

const numbers = (lines: readonly Published[]): unknown[] => lines.map(({ record }) => record.properties!['n'])
const upTo = (end: number): number[] => Array.from({ length: end }, (_, n) => n)

const plain = { faults: true, properties: EXPIRY } as const
await describeKafka('P6: an expired producer id and a restart in between', plain, (cluster) => {
  it.each<[string, Fault, string]>([
    ['the batch was written', { kind: 'hang' }, 'written.'],
    ['the batch was not written', { kind: 'lose_request' }, 'lost.'],
  ])('%s: each record once, in order', async (_, fault, prefix) => {
    const { lines, dataDir } = await dieAndBeForgotten(cluster(), prefix, fault)
    expect(numbers(lines)).toEqual(upTo(30))
    await expectSame(dataDir, lines)
    expectOrdered(lines)
    expect(lines.some(({ possibleDuplicate }) => possibleDuplicate)).toBe(false)
    // That the id was really gone: the second server could not go on with id, epoch and sequence of the first.
    const dump = await dumpSegments(cluster(), `${prefix}track`)
    const batches = dump.matchAll(/^baseOffset.*producerId: (\d+) producerEpoch: (\d+)/gm)
    expect(new Set([...batches].map(([, id, epoch]) => `${id} ${epoch}`)).size).toBe(2)
  })
})

const PASSWORD = 's3cr3t'
const limited = {
  faults: true,
  protocol: 'SASL_PLAINTEXT',
  properties: {
    ...EXPIRY,
    'sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.client.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_limited="${PASSWORD}";`,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
  },
} as const
await describeKafka('P6: the same without the right to read', limited, (cluster) => {
  it('a record that may stand there twice is marked, and those behind it are not', async () => {
    const common = {
      resourceType: AclResourceTypes.TOPIC,
      resourceName: 'limited.',
      resourcePatternType: ResourcePatternTypes.PREFIXED,
      principal: 'User:limited',
      host: '*',
      permissionType: AclPermissionTypes.ALLOW,
    }
    const acl = [AclOperationTypes.WRITE, AclOperationTypes.DESCRIBE_CONFIGS].map((operation) => {
      return { ...common, operation }
    })
    await cluster().admin.createAcls({ acl })
    process.env['SLUICEGATE_KAFKA_SASL_PASSWORD'] = PASSWORD
    const login = ['--kafka-sasl', 'plain', '--kafka-sasl-username', 'limited']
    const { lines } = await dieAndBeForgotten(cluster(), 'limited.', { kind: 'hang' }, login).finally(() => {
      delete process.env['SLUICEGATE_KAFKA_SASL_PASSWORD']
    })
    expect(numbers(lines)).toEqual([...upTo(20), ...upTo(30).slice(10)])
    const marked = lines.filter(({ possibleDuplicate }) => possibleDuplicate)
    expect(numbers(marked)).toEqual(upTo(20).slice(10))
    expect(marked).toEqual(lines.slice(20, 30))
  })
})
