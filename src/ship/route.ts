/**
 * Where a record goes: its topic, from kind and token, and its partition, from the key's hash. Both in O(1).
 *
 * A table once used is kept on disk under its id: what was sent by it is sent again by it after a crash, also when the
 * configuration has changed meanwhile.
 */
import { createHash } from 'node:crypto'
import { asBuffer } from '../as-buffer.js'
import { type Endpoint, ENDPOINTS } from '../record.js'

export interface RouteTable {
  /** `<prefix><kind>` is the topic of a kind. */
  readonly prefix: string
  /** Topics of single tokens, by kind; kinds that are not named go where all go. */
  readonly tokens: Readonly<Record<string, Readonly<Partial<Record<Endpoint, string>>>>>
}

/** The same for equal tables, 16 hexadecimal digits. */
export function tableId(table: RouteTable): string {
  return createHash('sha256').update(canonical(table)).digest('hex').slice(0, 16)
}

/** Equal text for equal tables, whatever the order of their members. */
export function canonical({ prefix, tokens }: RouteTable): string {
  const sorted = Object.keys(tokens)
    .toSorted()
    .map((token) => [token, ENDPOINTS.map((kind) => tokens[token]![kind] ?? null)])
  return JSON.stringify({ prefix, tokens: sorted })
}

/** The table that `canonical` wrote. */
export function fromCanonical(text: string): RouteTable {
  const { prefix, tokens } = JSON.parse(text) as {
    prefix: string
    tokens: readonly [string, readonly (string | null)[]][]
  }
  const entries = tokens.map(([token, topics]) => {
    return [
      token,
      Object.fromEntries(ENDPOINTS.map((kind, at) => [kind, topics[at]]).filter(([, topic]) => topic)),
    ]
  })
  return { prefix, tokens: Object.fromEntries(entries) as RouteTable['tokens'] }
}

/** Every topic that records may go to. */
export function topicsOf({ prefix, tokens }: RouteTable): string[] {
  const named = Object.values(tokens).flatMap((topics) => Object.values(topics))
  return [...new Set([...ENDPOINTS.map((kind) => prefix + kind), ...named])]
}

/** A record as far as its route needs it. */
export interface Routed {
  readonly kind: number
  readonly key: Uint8Array
  readonly tokenLength: number
}

export class Router<Topic> {
  private readonly byKind: readonly Topic[]
  /** By the token's bytes as latin1: no text needs to be decoded for a look-up. */
  private readonly byToken = new Map<string, readonly Topic[]>()

  /** @param topicNamed called once a topic */
  constructor({ prefix, tokens }: RouteTable, topicNamed: (name: string) => Topic) {
    this.byKind = ENDPOINTS.map((kind) => topicNamed(prefix + kind))
    for (const [token, topics] of Object.entries(tokens)) {
      const row = ENDPOINTS.map((kind, at) => {
        const name = topics[kind]
        return name === undefined ? this.byKind[at]! : topicNamed(name)
      })
      this.byToken.set(Buffer.from(token).toString('latin1'), row)
    }
  }

  topicOf(record: Routed): Topic {
    // To look at the key makes a view of it, which most tables need not.
    const row = this.byToken.size === 0 ? undefined : this.byToken.get(tokenText(record))
    return (row ?? this.byKind)[record.kind]!
  }
}

function tokenText({ key, tokenLength }: Routed): string {
  return asBuffer(key).toString('latin1', 0, tokenLength)
}

/** As Java's default partitioner: the hash is murmur2 of the key, made by the decoder. */
export function partitionOf(keyHash: number, partitions: number): number {
  return (keyHash & 0x7fffffff) % partitions
}
