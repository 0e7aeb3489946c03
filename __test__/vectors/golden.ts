/** The golden vectors (docs/PROTOCOL.md 12) and what they expect, read from golden.jsonl and terms.json. */
import { readFileSync } from 'node:fs'
import type { Endpoint } from '../../src/record.js'
import { evaluate, type Expression, type Texts } from './expression.js'

/** How a body is sent when not as one piece with its Content-Length. */
export type Framing = 'chunked' | 'expect' | 'unfinished'

export interface Send {
  readonly method: string
  readonly target: Expression
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Expression
  /** The body is compressed on the wire. */
  readonly gzip?: true
  readonly framing?: Framing
  /** `unfinished`: the Content-Length that is announced; absent: chunked. */
  readonly declared?: number
}

/** A header's exact value, null for none, words it must contain in any case, or a pattern. */
export type HeaderRule =
  | string
  | null
  | { readonly includes: readonly string[] }
  | { readonly matches: string }

export interface ExpectedReply {
  readonly status: number
  /** Content-Type. */
  readonly type?: string
  /** Exact bytes. */
  readonly body?: string
  /** Instead: `error` is JSON with a string `error` and a `status` (R5), `gif_1x1` a picture of one pixel. */
  readonly shape?: 'error' | 'gif_1x1'
  readonly headers?: Readonly<Record<string, HeaderRule>>
  readonly within_ms?: number
}

/** A record of the queue; members that are not here are those of the record of terms.json that `like` names. */
export interface ExpectedRecord {
  readonly like?: string
  /** So many of them; `{index}` in its texts counts. */
  readonly times?: number
  readonly index?: number
  readonly kind?: Endpoint
  /** Partition key. */
  readonly key?: string
  readonly token?: string | null
  readonly project_id?: string
  /** Only null: the client's address is not kept. */
  readonly ip?: null
  readonly geo?: string
  readonly lib?: string
  readonly insert_id?: string
  readonly insert_id_source?: string
  readonly distinct_id?: string | null
  readonly distinct_id_source?: string
  readonly time_ms?: number
  readonly flags?: readonly string[]
  readonly record?: Expression
}

export interface ExpectedReject {
  readonly index: number
  readonly token: string | null
  readonly project_id?: string
  /** Only null: the client's address is not kept. */
  readonly ip?: null
  readonly code: string
  readonly field: string
  readonly pointer: string
  readonly offset: number
  readonly message: string
  readonly raw?: Expression
  readonly raw_base64?: Expression
  readonly truncated?: true
}

export type SetupName = 'open' | 'tokens' | 'late_drop' | 'redirect_hosts' | 'full'

export interface Exchange {
  readonly send: Send
  readonly reply: ExpectedReply
  readonly queue?: readonly ExpectedRecord[]
  readonly rejects?: readonly ExpectedReject[]
  /** Records ignored on purpose. */
  readonly ignored?: number
  /** For the decode level: what the credential of an import stands for. */
  readonly context?: { readonly auth_token?: string; readonly project_id?: string }
  /** Instead of the vector's. */
  readonly setup?: SetupName
}

export interface Vector {
  readonly id: number
  readonly title: string
  /** How it is known: C documented, L seen with the real client, M measured by others, D our decision. */
  readonly mark: string
  readonly levels: readonly ('decode' | 'http')[]
  readonly setup?: SetupName
  /** All requests are written in one piece. */
  readonly pipelined?: true
  readonly exchanges?: readonly Exchange[]
  /** Vectors that only a test of their own can hold: its files. */
  readonly tests?: readonly string[]
}

interface Terms {
  readonly texts: Texts
  readonly records: Readonly<Record<string, ExpectedRecord>>
}

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')
export const terms = JSON.parse(read('terms.json')) as Terms

export function readLines<T>(name: string): T[] {
  const lines = read(name).split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T)
}

export const vectors = (): Vector[] => readLines<Vector>('golden.jsonl')

/** The bytes of a vector's expression. */
export const bytesOf = (expression: Expression): Buffer => evaluate(expression, terms.texts)

/** One exchange of a vector, with a name of its own. */
export interface Case {
  readonly name: string
  readonly setup: SetupName
  readonly vector: Vector
  readonly exchange: Exchange
}

export function casesOf(level: 'decode' | 'http'): Case[] {
  return vectors().flatMap((vector) => {
    if (!vector.levels.includes(level)) return []
    const exchanges = vector.exchanges ?? []
    return exchanges.map((exchange, index) => ({
      name: `${vector.id}${exchanges.length > 1 ? `.${index + 1}` : ''} ${vector.title}`,
      setup: exchange.setup ?? vector.setup ?? 'open',
      vector,
      exchange,
    }))
  })
}
