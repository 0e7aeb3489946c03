/** Making topics. Nothing else of the program does: a server that made what it misses would hide mistyped names. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, ITopicMetadata } from 'kafkajs'
import { createKafka, type KafkaSettings } from './client.js'
import { KafkaRefused } from './inspect.js'

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  readonly replicas: number
  readonly settings: ReadonlyMap<string, string>
}

export type Created = 'made' | 'is there' | KafkaRefused

const LOOK_EVERY_MS = 50
const LOOKS_MAX = 100

/**
 * Each on its own, so that one refusal does not keep the others away.
 *
 * @returns what became of each, in their order
 * @throws KafkaRefused when no broker can be reached, or lets us in
 */
export async function createTopics(
  settings: KafkaSettings,
  topics: readonly NewTopic[],
): Promise<readonly Created[]> {
  const admin = createKafka(settings).admin()
  try {
    await admin.connect()
    const results: Created[] = []
    for (const topic of topics) results.push(await create(admin, topic))
    return results
  } catch (error) {
    throw new KafkaRefused(error)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

async function create(admin: Admin, { name, partitions, replicas, settings }: NewTopic): Promise<Created> {
  const configEntries = [...settings].map(([setting, value]) => ({ name: setting, value }))
  const topic = { topic: name, numPartitions: partitions, replicationFactor: replicas, configEntries }
  try {
    // Not for leaders: the client takes a broker that has not heard of the topic yet for a refusal.
    await admin.createTopics({ topics: [topic], waitForLeaders: false })
    await visible(admin, name)
    return 'made'
  } catch (error) {
    const refused = new KafkaRefused(error)
    // Somebody else was faster.
    return refused.code === 'TOPIC_ALREADY_EXISTS' ? 'is there' : refused
  }
}

/** Made is made: brokers that take longer to tell each other are not waited for any further. */
async function visible(admin: Admin, name: string): Promise<void> {
  for (let look = 0; look < LOOKS_MAX; look++) {
    const { topics } = await admin
      .fetchTopicMetadata({ topics: [name] })
      .catch(() => ({ topics: [] as ITopicMetadata[] }))
    if (topics[0]?.partitions.every(({ leader }) => leader >= 0) === true) return
    await sleep(LOOK_EVERY_MS)
  }
}
