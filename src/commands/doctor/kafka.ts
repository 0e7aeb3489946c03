/** Kafka as the server would meet it: brokers, topics, rights. Writes nothing. */
import type { Config } from '../../config.js'
import { MESSAGE_BYTES_CREATED, MESSAGE_BYTES_MIN, topicsOf } from '../../config/topics.js'
import type { ClusterFacts, TopicFacts } from '../../ship/kafka/inspect.js'
import { shownBytes } from '../output.js'
import { findingsOf, messageOf, type Finding } from './finding.js'

const found = findingsOf('kafka')
/** From as many replicas on one of them can be lost without a record that was acknowledged, or a standstill. */
const REPLICAS_SAFE = 3

export async function kafkaFindings(config: Config): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  let facts: ClusterFacts | undefined
  for (const seed of config.kafka) {
    const own = await ask(config, seed, findings, (why) => `${seed}: ${why}`)
    facts ??= own
  }
  if (facts === undefined) return findings
  const { id, brokers, topics, unusable } = facts
  findings.push(
    found('ok', `cluster ${id}, ${brokers.length} ${brokers.length === 1 ? 'broker' : 'brokers'}`),
  )
  // Records go to the addresses that brokers give, whatever --kafka says.
  for (const { id: broker, host, port } of brokers) {
    const address = `${host}:${port}`
    const hint = "clients must reach what the broker's advertised.listeners says"
    if (!config.kafka.includes(address))
      await ask(
        config,
        address,
        findings,
        (why) => `broker ${broker} sends clients to ${address}: ${why}; ${hint}`,
      )
  }
  for (const topic of topics) findings.push(...topicFindings(topic, brokers.length))
  for (const [name, reason] of unusable) findings.push(found('fault', `topic ${name}: ${reason}`))
  return findings
}

/** What one broker says; the finding about itself goes to `findings`. */
async function ask(
  config: Config,
  address: string,
  findings: Finding[],
  failed: (why: string) => string,
): Promise<ClusterFacts | undefined> {
  // Loaded here: most commands need no client.
  const { inspect, lacks, withBroker } = await import('../../ship/kafka/inspect.js')
  try {
    return await withBroker(config, address, async (connection) => {
      const lacking = lacks(connection)
      if (lacking !== undefined) throw new Error(`is too old for exactly once: it has no ${lacking}`)
      const facts = await inspect(connection, topicsOf(config.topicPrefix, config.topics))
      findings.push(found('ok', `${address} answers`))
      return facts
    })
  } catch (error) {
    findings.push(found('fault', failed(messageOf(error))))
    return undefined
  }
}

function topicFindings(topic: TopicFacts, brokers: number): readonly Finding[] {
  const { name, partitions, replicas, settings, mayRead, mayWrite } = topic
  const faults = [...replicaFaults(topic, brokers), ...settingFaults(topic)]
  if (!mayWrite) faults.unshift('this user may not write to it: allow Write')
  const findings = faults.map((text) => found('fault', `topic ${name}: ${text}`))
  const bytes = settings?.get('max.message.bytes')
  const size = bytes === undefined ? '' : `, messages up to ${shownBytes(Number(bytes))}`
  if (faults.length === 0)
    findings.push(found('ok', `topic ${name}: ${partitions} partitions, ${replicas} replicas${size}`))
  const note = (text: string): number => findings.push(found('note', `topic ${name}: ${text}`))
  if (settings === undefined)
    note('its settings may not be read, so its limits are unknown: allow DescribeConfigs')
  if (!mayRead)
    note('what was sent before a crash cannot be looked up, so that it may come twice, marked: allow Read')
  return findings
}

function replicaFaults(topic: TopicFacts, brokers: number): readonly string[] {
  const { replicas, inSync, leaderless, settings } = topic
  const minInsync = Number(settings?.get('min.insync.replicas') ?? 1)
  const faults: string[] = []
  if (leaderless > 0) faults.push(`${leaderless} partitions have no leader: start the brokers that hold them`)
  if (replicas === 1 && brokers > 1)
    faults.push('1 replica: a broker that is lost takes its records along; give it more replicas')
  if (replicas >= REPLICAS_SAFE && minInsync < 2)
    faults.push(
      `acknowledged records may stand on one broker alone: ${alter(topic.name, 'min.insync.replicas=2')}`,
    )
  if (minInsync > replicas)
    faults.push(
      `min.insync.replicas ${minInsync} but ${replicas} replicas: some brokers then refuse every write`,
    )
  else if (inSync < minInsync)
    faults.push(
      `${inSync} replicas in step, ${minInsync} needed: nothing can be written now; look at the brokers`,
    )
  return faults
}

function settingFaults({ name, settings }: TopicFacts): readonly string[] {
  const faults: string[] = []
  const bytes = Number(settings?.get('max.message.bytes') ?? Infinity)
  if (bytes < MESSAGE_BYTES_MIN) {
    const change = alter(name, `max.message.bytes=${MESSAGE_BYTES_CREATED}`)
    faults.push(`messages up to ${shownBytes(bytes)}, large events would be refused for ever: ${change}`)
  }
  if (settings?.get('cleanup.policy')?.includes('compact') === true)
    faults.push(`compaction keeps only the newest event of a key: ${alter(name, 'cleanup.policy=delete')}`)
  if (settings?.get('unclean.leader.election.enable') === 'true') {
    const change = alter(name, 'unclean.leader.election.enable=false')
    faults.push(`a replica that lacks acknowledged records may become leader: ${change}`)
  }
  return faults
}

function alter(topic: string, setting: string): string {
  return `kafka-configs.sh --alter --entity-type topics --entity-name ${topic} --add-config ${setting}`
}
