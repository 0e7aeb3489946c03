/** `sluicegate topics create`: makes the topics that the server publishes to. The server itself never does. */
import type { Command } from 'commander'
import type { Config } from '../config.js'
import { KEYS, settingOf } from '../config/schema.js'
import { MESSAGE_BYTES_CREATED, MESSAGE_BYTES_MIN, topicsOf } from '../config/topics.js'
import { UsageError } from '../errors.js'
import type { NewTopic } from '../ship/kafka/create-topics.js'
import type { ClusterFacts, TopicFacts } from '../ship/kafka/inspect.js'
import { addHiddenSettings, addSettings, command, configOf, count } from './command.js'
import { table } from './output.js'

const NOTES = `Topics: those of --topic-prefix, and of tokens in --topics-file. One that is there is left as it is.
Each gets max.message.bytes=${MESSAGE_BYTES_CREATED} (a record of 1 MiB is larger in its envelope, and beyond
Kafka's default), cleanup.policy=delete, unclean.leader.election.enable=false and, with three
replicas or more, min.insync.replicas=2: what was acknowledged survives the loss of a broker.

More partitions later change which one a key belongs to, so begin with enough.

Examples:
  sluicegate topics create --kafka kafka-1:9092,kafka-2:9092
  sluicegate topics create --kafka kafka-1:9092 --partitions 24 --retention-ms 604800000 --dry-run`

const PARTITIONS = 6
const REPLICAS_MAX = 3

const KAFKA_KEYS = KEYS.filter((key) => settingOf(key).group === 'Kafka')
const SHOWN_KEYS = ['kafka', 'topicPrefix', 'topicsFile'] as const

interface Flags {
  readonly partitions?: number
  readonly replicas?: number
  readonly minInsyncReplicas?: number
  readonly retentionMs?: number
  readonly dryRun?: boolean
}

export function topicsCommand(): Command {
  const create = command('create', 'Makes the topics that are missing.', NOTES)
    .option('--partitions <N>', `partitions of each topic [${PARTITIONS}]`, count)
    .option(
      '--replicas <N>',
      `copies of each partition [${REPLICAS_MAX}, or as many as there are brokers]`,
      count,
    )
    .option('--min-insync-replicas <N>', 'copies that must have a record [2; 1 below 3 replicas]', count)
    .option('--retention-ms <MS>', "how long records stay [the brokers' default]", count)
    .option('--dry-run', 'only show what would be made')
    .action((flags: Readonly<Record<string, unknown>>) => createAction(flags))
  addSettings(create, SHOWN_KEYS)
  // Those of connections are the same as for `serve`, where they are described.
  addHiddenSettings(create, KAFKA_KEYS)
  const made = command('topics', 'Makes the topics that the server publishes to.')
  return made.addCommand(create)
}

async function createAction(options: Readonly<Record<string, unknown>>): Promise<void> {
  const { config, warnings } = configOf(options, KAFKA_KEYS)
  for (const warning of warnings) process.stderr.write(`sluicegate: ${warning}\n`)
  if (config.kafka.length === 0) throw new UsageError('--kafka HOST:PORT,… says where to make topics')
  const flags = options as Flags
  const names = topicsOf(config.topicPrefix, config.topics)
  const { brokers, topics } = await look(config, names)
  const there = new Map(topics.map((topic) => [topic.name, topic]))
  const plans = names.filter((name) => !there.has(name)).map((name) => planOf(name, brokers.length, flags))
  const results = await make(config, plans, flags.dryRun === true)
  const rows = names.map((name): Row => {
    const existing = there.get(name)
    if (existing !== undefined) return { name, ...kept(existing), details: detailsOf(existing) }
    const at = plans.findIndex((plan) => plan.name === name)
    return { name, ...results[at]!, details: detailsOf(plans[at]!) }
  })
  const cells = rows.map(({ name, text, details }) => [name, text, details])
  process.stdout.write(table(['topic', 'result', 'with'], cells))
  if (rows.some(({ failed }) => failed)) process.exitCode = 1
}

interface Result {
  readonly text: string
  readonly failed: boolean
}
interface Row extends Result {
  readonly name: string
  readonly details: string
}

/** From the first broker that answers. */
async function look(config: Config, names: readonly string[]): Promise<ClusterFacts> {
  // Loaded here: the other commands need no client.
  const { inspect, withBroker } = await import('../ship/kafka/inspect.js')
  let failure: unknown
  for (const broker of config.kafka) {
    try {
      return await withBroker(config, broker, (connection) => inspect(connection, names))
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

async function make(config: Config, plans: readonly NewTopic[], isDry: boolean): Promise<readonly Result[]> {
  if (isDry) return plans.map(() => ({ text: 'would be made', failed: false }))
  if (plans.length === 0) return []
  const { createTopics } = await import('../ship/kafka/create-topics.js')
  const results = await createTopics(config, plans)
  return results.map((result) => {
    return typeof result === 'string'
      ? { text: result, failed: false }
      : { text: `FAILED: ${result.message}`, failed: true }
  })
}

function kept({ settings }: TopicFacts): Result {
  const bytes = Number(settings?.get('max.message.bytes') ?? Infinity)
  if (bytes >= MESSAGE_BYTES_MIN) return { text: 'is there', failed: false }
  return { text: 'is there, TOO SMALL: see sluicegate doctor', failed: true }
}

function planOf(name: string, brokers: number, flags: Flags): NewTopic {
  const replicas = flags.replicas ?? Math.min(REPLICAS_MAX, brokers)
  const minInsync = flags.minInsyncReplicas ?? (replicas >= REPLICAS_MAX ? 2 : 1)
  if (minInsync > replicas) {
    throw new UsageError(`--min-insync-replicas ${minInsync} needs as many replicas; there are ${replicas}`)
  }
  return {
    name,
    partitions: flags.partitions ?? PARTITIONS,
    replicas,
    settings: new Map([
      ['min.insync.replicas', String(minInsync)],
      ['max.message.bytes', String(MESSAGE_BYTES_CREATED)],
      ['cleanup.policy', 'delete'],
      ['unclean.leader.election.enable', 'false'],
      ...(flags.retentionMs === undefined ? [] : [['retention.ms', String(flags.retentionMs)] as const]),
    ]),
  }
}

function detailsOf({ partitions, replicas, settings }: NewTopic | TopicFacts): string {
  const shown = ['min.insync.replicas', 'max.message.bytes', 'retention.ms'].flatMap((name) => {
    const value = settings?.get(name)
    return value === undefined ? [] : [`${name}=${value}`]
  })
  return [`${partitions} partitions`, `${replicas} replicas`, ...shown].join(', ')
}
