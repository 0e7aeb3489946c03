/** Requests about the cluster: brokers, topics, leaders, and the settings of topics. */
import { ByteReader, ByteWriter } from './bytes.js'
import type { ApiRequest } from './kafkajs-inside.js'
import { API } from './requests.js'

const TOPIC_RESOURCE = 2
const NO_TOPIC_ID = new Uint8Array(16)

export interface Node {
  readonly id: number
  readonly host: string
  readonly port: number
}
export interface PartitionMetadata {
  readonly partition: number
  /** -1: none now. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: number
  /** Of these, those in step with the leader. */
  readonly inSync: number
}
export interface TopicMetadata {
  readonly error: number
  readonly name: string
  /** 32 hexadecimal digits. */
  readonly id: string
  readonly partitions: readonly PartitionMetadata[]
  /** Bits by AclOperation; undefined when the broker does not say. */
  readonly operations: number | undefined
}
export interface MetadataReply {
  readonly nodes: readonly Node[]
  readonly clusterId: string
  readonly topics: readonly TopicMetadata[]
}

/** What was written, behind as many bytes as the sender needs. */
function behind(body: ByteWriter): (headroom: number) => Buffer {
  return (headroom) => Buffer.concat([Buffer.alloc(headroom), body.finish()])
}

export function metadata(topics: readonly string[]): ApiRequest<MetadataReply> {
  const [apiKey, apiVersion] = API.Metadata
  const body = new ByteWriter().noTags().uvarint(topics.length + 1)
  for (const topic of topics) body.raw(NO_TOPIC_ID).compactString(topic).noTags()
  // Topics are made by `sluicegate topics create` alone; and tell us our rights.
  body.int8(0).int8(1).noTags()
  const decode = (reply: Buffer): MetadataReply => readMetadata(new ByteReader(reply))
  return { apiKey, apiName: 'Metadata', apiVersion, encode: behind(body), decode }
}

function readMetadata(reader: ByteReader): MetadataReply {
  reader.skipTags()
  reader.int32()
  const nodes = reader.compactArray(readNode)
  const clusterId = reader.compactString() ?? ''
  reader.int32()
  return { nodes, clusterId, topics: reader.compactArray(readTopic) }
}

function readNode(reader: ByteReader): Node {
  const id = reader.int32()
  const host = reader.compactString() ?? ''
  const port = reader.int32()
  reader.compactString()
  reader.skipTags()
  return { id, host, port }
}

/** Kafka's AclOperation as bits of `operations`. */
export const OPERATIONS = { read: 1 << 3, write: 1 << 4 } as const

/** What brokers say when they were not asked. */
const NOT_SAID = -(2 ** 31)

function readTopic(reader: ByteReader): TopicMetadata {
  const error = reader.int16()
  const name = reader.compactString() ?? ''
  const id = Buffer.from(reader.take(16)).toString('hex')
  reader.boolean()
  const partitions = reader.compactArray(readPartition)
  const operations = reader.int32()
  reader.skipTags()
  return { error, name, id, partitions, operations: operations === NOT_SAID ? undefined : operations }
}

function readPartition(reader: ByteReader): PartitionMetadata {
  // Its error says only why the leader is missing.
  reader.int16()
  const partition = reader.int32()
  const leader = reader.int32()
  const leaderEpoch = reader.int32()
  const [replicas = 0, inSync = 0] = [0, 1, 2].map(() => reader.compactArray((row) => row.int32()).length)
  reader.skipTags()
  return { partition, leader, leaderEpoch, replicas, inSync }
}

export interface TopicSettings {
  readonly error: number
  readonly topic: string
  /** Those asked for that the broker has. */
  readonly values: ReadonlyMap<string, string>
}

/** Some settings of topics. */
export function describeTopicConfigs(
  topics: readonly string[],
  names: readonly string[],
): ApiRequest<readonly TopicSettings[]> {
  const [apiKey, apiVersion] = API.DescribeConfigs
  const body = new ByteWriter().int32(topics.length)
  for (const topic of topics) {
    body.int8(TOPIC_RESOURCE).string(topic).int32(names.length)
    for (const name of names) body.string(name)
  }
  body.int8(0)
  const decode = (reply: Buffer): readonly TopicSettings[] => {
    const reader = new ByteReader(reply)
    reader.int32()
    return reader.array(readSettings)
  }
  return { apiKey, apiName: 'DescribeConfigs', apiVersion, encode: behind(body), decode }
}

function readSettings(reader: ByteReader): TopicSettings {
  const error = reader.int16()
  reader.nullableString()
  reader.int8()
  const topic = reader.string()
  const entries = reader.array(readSetting)
  return { error, topic, values: new Map(entries) }
}

function readSetting(reader: ByteReader): [name: string, value: string] {
  const name = reader.string()
  const value = reader.nullableString() ?? ''
  reader.boolean()
  reader.int8()
  reader.boolean()
  reader.array((synonym) => [synonym.string(), synonym.nullableString(), synonym.int8()])
  return [name, value]
}
