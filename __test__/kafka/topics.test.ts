/** `sluicegate topics create` and what doctor says of brokers and topics, against real ones. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigResourceTypes } from 'kafkajs'
import { afterAll, describe, expect, it } from 'vitest'
import { run, type Ran } from '../commands/support/run.js'
import type { Cluster } from './support/cluster.js'
import { describeKafka } from './support/suite.js'

const directory = mkdtempSync(join(tmpdir(), 'sluicegate-topics-'))
afterAll(() => rmSync(directory, { recursive: true }))

const dataDir = ['--data-dir', join(directory, 'none')]
const doctor = (...args: string[]): Promise<Ran> => run('doctor', ...dataDir, ...args)
const kafkaLines = ({ out }: Ran): string => out.slice(out.indexOf('\nkafka\n'))

async function settingsOf(cluster: Cluster, name: string): Promise<Record<string, string>> {
  const resource = { type: ConfigResourceTypes.TOPIC, name }
  const { resources } = await cluster.admin.describeConfigs({ resources: [resource], includeSynonyms: false })
  const entries = resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue])
  return Object.fromEntries(entries) as Record<string, string>
}

async function partitionsOf(cluster: Cluster, topic: string): Promise<number> {
  const { topics } = await cluster.admin.fetchTopicMetadata({ topics: [topic] })
  return topics[0]!.partitions.length
}

describe('without brokers', () => {
  it('topics create says what is missing, or that nothing answers', async () => {
    expect(await run('topics', 'create')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--kafka HOST:PORT') as string,
    })
    const unreachable = await run('topics', 'create', '--kafka', '127.0.0.1:1')
    expect(unreachable.code).toBe(1)
    expect(unreachable.err).toMatch(/^sluicegate: .*ECONNREFUSED 127.0.0.1:1\n$/)
    const many = ['--replicas', '1', '--min-insync-replicas', '2']
    expect((await run('topics', 'create', '--kafka', 'x:1', '--kafka-sasl', 'plain', ...many)).code).toBe(2)
  })

  it('doctor finds each that does not answer', async () => {
    const { out, code } = await doctor('--kafka', '127.0.0.1:1,127.0.0.1:2')
    expect(code).toBe(1)
    expect(out).toMatch(/FAULT 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n/)
    expect(out).toMatch(/FAULT 127.0.0.1:2: connect ECONNREFUSED 127.0.0.1:2\n/)
  })
})

await describeKafka('one broker', { faults: true }, (cluster) => {
  const at = (...args: string[]): string[] => ['--kafka', cluster().addresses, ...args]
  const create = (...args: string[]): Promise<Ran> => run('topics', 'create', ...at(...args))

  it('doctor names the topics that are missing', async () => {
    const ran = await doctor(...at('--topic-prefix', 'none.'))
    expect(ran.code).toBe(1)
    expect(kafkaLines(ran)).toMatch(/ok {4}127.0.0.1:\d+ answers\n.*cluster [\w-]{22}, 1 broker\n/)
    expect(
      kafkaLines(ran).match(/FAULT topic none\.(track|engage|groups|import): .*topics create/g),
    ).toHaveLength(4)
  })

  it('topics create makes those that are missing, ready for the largest event', async () => {
    const topicsFile = join(directory, 'topics.json')
    const topics = [{ token: 'very-secret-token', prefix: 'shop.', track: 'app' }]
    writeFileSync(topicsFile, JSON.stringify({ topics }))
    const flags = ['--topic-prefix', 'new.', '--topics-file', topicsFile, '--partitions', '3']
    const dry = await create(...flags, '--dry-run')
    expect([dry.code, dry.out.match(/would be made/g)?.length]).toEqual([0, 8])
    expect(await cluster().admin.listTopics()).not.toContain('new.track')

    const made = await create(...flags, '--retention-ms', '86400000')
    expect([made.code, made.err, made.out.match(/ made /g)?.length]).toEqual([0, '', 8])
    expect(made.out).not.toContain('very-secret-token')
    const names = ['new.track', 'new.engage', 'new.groups', 'new.import', 'app', 'shop.engage']
    expect(await cluster().admin.listTopics()).toEqual(expect.arrayContaining(names))
    expect(await partitionsOf(cluster(), 'app')).toBe(3)
    expect(await settingsOf(cluster(), 'app')).toMatchObject({
      'max.message.bytes': '4194304',
      'min.insync.replicas': '1',
      'retention.ms': '86400000',
      'cleanup.policy': 'delete',
      'unclean.leader.election.enable': 'false',
    })

    const again = await create(...flags)
    expect([again.code, again.out.match(/is there/g)?.length]).toEqual([0, 8])
    const ran = await doctor(...at('--topic-prefix', 'new.', '--topics-file', topicsFile))
    expect(kafkaLines(ran)).toContain('ok    topic app: 3 partitions, 1 replicas, messages up to 4 MiB\n')
    expect(kafkaLines(ran)).not.toContain('FAULT')
  })

  it('one that is refused does not keep the others away', async () => {
    const refused = await create('--topic-prefix', 'refused.', '--replicas', '3')
    expect(refused.code).toBe(1)
    expect(refused.out.match(/FAILED: Replication[ -]factor/g)).toHaveLength(4)
  })

  it('topics that were made otherwise are judged, and what to change is said', async () => {
    const config = { 'cleanup.policy': 'compact', 'unclean.leader.election.enable': 'true' }
    await cluster().createTopic('own.track', 2, config)
    const made = await create('--topic-prefix', 'own.')
    expect(made.code).toBe(1)
    expect(made.out).toMatch(/own\.track +is there, TOO SMALL.* +2 partitions.*max\.message\.bytes=1048588/)
    expect(made.out.match(/ made /g)).toHaveLength(3)
    expect(await settingsOf(cluster(), 'own.track')).toMatchObject({ 'max.message.bytes': '1048588' })
    const ran = await doctor(...at('--topic-prefix', 'own.'))
    expect(ran.code).toBe(1)
    for (const change of [
      'max.message.bytes=4194304',
      'cleanup.policy=delete',
      'unclean.leader.election.enable=false',
    ]) {
      expect(kafkaLines(ran)).toMatch(
        new RegExp(`FAULT topic own.track: .*--entity-name own.track --add-config ${change}\n`),
      )
    }
  })

  it('a topic that asks for more replicas than it has is a fault', async () => {
    await cluster().createTopic('stuck.track', 1, { 'min.insync.replicas': '2' })
    const ran = await doctor(...at('--topic-prefix', 'stuck.'))
    expect(kafkaLines(ran)).toContain(
      'stuck.track: min.insync.replicas 2 but 1 replicas: some brokers then refuse',
    )
  })

  it('doctor finds a broker that sends clients to where they cannot go', async () => {
    const [proxy] = cluster().proxies
    const [broker] = cluster().brokers
    proxy!.refuse()
    const direct = `127.0.0.1:${broker!.place.clientPort}`
    const ran = await doctor('--kafka', `${direct},127.0.0.1:1`)
    proxy!.heal()
    expect(kafkaLines(ran)).toContain(`ok    ${direct} answers\n`)
    expect(kafkaLines(ran)).toMatch(/FAULT 127.0.0.1:1: connect ECONNREFUSED/)
    expect(kafkaLines(ran)).toMatch(
      new RegExp(`FAULT broker 1 sends clients to 127.0.0.1:${proxy!.port}: .*advertised.listeners`),
    )
  })
})

await describeKafka('three brokers', { brokers: 3 }, (cluster) => {
  const look = async (prefix: string): Promise<string> =>
    kafkaLines(await doctor('--kafka', cluster().addresses, '--topic-prefix', prefix))

  it('topics are made so that one broker can be lost', async () => {
    const made = await run('topics', 'create', '--kafka', cluster().addresses, '--topic-prefix', 'safe.')
    expect(made.code).toBe(0)
    expect(await settingsOf(cluster(), 'safe.track')).toMatchObject({ 'min.insync.replicas': '2' })
    expect(await look('safe.')).toContain('ok    topic safe.track: 6 partitions, 3 replicas')
  })

  it('doctor finds those that it would harm', async () => {
    const config = { 'max.message.bytes': '4194304', 'min.insync.replicas': '1' }
    await cluster().createTopic('harmed.track', 1, config)
    await cluster().createTopic('harmed.engage', 1, config, 1)
    const lines = await look('harmed.')
    expect(lines).toMatch(
      /FAULT topic harmed.track: .*one broker alone.*--add-config min.insync.replicas=2\n/,
    )
    expect(lines).toMatch(/FAULT topic harmed.engage: 1 replica: /)
  })

  it('and each broker that is gone', async () => {
    const [kept, ...others] = cluster().brokers
    for (const broker of others) await broker.kill()
    const ran = await doctor('--kafka', cluster().addresses, '--kafka-connect-timeout-ms', '2s')
    expect(kafkaLines(ran)).toContain(`ok    127.0.0.1:${kept!.place.clientPort} answers`)
    expect(kafkaLines(ran).match(/FAULT 127.0.0.1:\d+: connect ECONNREFUSED/g)).toHaveLength(2)
  })
})
