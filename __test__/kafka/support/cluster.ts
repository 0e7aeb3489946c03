/**
 * A Kafka cluster of one or three brokers on free ports of the loopback, each broker and controller in one process. The
 * product reaches it by `addresses`, tests and their tools by `internal`, which no proxy and no access rule stands before.
 */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import { Broker } from './broker.js'
import { FaultProxy } from './fault-proxy.js'
import type { Jars } from './jars.js'
import { freePorts } from './ports.js'
import { propertiesOf, type BrokerPlace, type ClientProtocol, type Properties } from './properties.js'

export interface ClusterOptions {
  readonly jars: Jars
  readonly brokers?: 1 | 3
  /** The product reaches each broker through a proxy that can be told to fail. */
  readonly faults?: boolean
  /** Of the listener that the product connects to. */
  readonly protocol?: ClientProtocol
  readonly properties?: Properties
  /** Of `StorageTool format`: users for SCRAM. */
  readonly formatArgs?: readonly string[]
}

const READY_MS_MAX = 60_000

export class Cluster {
  private constructor(
    readonly clusterId: string,
    readonly directory: string,
    readonly jars: Jars,
    readonly brokers: readonly Broker[],
    /** One a broker, in their order; none without `faults`. */
    readonly proxies: readonly FaultProxy[],
    readonly admin: Admin,
  ) {}

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { jars, brokers: count = 1, faults = false, protocol = 'PLAINTEXT', properties = {} } = options
    const directory = mkdtempSync(join(tmpdir(), 'sluicegate-kafka-'))
    const ports = await freePorts(3 * count)
    const proxies: FaultProxy[] = []
    for (const port of faults ? ports.slice(0, count) : []) proxies.push(await FaultProxy.start(port))
    const places = ports.slice(0, count).map((clientPort, index) => ({
      id: index + 1,
      directory: join(directory, String(index + 1)),
      clientPort,
      advertisedPort: proxies[index]?.port ?? clientPort,
      internalPort: ports[count + index]!,
      controllerPort: ports[2 * count + index]!,
    }))
    const brokers = places.map((place) => {
      return new Broker(jars, place, propertiesOf(place, places, protocol, properties))
    })
    const clusterId = clusterIdOf(randomUUID())
    const cluster = new Cluster(clusterId, directory, jars, brokers, proxies, adminOf(places))
    try {
      await Promise.all(brokers.map((broker) => broker.format(clusterId, options.formatArgs)))
      for (const broker of brokers) broker.start()
      await cluster.ready()
    } catch (error) {
      await cluster.remove()
      throw error
    }
    return cluster
  }

  /** What `--kafka` gets. */
  get addresses(): string {
    return this.brokers.map(({ place }) => `127.0.0.1:${place.advertisedPort}`).join(',')
  }

  get internal(): string {
    return this.brokers.map(({ place }) => `127.0.0.1:${place.internalPort}`).join(',')
  }

  broker(id: number): Broker {
    return this.brokers[id - 1]!
  }

  /** Waits until all brokers that run have joined. */
  async ready(): Promise<void> {
    const running = this.brokers.filter((broker) => broker.running)
    await Promise.all(running.map((broker) => broker.started()))
    await this.until(`${running.length} brokers have joined`, async () => {
      const { brokers, controller } = await this.admin.describeCluster()
      return controller !== null && brokers.length >= running.length
    })
  }

  /** Kills or stops those that run, ends the proxies, removes the directory. */
  async remove(): Promise<void> {
    await this.admin.disconnect().catch(() => {})
    for (const proxy of this.proxies) await proxy.close()
    await Promise.all(this.brokers.map((broker) => broker.kill()))
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 })
  }

  async createTopic(
    topic: string,
    partitions = 1,
    config: Readonly<Record<string, string>> = {},
    replicas = -1,
  ): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await this.admin.createTopics({
      topics: [{ topic, numPartitions: partitions, replicationFactor: replicas, configEntries }],
      waitForLeaders: false,
    })
    await this.until(`${topic} has leaders`, async () => {
      const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] })
      // Brokers tell of a partition a moment before they have it.
      await this.admin.fetchTopicOffsets(topic)
      return (
        topics[0]!.partitions.length === partitions && topics[0]!.partitions.every(({ leader }) => leader > 0)
      )
    })
  }

  /** The broker that leads a partition; waits for one. */
  async leaderOf(topic: string, partition = 0): Promise<Broker> {
    let leader = -1
    await this.until(`${topic}/${partition} has a leader`, async () => {
      const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] })
      leader = topics[0]?.partitions.find((one) => one.partitionId === partition)?.leader ?? -1
      return leader > 0 && this.broker(leader).running
    })
    return this.broker(leader)
  }

  /** Waits until all replicas of a topic's partitions are in step. */
  async inSync(topic: string): Promise<void> {
    await this.until(`all replicas of ${topic} are in step`, async () => {
      const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]!.partitions.every(({ isr, replicas }) => isr.length === replicas.length)
    })
  }

  private async until(what: string, look: () => Promise<boolean>): Promise<void> {
    let last: unknown
    for (const end = performance.now() + READY_MS_MAX; performance.now() < end; await sleep(100)) {
      try {
        await this.admin.connect()
        if (await look()) return
      } catch (error) {
        last = error
      }
    }
    const outputs = this.brokers.map((broker) => broker.output.slice(-1500)).join('\n---\n')
    throw new Error(`not within ${READY_MS_MAX} ms: ${what}\n${outputs}`, { cause: last })
  }
}

function adminOf(places: readonly BrokerPlace[]): Admin {
  const kafka = new Kafka({
    brokers: places.map(({ internalPort }) => `127.0.0.1:${internalPort}`),
    clientId: 'sluicegate-tests',
    requestTimeout: 5000,
    retry: { retries: 3, initialRetryTime: 50, maxRetryTime: 200 },
    logLevel: logLevel.NOTHING,
  })
  return kafka.admin()
}

/** 16 bytes in URL-safe base64, as Kafka writes its ids; like Kafka's own, none begins as a flag does. */
const clusterIdOf = (uuid: string): string =>
  Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64url').replace(/^-/, 'A')
