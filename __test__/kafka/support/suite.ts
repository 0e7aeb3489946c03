/** `describe` with a cluster of its own: started before its tests, removed after them. */
import { afterAll, beforeAll } from 'vitest'
import { describeUnless, missing, type Part } from '../../support/require.js'
import { ensureClassArchive } from './class-archive.js'
import { Cluster, type ClusterOptions } from './cluster.js'
import { fetchJars, KAFKA_PARTS, type KafkaVersion } from './jars.js'

export interface SuiteOptions extends Omit<ClusterOptions, 'jars'> {
  readonly version?: KafkaVersion
  /** What the tests need beside the broker. */
  readonly parts?: readonly Part[]
}

/** Where Java, Maven, kcat or the network are missing the suite is skipped with the reason, or fails if it is required. */
export async function describeKafka(
  name: string,
  options: SuiteOptions,
  suite: (cluster: () => Cluster) => void,
): Promise<void> {
  const { version, parts = [], ...rest } = options
  const { reason: none, jars } = await fetchJars(version)
  const absent = parts.map(missing).find((why) => why !== undefined)
  describeUnless(none ?? absent, [...KAFKA_PARTS, ...parts], name, () => {
    let cluster: Cluster | undefined
    beforeAll(async () => {
      await ensureClassArchive(jars).catch(() => {})
      cluster = await Cluster.start({ ...rest, jars })
    }, 180_000)
    afterAll(() => cluster?.remove())
    suite(() => cluster!)
  })
}
