/** What the rules are told beside a record, and what they say of it. */
import type { Endpoint } from '../../record.js'
import type { Fault } from './item.js'

export interface Circumstances {
  readonly endpoint: Endpoint
  readonly strict: boolean
  readonly receivedMs: number
  /** '' for none. */
  readonly authToken: string
  /** undefined in open mode. */
  readonly tokensAllowed: ReadonlySet<string> | undefined
  readonly dropLate: boolean
  readonly recordBytesMax: number
}

export interface Verdict {
  readonly fault?: Fault
  readonly ignored?: boolean
  /** The record's token, null for none; undefined when the rules did not come to read it or do not know it. */
  readonly token?: string | null
}
