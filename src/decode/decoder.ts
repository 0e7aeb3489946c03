/**
 * The decoder's seam: what a request looks like when it goes in, and the shared table that comes out.
 *
 * A decoder makes one synchronous pass from body bytes to finished log records in the caller's room. It has no clock and
 * no randomness: the context brings both. It throws nothing and makes no object per event; its results are integers in
 * one table that both implementations fill alike, byte for byte (promise P8).
 */
import type { Endpoint } from '../record.js'
import type { RequestId } from '../request-id.js'

/** How the body's media type is understood (docs/PROTOCOL.md, "From bytes to records"). */
export const Content = { sniff: 0, form: 1, json: 2, ndjson: 3, none: 4 } as const
export type ContentClass = (typeof Content)[keyof typeof Content]

/** When the client's address is stored in the envelope. */
export const StoreIp = { unlessRefused: 0, always: 1, never: 2 } as const
export type StoreIpMode = (typeof StoreIp)[keyof typeof StoreIp]

/** What is fixed for a decoder's life. */
export interface DecoderOptions {
  readonly recordsMax: number
  readonly recordBytesMax: number
  /** The largest body or query, in bytes, that `decode` will be handed; sizes the scratch buffer. */
  readonly payloadBytesMax: number
  /** The most bytes one request may add to a batch; beyond: problem `output_too_large`. */
  readonly outputBytesMax: number
  readonly storeIp: StoreIpMode
  /** true: events older than five days are ignored instead of flagged. */
  readonly dropLate: boolean
  /** The tokens of the tokens file; undefined in open mode. They get the token ids from 2 on, in this order. */
  readonly tokensAllowed: readonly string[] | undefined
  /** Token ids handed out before further tokens share id 0. */
  readonly tokensMax: number
}

/** Parts of the context that stay the same for a connection, ready as JSON text so that they are only copied. */
export interface Peer {
  /** JSON string or `null`: the client's address. */
  readonly ipJson: string
  /** JSON string or `null`: the User-Agent, cut at 256 bytes of UTF-8 on a character boundary. */
  readonly uaJson: string
}

export interface DecodeRequest {
  readonly endpoint: Endpoint
  readonly content: ContentClass
  /** After Content-Encoding is undone. Empty for none. Not kept after the call. */
  readonly body: Uint8Array
  /** Raw query string as it stood in the URL, without `?`; one character a byte (latin1). */
  readonly query: string
}

export interface RequestContext {
  readonly receivedMs: number
  /** ASCII letters and digits. */
  readonly requestId: RequestId
  readonly peer: Peer
  /** /import: the token that the credential stands for; '' for none. */
  readonly authToken: string
  readonly projectId: string | null
  /** true while rejected records are replayed: sets the flag `replayed`. */
  readonly replayed: boolean
}

/** Where records go: bytes from `position` (inclusive) to `end` (exclusive) may be written. */
export interface Room {
  /** A view of shared memory (`sharedBytes`). */
  readonly bytes: Uint8Array<SharedArrayBuffer>
  readonly position: number
  readonly end: number
}

/** Parameters found in query and form; bits of DecodedBatch.params. */
export const Param = {
  verbose1: 1,
  verbose2: 2,
  /** Only set on /engage, /groups and /import. */
  strict: 4,
  img: 8,
  /** A non-empty `callback` is there; its text is read with `readParam`. */
  callback: 16,
  /** A non-empty `redirect` is there. */
  redirect: 32,
} as const

export const Outcome = { accepted: 0, rejected: 1, ignored: 2 } as const

export const Status = {
  /** The batch is decoded: rows and counts are valid and records are written from room.position to `end`. */
  ok: 0,
  /** The room is too small: nothing has changed; call again with at least `bytesNeeded`. */
  needsRoom: 1,
  /** The native decoder panicked: nothing has changed. Never seen outside src/decode. */
  panicked: 2,
} as const

/** Index of each number in the table's Int32Array; the header comes first, then one row of ROW_INTS a record. */
export const Header = {
  // In. Bytes 0..8 are a Float64: receivedMs.
  endpoint: 2,
  content: 3,
  /** Bit 0: replayed. */
  switches: 4,
  queryLength: 5,
  requestIdLength: 6,
  ipJsonLength: 7,
  uaJsonLength: 8,
  projectIdJsonLength: 9,
  authTokenLength: 10,
  roomPosition: 11,
  roomEnd: 12,
  // Out.
  status: 16,
  bytesNeeded: 17,
  /** Position behind the last record written. */
  end: 18,
  received: 19,
  accepted: 20,
  rejected: 21,
  ignored: 22,
  /** Rows filled: one a record; exactly one, with the problem, for a payload that could not be taken apart. */
  rows: 23,
  params: 24,
  /** 1 when row 0 stands for a payload that could not be taken apart into records. */
  undecodable: 25,
  /** 0: the payload lies in the body, 1: in the scratch buffer. */
  payloadSource: 26,
  payloadStart: 27,
  payloadLength: 28,
  /** Records counted in the payload; beyond recordsMax only here. */
  recordCount: 29,
  /** Ids handed out by the token table, the reserved ones included. */
  tokenCount: 30,
  /** Index of the first rejected row, -1 for none. */
  firstRejected: 31,
} as const
export const HEADER_INTS = 64

/** Index of each number in a row. Offsets into the payload count from its start, before any text repair. */
export const Row = {
  outcome: 0,
  /** Accepted: where the record starts in the room's bytes, and its length; else 0. */
  position: 1,
  length: 2,
  flags: 3,
  tokenId: 4,
  keyHash: 5,
  /** Id of the problem, 0 for none. */
  problem: 6,
  /** The byte at fault: the value's first byte, or its container's when the member is missing; -1 for none. */
  problemOffset: 7,
  /** The name of the member at fault, raw text between its quotes; -1 for none. */
  memberStart: 8,
  memberLength: 9,
  /** The record's text as received. */
  rawStart: 10,
  rawLength: 11,
  /** Rejected: raw JSON text of its $insert_id (quotes included); -1 for none. */
  insertIdStart: 12,
  insertIdLength: 13,
} as const
export const ROW_INTS = 16

/** Token ids: 0 is shared by all tokens beyond tokensMax or longer than 256 bytes, 1 means the record has no token. */
export const TOKEN_SHARED = 0
export const TOKEN_NONE = 1
export const TOKEN_BYTES_MAX = 256

/** Token bytes ↔ small integers; grows only at the end of a successful decode. */
export interface TokenTable {
  readonly size: number
  /** The token's id, made if need be; TOKEN_SHARED when the table is full or the token too long. */
  intern(token: string): number
  /** The token's id if it has one. */
  find(token: string): number | undefined
  /** The token with this id; undefined for the reserved ids. */
  name(id: number): string | undefined
}

export interface Decoder {
  readonly name: 'native' | 'reference'
  readonly tokens: TokenTable
  /** Panics of the native module that the reference decoder stepped in for. */
  readonly panics: number
  /**
   * Decodes one request. The returned view is the decoder's own and changes with the next call.
   * Nothing is thrown for any input.
   */
  decode(request: DecodeRequest, context: RequestContext, room: Room): DecodedBatch
}

/** Typed view over the table: numbers are read in place, strings are made only when a getter asks for them. */
export interface DecodedBatch {
  readonly status: number
  readonly bytesNeeded: number
  readonly end: number
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly ignored: number
  readonly rows: number
  readonly params: number
  readonly undecodable: boolean
  readonly recordCount: number
  readonly firstRejected: number
  readonly endpoint: Endpoint
  /** The payload's bytes (JSON text after form and base64), a view that is valid until the next decode. */
  payload(): Uint8Array
  /** One number of one row. */
  row(index: number, field: (typeof Row)[keyof typeof Row]): number
  /** What is wrong with a rejected row; undefined for others. */
  problem(index: number): Problem | undefined
  /** The record written for an accepted row: bytes of the room. */
  event(index: number): EventView
}

export interface EventView {
  readonly kind: Endpoint
  readonly flags: number
  readonly tokenId: number
  readonly keyHash: number
  readonly key: string
  /** The envelope's JSON text. */
  readonly envelope: string
}

export interface Problem {
  readonly id: number
  /** Stable, snake_case; listed in docs/ERRORS.md. */
  readonly code: string
  /** Index of the record in the payload. */
  readonly index: number
  readonly field: string
  /** RFC 6901, from the record's root. */
  readonly pointer: string
  /** Byte in the payload, -1 when there is none. */
  readonly offset: number
  readonly message: string
  readonly hint: string
  /** The value at fault, shortened; '' when it is missing. */
  readonly got: string
  /** The record's $insert_id as a string, undefined when it has none. */
  readonly insertId: string | undefined
}
