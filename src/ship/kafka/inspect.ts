/**
 * What an operator wants to know of a cluster, asked of one broker over one connection, which goes to that broker and
 * no other: its fellows, the topics with their settings, and what we may do with them. For doctor and `topics create`.
 */
import { SluicegateError } from '../../errors.js'
import { createKafka, type KafkaSettings } from './client.js'
import { missingApi } from './cluster.js'
import { type BrokerConnection, checkKafkajs, connectorOf } from './kafkajs-inside.js'
import { causeOfError } from './outcome.js'
import {
  describeTopicConfigs,
  metadata,
  OPERATIONS,
  type Node,
  type TopicMetadata,
} from './requests-cluster.js'

export interface TopicFacts {
  readonly name: string
  readonly partitions: number
  /** Replicas of the partition that has the fewest. */
  readonly replicas: number
  /** Replicas in step, of the partition that has the fewest; what is acknowledged with acks=all stands on these. */
  readonly inSync: number
  readonly leaderless: number
  readonly mayRead: boolean
  readonly mayWrite: boolean
  /** Settings in force by Kafka's name for them; undefined when we may not read them. */
  readonly settings: ReadonlyMap<string, string> | undefined
}

export interface ClusterFacts {
  readonly id: string
  /** As brokers tell clients to reach them. */
  readonly brokers: readonly Node[]
  readonly topics: readonly TopicFacts[]
  /** Those asked for that are not there, or that we may not see, with the reason. */
  readonly unusable: ReadonlyMap<string, string>
}

/** The cluster cannot be reached, or refuses. The message is for the operator and holds no credential. */
export class KafkaRefused extends SluicegateError {
  constructor(cause: unknown) {
    super(typeOf(cause) ?? 'kafka', reasonOf(cause), { cause })
  }
}

const SETTINGS_SHOWN = [
  'min.insync.replicas',
  'max.message.bytes',
  'cleanup.policy',
  'unclean.leader.election.enable',
  'retention.ms',
]

/** Calls `look` with a connection to the broker at `address` (`host:port`). @throws KafkaRefused */
export async function withBroker<T>(
  settings: KafkaSettings,
  address: string,
  look: (connection: BrokerConnection) => Promise<T>,
): Promise<T> {
  const colon = address.lastIndexOf(':')
  const [host, port] = [address.slice(0, colon), Number(address.slice(colon + 1))]
  const kafka = createKafka(settings)
  let connection: BrokerConnection | undefined
  try {
    await checkKafkajs(kafka)
    connection = await connectorOf(kafka).connect(host, port, settings.kafkaConnectTimeoutMs)
    return await look(connection)
  } catch (error) {
    throw error instanceof SluicegateError ? error : new KafkaRefused(error)
  } finally {
    connection?.close()
  }
}

/** The first request of ours that a broker does not understand; undefined when it is new enough for exactly once. */
export const lacks = (connection: BrokerConnection): string | undefined => missingApi(connection)

/** @param names topics to look at */
export async function inspect(connection: BrokerConnection, names: readonly string[]): Promise<ClusterFacts> {
  const { clusterId, nodes, topics } = await connection.send(metadata(names))
  const usable = topics.filter(({ error }) => error === 0)
  const settings = await settingsOf(
    connection,
    usable.map(({ name }) => name),
  )
  const unusable = topics
    .filter(({ error }) => error !== 0)
    .map(({ name, error }) => [name, causeOfError(error, 'Metadata').message] as const)
  return {
    id: clusterId,
    brokers: nodes,
    topics: usable.map((topic) => factsOf(topic, settings.get(topic.name))),
    unusable: new Map(unusable),
  }
}

async function settingsOf(
  connection: BrokerConnection,
  topics: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  if (topics.length === 0) return new Map()
  const replies = await connection.send(describeTopicConfigs(topics, SETTINGS_SHOWN))
  return new Map(
    replies.filter(({ error }) => error === 0).map(({ topic, values }) => [topic, values] as const),
  )
}

function factsOf(topic: TopicMetadata, settings: TopicFacts['settings']): TopicFacts {
  const { name, partitions, operations } = topic
  // A cluster without access rules allows everything, and says so.
  const may = (operation: number): boolean => operations === undefined || (operations & operation) !== 0
  return {
    name,
    partitions: partitions.length,
    replicas: Math.min(...partitions.map(({ replicas }) => replicas)),
    inSync: Math.min(...partitions.map(({ inSync }) => inSync)),
    leaderless: partitions.filter(({ leader }) => leader < 0).length,
    mayRead: may(OPERATIONS.read),
    mayWrite: may(OPERATIONS.write),
    settings,
  }
}

/** The innermost error: the client wraps what happened in that it gave up. */
function rootOf(error: unknown): unknown {
  const { errors, cause } = error as { errors?: readonly unknown[]; cause?: unknown }
  const inner = errors?.[0] ?? cause
  return inner instanceof Error ? rootOf(inner) : error
}

function typeOf(error: unknown): string | undefined {
  return (rootOf(error) as { type?: string }).type
}

function reasonOf(error: unknown): string {
  const root = rootOf(error)
  const message = root instanceof Error ? root.message : String(root)
  return message.replace(/^Connection error: /, '')
}
