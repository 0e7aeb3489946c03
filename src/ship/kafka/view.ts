/** The topics as the shipper sees them: usable or not, and why. */
import type { ClusterView, SinkCause, TopicView } from '../sink.js'
import type { Cluster } from './cluster.js'
import { causeOf, causeOfError } from './outcome.js'
import { describeTopicConfigs, OPERATIONS, type TopicMetadata } from './requests-cluster.js'

const MESSAGE_BYTES_MAX = 'max.message.bytes'

/** Throws SinkUnavailable. */
export async function viewOf(cluster: Cluster, topics: readonly string[]): Promise<ClusterView> {
  const { clusterId, topics: found } = await cluster.describe(topics)
  const asked = topics.flatMap((topic) => found.find(({ name }) => name === topic) ?? [])
  const usable = asked.filter((topic) => causeAgainst(topic) === undefined)
  const limits = await messageLimits(
    cluster,
    usable.map(({ name }) => name),
  )
  return {
    clusterId,
    topics: usable.map(({ name, id, partitions }): TopicView => {
      return { name, id, partitions: partitions.length, messageBytesMax: limits.get(name) }
    }),
    unusable: asked.flatMap((topic) => {
      const cause = causeAgainst(topic)
      return cause === undefined ? [] : [{ name: topic.name, cause }]
    }),
  }
}

function causeAgainst({ error, name, operations }: TopicMetadata): SinkCause | undefined {
  if (error !== 0) return causeOfError(error, `Metadata ${name}`)
  if (operations !== undefined && (operations & OPERATIONS.write) === 0) {
    return causeOf('not_authorized', `no WRITE on ${name}`)
  }
  return undefined
}

/** Of those that we may look at (DESCRIBE_CONFIGS); the rest show when a batch is refused. */
async function messageLimits(
  cluster: Cluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (topics.length === 0) return new Map()
  const settings = await cluster.sendToAny(describeTopicConfigs(topics, [MESSAGE_BYTES_MAX]))
  return new Map(
    settings.flatMap(({ error, topic, values }) => {
      const limit = Number(values.get(MESSAGE_BYTES_MAX))
      return error === 0 && limit > 0 ? [[topic, limit] as const] : []
    }),
  )
}
