/**
 * The decoder alone: requests in Mixpanel's wire protocol in, events out. No HTTP, no log.
 *
 * ```ts
 * import { createEventDecoder } from 'sluicegate/decoder'
 * const decoder = createEventDecoder()
 * const { events, problems } = decoder.decode({ endpoint: 'track', body: '{"event":"e","properties":{"token":"t"}}' })
 * ```
 *
 * `decode` makes plain objects, which are the caller's own. `view` makes none: it hands out typed views over one table of
 * integers and reads strings only when asked, which is what the server does. Rules: docs/PROTOCOL.md 4 and 5.
 */
import { randomBytes } from 'node:crypto'
import { systemClock } from './clock.js'
import {
  Content,
  type ContentClass,
  type DecodedBatch,
  type Decoder,
  type DecoderOptions,
  Outcome,
  type Problem,
  type RequestContext,
  Row,
  Status,
  StoreIp,
} from './decode/decoder.js'
import { selectDecoder } from './decode/select.js'
import { RECORD_BYTES_MAX, RECORDS_MAX } from './decoder-options.js'
import { UsageError } from './errors.js'
import { contentClassOf } from './http/content.js'
import { userAgentJson } from './http/peer.js'
import { type Endpoint, ENDPOINTS, type Flag, FLAGS } from './record.js'
import { requestId as requestIdOf, RequestIds } from './request-id.js'
import { sharedBytes } from './shared-bytes.js'

export {
  type DecodedBatch,
  type DecoderOptions,
  type EventView,
  Outcome,
  Param,
  type Problem,
  Row,
  StoreIp,
  type StoreIpMode,
} from './decode/decoder.js'
export { UsageError } from './errors.js'
export { type Endpoint, type Flag, FLAGS } from './record.js'

/** Limits and rules; those of the server unless given. */
export interface EventDecoderOptions extends Partial<DecoderOptions> {
  /** `auto` (default): the native decoder where it can be loaded. `native` throws where it cannot. */
  readonly mode?: 'auto' | 'native' | 'reference'
}

/** A request, as far as it matters here. */
export interface EncodedRequest {
  readonly endpoint: Endpoint
  /** After Content-Encoding is undone; text is taken as UTF-8. */
  readonly body?: Uint8Array | string
  /** Raw, one character a byte, without `?`. */
  readonly query?: string
  /** The Content-Type header; without one the body is looked at. Multipart is refused. */
  readonly contentType?: string
  /** Goes into the envelope; now unless given. Events are late by it. */
  readonly receivedMs?: number
  /** ASCII letters and digits, a new one unless given; part of the insert_id that a record without one gets. */
  readonly requestId?: string
  readonly ip?: string
  /** One character a byte, as node:http has it. */
  readonly userAgent?: string
  /** /import: the token that the sender's credential stands for. */
  readonly authToken?: string
  readonly projectId?: string
}

/** What the log keeps and Kafka gets: docs/ENVELOPE.schema.json, version 1. */
export interface Envelope {
  readonly v: 1
  readonly kind: Endpoint
  readonly token: string | null
  readonly project_id: string | null
  readonly received_ms: number
  readonly request_id: string
  readonly index: number
  readonly ip: string | null
  readonly geo: 'request' | 'property' | 'none'
  readonly ua: string | null
  readonly lib: string | null
  readonly insert_id: string
  readonly insert_id_source: 'client' | 'mp_metadata' | 'generated'
  readonly distinct_id: string | null
  readonly distinct_id_source: 'record' | 'user_id' | 'device_id' | 'none'
  readonly time_ms: number
  readonly flags: readonly Flag[]
  /** As received; JavaScript's numbers hold 53 bits, `DecodedEvent.json` has every digit. */
  readonly record: Readonly<Record<string, unknown>>
}

export interface DecodedEvent {
  readonly kind: Endpoint
  readonly flags: readonly Flag[]
  /** Partition key: events with the same one keep their order. */
  readonly key: string
  /** murmur2 of the key, as Kafka's own clients have it. */
  readonly keyHash: number
  readonly envelope: Envelope
  /** The envelope's text. */
  readonly json: string
}

export interface Decoded {
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly ignored: number
  /** The payload could not be taken apart: `problems` says why, once. */
  readonly undecodable: boolean
  readonly events: readonly DecodedEvent[]
  readonly problems: readonly Problem[]
}

export interface EventDecoder {
  readonly name: 'native' | 'reference'
  /** Why it is this one, in a sentence. */
  readonly reason: string
  /**
   * Plain objects. @throws UsageError for a body that no decoder can take (multipart, or over payloadBytesMax), and for an
   * endpoint, a time or a request id that is none.
   */
  decode(request: EncodedRequest): Decoded
  /**
   * Typed views, valid until the next call, of memory that may be shared (`SharedArrayBuffer`): `.slice()` what is kept, or
   * sent to another thread. @throws UsageError as `decode`
   */
  view(request: EncodedRequest): DecodedBatch
}

const MiB = 2 ** 20
const DEFAULTS: DecoderOptions = {
  recordsMax: RECORDS_MAX,
  recordBytesMax: RECORD_BYTES_MAX,
  payloadBytesMax: 10 * MiB,
  outputBytesMax: 16 * MiB,
  storeIp: StoreIp.unlessRefused,
  dropLate: false,
  tokensAllowed: undefined,
  tokensMax: 65_536,
}
/** It is copied into JSON as it is. */
const REQUEST_ID = /^[0-9A-Za-z]{1,64}$/
const ROOM_BYTES_MIN = 64 * 1024

/** @throws Error in mode `native` when there is none that loads */
export function createEventDecoder({ mode = 'auto', ...given }: EventDecoderOptions = {}): EventDecoder {
  const options = { ...DEFAULTS, ...given }
  const { decoder, reason } = selectDecoder(mode, options)
  return new RoomyDecoder(decoder, reason, options)
}

/** Has room of its own to decode into, which grows with what comes, up to `outputBytesMax`. */
class RoomyDecoder implements EventDecoder {
  private room = sharedBytes(ROOM_BYTES_MIN)
  private readonly requestIds = new RequestIds(randomBytes(8))

  constructor(
    private readonly decoder: Decoder,
    readonly reason: string,
    private readonly limits: { readonly payloadBytesMax: number; readonly outputBytesMax: number },
  ) {}

  get name(): 'native' | 'reference' {
    return this.decoder.name
  }

  decode(request: EncodedRequest): Decoded {
    const batch = this.view(request)
    const { received, accepted, rejected, ignored, undecodable } = batch
    const events: DecodedEvent[] = []
    const problems: Problem[] = []
    for (let index = 0; index < batch.rows; index++) {
      const outcome = batch.row(index, Row.outcome)
      if (outcome === Outcome.accepted) events.push(eventOf(batch, index))
      else if (outcome === Outcome.rejected) problems.push(batch.problem(index)!)
    }
    return { received, accepted, rejected, ignored, undecodable, events, problems }
  }

  view(request: EncodedRequest): DecodedBatch {
    const { endpoint, query = '' } = request
    if (!ENDPOINTS.includes(endpoint)) throw new UsageError(`endpoint must be one of ${ENDPOINTS.join(', ')}`)
    const body = bodyOf(request)
    this.refuseTooLarge(body.length, query.length)
    const input = { endpoint, content: contentOf(request), body, query }
    const context = this.contextOf(request)
    for (;;) {
      const room = { bytes: this.room, position: 0, end: this.room.length }
      const batch = this.decoder.decode(input, context, room)
      if (batch.status === Status.ok) return batch
      // In large steps: the rooms that are thrown away are all together no larger than the last one.
      const roomy = Math.min(2 * this.room.length, this.limits.outputBytesMax)
      this.room = sharedBytes(Math.max(batch.bytesNeeded, roomy))
    }
  }

  private contextOf(request: EncodedRequest): RequestContext {
    const { receivedMs = systemClock.nowMs(), ip, userAgent, authToken = '', projectId = null } = request
    if (!Number.isSafeInteger(receivedMs) || receivedMs < 0) {
      throw new UsageError('receivedMs must be a whole number of milliseconds from 0 on')
    }
    const own = request.requestId
    if (own !== undefined && !REQUEST_ID.test(own))
      throw new UsageError('requestId must be ASCII letters and digits')
    const requestId = own === undefined ? this.requestIds.next(receivedMs) : requestIdOf(own)
    const peer = { ipJson: JSON.stringify(ip ?? null), uaJson: userAgentJson(userAgent) }
    return { receivedMs, requestId, peer, authToken: wellFormed(authToken), projectId, replayed: false }
  }

  private refuseTooLarge(...lengths: readonly number[]): void {
    const { payloadBytesMax } = this.limits
    if (lengths.every((length) => length <= payloadBytesMax)) return
    throw new UsageError(`a body or query may have ${payloadBytesMax} bytes (payloadBytesMax)`)
  }
}

function eventOf(batch: DecodedBatch, index: number): DecodedEvent {
  const { kind, flags, key, keyHash, envelope: json } = batch.event(index)
  const names = FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0)
  return { kind, flags: names, key, keyHash, envelope: JSON.parse(json) as Envelope, json }
}

/** Half of a surrogate pair is no text: it becomes U+FFFD, as in UTF-8. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString()
}

function bodyOf({ body = '' }: EncodedRequest): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body
}

/** A request without a body has all in its query, as a GET. */
function contentOf({ body, contentType }: EncodedRequest): ContentClass {
  if (body === undefined) return Content.none
  const content = contentClassOf(contentType)
  if (content === undefined) throw new UsageError(`${contentType} is not decoded`)
  return content
}
