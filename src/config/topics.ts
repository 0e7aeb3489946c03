/** The topics file: tokens whose records go to topics of their own. */
import { UsageError } from '../errors.js'
import { type Endpoint, ENDPOINTS } from '../record.js'
import { Place } from './place.js'
import { readJsonFile } from './sources.js'

/** A token's topics by endpoint: those that are named, and `prefix` and the endpoint's name for the others. */
export interface TopicOverride extends Readonly<Partial<Record<Endpoint, string>>> {
  readonly token: string
  /** Undefined: `topic_prefix`. */
  readonly prefix?: string
}

/**
 * What a topic must take in one message (`max.message.bytes`): a record of 1 MiB, whose distinct_id can fill it, stands
 * in the envelope twice, and once more in the key. Only records of invalid UTF-8 can grow beyond, threefold.
 */
export const MESSAGE_BYTES_MIN = 3 * 2 ** 20 + 64 * 1024
/** What `sluicegate topics create` gives a topic. */
export const MESSAGE_BYTES_CREATED = 4 * 2 ** 20

const ENTRY_KEYS = ['token', 'prefix', ...ENDPOINTS]
/** Kafka's rule. */
const TOPIC_NAME = /^(?!\.{1,2}$)[\w.-]{1,249}$/
const PREFIX = /^[\w.-]{0,200}$/

export function readTopicsFile(path: string): readonly TopicOverride[] {
  return parseTopics(readJsonFile(path, 'topics file'), path)
}

/** @param path stands in messages; those never repeat a token */
export function parseTopics(content: unknown, path: string): readonly TopicOverride[] {
  const file = `topics file ${path}`
  const list = new Place(file, '').object(content, ['topics'])['topics']
  const entries = new Place(file, 'topics').array(list).map((entry, index) => {
    return topicOverride(entry, new Place(file, `topics[${index}]`))
  })
  refuseDoubles(entries, file)
  return Object.freeze(entries)
}

function topicOverride(value: unknown, at: Place): TopicOverride {
  const entry = at.object(value, ENTRY_KEYS)
  const named = ENTRY_KEYS.slice(1).filter((key) => entry[key] !== undefined)
  if (named.length === 0) at.fail(`needs a prefix or a topic (${ENDPOINTS.join(', ')})`)
  const topics = named.map((key) => [key, topicText(entry[key], key, at.in(key))])
  return { token: at.in('token').text(entry['token']), ...Object.fromEntries(topics) }
}

function topicText(value: unknown, key: string, at: Place): string {
  const pattern = key === 'prefix' ? PREFIX : TOPIC_NAME
  if (typeof value === 'string' && pattern.test(value)) return value
  return at.fail('must be a name for Kafka: letters, digits, ., _ and -, at most 249')
}

function refuseDoubles(entries: readonly TopicOverride[], file: string): void {
  const seen = new Map<string, number>()
  for (const [index, { token }] of entries.entries()) {
    const before = seen.get(token)
    if (before !== undefined) {
      throw new UsageError(`${file}: topics[${index}].token is the same as topics[${before}].token`)
    }
    seen.set(token, index)
  }
}

/** Where records of a token and kind go. @param override that of the token, if it has one */
export function topicOf(kind: Endpoint, topicPrefix: string, override?: TopicOverride): string {
  return override?.[kind] ?? `${override?.prefix ?? topicPrefix}${kind}`
}

/** Every topic that records may go to, each once. */
export function topicsOf(topicPrefix: string, overrides: readonly TopicOverride[] = []): readonly string[] {
  const all = [undefined, ...overrides].flatMap((override) =>
    ENDPOINTS.map((kind) => topicOf(kind, topicPrefix, override)),
  )
  return [...new Set(all)]
}
