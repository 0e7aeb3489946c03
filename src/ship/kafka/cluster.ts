/**
 * Where the leaders are: connections, made when they are needed, and the metadata of the topics in use, looked up again
 * after an answer that says it is old. No retries here: whoever calls again gets fresh metadata.
 *
 * A broker works on one request of a connection at a time, and a batch that waits for a slow replica holds all behind it.
 * So partitions do not share connections (up to PUBLISHING_MAX a broker), and questions have one of their own.
 */
import { type SinkCause, SinkUnavailable } from '../sink.js'
import type { ApiRequest, BrokerConnection, Connector } from './kafkajs-inside.js'
import { causeOf, causeOfError, causeOfThrown } from './outcome.js'
import { withinMs } from './within.js'
import { API } from './requests.js'
import {
  metadata,
  type MetadataReply,
  type Node,
  type PartitionMetadata,
  type TopicMetadata,
} from './requests-cluster.js'

/** A partition with its leader, as of the newest metadata. */
export interface Leader {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly connection: BrokerConnection
}

export interface ClusterOptions {
  readonly connector: Connector
  /** `host:port`, tried in turn while no broker is known or reachable. */
  readonly seeds: readonly string[]
  readonly connectTimeoutMs: number
  /** How long a broker may think about a question that any other can answer as well. */
  readonly askTimeoutMs: number
}

/** Connections for batches, a broker. Beyond as many partitions they share. */
const PUBLISHING_MAX = 16
/** The connection for everything else. */
const ASKING = 'ask'
const CLOSED = causeOf('unreachable', 'the sink is closed')

export class Cluster {
  /** By `host:port slot`. */
  private readonly connections = new Map<string, Promise<BrokerConnection>>()
  /** Those in use, with what is known of them. */
  private readonly topics = new Map<string, TopicMetadata | undefined>()
  /** By `topic partition`, in the order of their first use: which of a broker's connections its batches take. */
  private readonly slots = new Map<string, number>()
  private nodes: readonly Node[] = []
  /** The next look at a leader needs new metadata. */
  private stale = true
  private refreshing: Promise<MetadataReply> | undefined
  private closed = false

  constructor(private readonly options: ClusterOptions) {}

  /** Metadata of these topics, which are followed from now on. Throws SinkUnavailable. */
  async describe(topics: readonly string[]): Promise<MetadataReply> {
    for (const topic of topics) if (!this.topics.has(topic)) this.topics.set(topic, undefined)
    return this.refresh()
  }

  /** What was known about leaders is not true any more. */
  markStale(): void {
    this.stale = true
  }

  /** The leader, for questions. Throws SinkUnavailable when there is none now or it cannot be reached. */
  leader(topic: string, partition: number): Promise<Leader> {
    return this.lead(topic, partition, ASKING)
  }

  /** The leader, for batches: all of a partition go over the same connection. Throws as `leader` does. */
  leaderForBatches(topic: string, partition: number): Promise<Leader> {
    const place = `${topic} ${partition}`
    const slot = this.slots.get(place) ?? this.slots.size
    this.slots.set(place, slot)
    return this.lead(topic, partition, String(slot % PUBLISHING_MAX))
  }

  private async lead(topic: string, partition: number, slot: string): Promise<Leader> {
    if (!this.topics.has(topic)) await this.describe([topic])
    else await this.freshen()
    const known = this.topics.get(topic)
    const found = known?.partitions.find((row) => row.partition === partition)
    const node = this.nodes.find(({ id }) => id === found?.leader)
    if (found === undefined || node === undefined) {
      this.stale = true
      // Also without any right on the topic: then nothing can be sent either, and it is waited for.
      throw new SinkUnavailable(causeOfMissing(known, found, `${topic}-${partition}`))
    }
    const connection = await this.connect(node, slot)
    return { topic, partition, leaderEpoch: found.leaderEpoch, connection }
  }

  /** Sends to whichever broker can be reached: those known, then the seeds. Throws SinkUnavailable. */
  async sendToAny<T>(request: ApiRequest<T>): Promise<T> {
    let failure: unknown
    for (const node of this.candidates()) {
      try {
        const connection = await this.connect(node, ASKING)
        // One that hangs may still answer what else it was sent: only this question goes to the next.
        return await withinMs(
          this.options.askTimeoutMs,
          connection.send(request),
          `${node.host} does not answer`,
        )
      } catch (error) {
        failure = error
      }
    }
    throw new SinkUnavailable(causeOfThrown(failure, request.apiName))
  }

  close(): void {
    this.closed = true
    for (const connecting of this.connections.values()) closeOnceOpen(connecting)
    this.connections.clear()
  }

  /** Waits for the look-up that is under way, and starts one if what is known is old. */
  private async freshen(): Promise<void> {
    await this.refreshing
    if (this.stale) await (this.refreshing ?? this.refresh())
  }

  private refresh(): Promise<MetadataReply> {
    // One at a time, but never an answer to an older question.
    const before = this.refreshing ?? Promise.resolve()
    const refreshed = before.then(
      () => this.askMetadata(),
      () => this.askMetadata(),
    )
    this.refreshing = refreshed
    void refreshed
      .catch(() => {})
      .finally(() => {
        if (this.refreshing === refreshed) this.refreshing = undefined
      })
    return refreshed
  }

  private async askMetadata(): Promise<MetadataReply> {
    this.stale = false
    try {
      const reply = await this.sendToAny(metadata([...this.topics.keys()]))
      this.nodes = reply.nodes
      this.dropStrangers()
      for (const topic of reply.topics) this.topics.set(topic.name, topic)
      return reply
    } catch (error) {
      this.stale = true
      throw error
    }
  }

  /** Connections to addresses where no broker is any more. */
  private dropStrangers(): void {
    const addresses = new Set(this.candidates().map(({ host, port }) => `${host}:${port}`))
    for (const [name, connecting] of this.connections) {
      if (addresses.has(name.slice(0, name.lastIndexOf(' ')))) continue
      this.connections.delete(name)
      closeOnceOpen(connecting)
    }
  }

  /** Known brokers first: the seeds may be a name in front of all of them, or gone. */
  private candidates(): Node[] {
    const seeds = this.options.seeds.map((seed) => {
      const colon = seed.lastIndexOf(':')
      return { id: -1, host: seed.slice(0, colon), port: Number(seed.slice(colon + 1)) }
    })
    const known = this.nodes.filter(
      ({ host, port }) => !seeds.some((seed) => seed.host === host && seed.port === port),
    )
    // A broker with an open connection costs nothing to ask.
    return [...known, ...seeds].toSorted((a, b) => Number(this.isOpen(b)) - Number(this.isOpen(a)))
  }

  private isOpen({ host, port }: Node): boolean {
    return this.connections.has(`${host}:${port} ${ASKING}`)
  }

  private async connect({ host, port }: Node, slot: string): Promise<BrokerConnection> {
    const address = `${host}:${port} ${slot}`
    const existing = this.connections.get(address)
    if (existing !== undefined) {
      const connection = await existing
      if (!connection.isClosed) return connection
    }
    // Somebody else may have replaced it while we waited.
    const newer = this.connections.get(address)
    if (newer !== undefined && newer !== existing) return newer
    if (this.closed) throw new SinkUnavailable(CLOSED)
    const connecting = this.open(host, port)
    this.connections.set(address, connecting)
    connecting.catch(() => {
      if (this.connections.get(address) === connecting) this.connections.delete(address)
      this.stale = true
    })
    return connecting
  }

  private async open(host: string, port: number): Promise<BrokerConnection> {
    const connection = await this.options.connector.connect(host, port, this.options.connectTimeoutMs)
    const cause = this.closed ? CLOSED : causeAgainst(connection, `${host}:${port}`)
    if (cause === undefined) return connection
    connection.close()
    throw new SinkUnavailable(cause)
  }
}

function closeOnceOpen(connecting: Promise<BrokerConnection>): void {
  connecting.then(
    (connection) => connection.close(),
    () => {},
  )
}

function causeOfMissing(
  topic: TopicMetadata | undefined,
  partition: PartitionMetadata | undefined,
  where: string,
): SinkCause {
  if (topic !== undefined && topic.error !== 0) return causeOfError(topic.error, `Metadata ${where}`)
  return causeOf(partition === undefined ? 'topic_missing' : 'leader_missing', where)
}

function causeAgainst(connection: BrokerConnection, where: string): SinkCause | undefined {
  const missing = missingApi(connection)
  return missing === undefined ? undefined : causeOf('kafka_too_old', `${where} has no ${missing}`)
}

/** The first of our requests that a broker does not understand. */
export function missingApi(connection: BrokerConnection): string | undefined {
  for (const [name, [key, version]] of Object.entries(API)) {
    const range = connection.versionsOf(key)
    if (range === undefined || version < range.minVersion || version > range.maxVersion) {
      return `${name} version ${version}`
    }
  }
  return undefined
}
