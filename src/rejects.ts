/**
 * Rejected records (promise P10): what they were, why they were refused, kept in a small log of its own that drops its
 * oldest. Bounded by bytes and by rate: junk can never stop good events, nor cost them much.
 */
import type { Clock } from './clock.js'
import type { Config } from './config.js'
import {
  type ContentClass,
  type DecodedBatch,
  Outcome,
  type Problem,
  type RequestContext,
  Row,
  TOKEN_NONE,
  type TokenTable,
} from './decode/decoder.js'
import { formText, readParam } from './decode/params.js'
import type { Log } from './log/types.js'
import { type Endpoint, KINDS, RECORD_HEADER_BYTES, writeRecordHeader } from './record.js'

/** The most of a record's text that is kept. */
export const RAW_BYTES_MAX = 64 * 1024
/** Kept a second on average, and at once after a quiet time. Beyond it rejected records are only counted. */
export const RATE_BYTES_PER_S = 1024 * 1024
export const BURST_BYTES = 8 * 1024 * 1024
/** What a record costs beside its text. */
const OVERHEAD_BYTES = 1024

/** What is known of a request beside its records. */
export interface RejectedRequest {
  readonly endpoint: Endpoint
  readonly body: Uint8Array
  readonly content: ContentClass
  readonly query: string
}

/** Finished records, waiting for the request's receipt. */
export interface PreparedRejects {
  readonly records: readonly Uint8Array[]
}

export class Rejects {
  /** Written to the log of rejects since the start. */
  kept = 0
  /** Beyond the rate, or the log of rejects would not take them: only counted. */
  dropped = 0

  private allowanceBytes = BURST_BYTES
  private countedMs: number

  constructor(
    private readonly log: Log,
    private readonly tokens: TokenTable,
    private readonly clock: Clock,
    private readonly storeIp: Config['storeIp'] = 'unless-refused',
  ) {
    this.countedMs = clock.monoMs()
  }

  /** Copies the rejected records out of the decoder's memory, as far as the rate allows. */
  prepare(batch: DecodedBatch, request: RejectedRequest, context: RequestContext): PreparedRejects {
    const records: Uint8Array[] = []
    const payload = batch.payload()
    let ipJson: string | undefined
    for (let index = batch.firstRejected; index < batch.rows; index++) {
      if (batch.row(index, Row.outcome) !== Outcome.rejected) continue
      const start = batch.row(index, Row.rawStart)
      const length = batch.row(index, Row.rawLength)
      if (!this.allow(length)) continue
      // Only now: it reads the whole form, which a flood beyond the rate must not cost.
      ipJson ??= this.addressOf(request, context)
      const raw = payload.subarray(start, start + length)
      const id = batch.row(index, Row.tokenId)
      const token = id === TOKEN_NONE ? undefined : this.tokens.name(id)
      records.push(
        recordOf(request.endpoint, batch.problem(index)!, raw, token, this.withAddress(ipJson, raw, context)),
      )
    }
    return { records }
  }

  /** The same for a body that could not be decoded at all. */
  prepareOne(request: RejectedRequest, context: RequestContext, problem: Problem): PreparedRejects {
    if (!this.allow(request.body.length)) return { records: [] }
    const known = this.withAddress(this.addressOf(request, context), request.body, context)
    return { records: [recordOf(request.endpoint, problem, request.body, undefined, known)] }
  }

  /** Hands them to the log of rejects, which syncs at most once a second; never waits, never throws. */
  keep({ records }: PreparedRejects): void {
    for (const record of records) {
      if (this.append(record)) this.kept++
      else this.dropped++
    }
  }

  /** The client's address, unless the operator or the request refuses that it is kept (docs/PROTOCOL.md 9.3). */
  private addressOf({ query, content, body }: RejectedRequest, { peer }: RequestContext): string {
    if (this.storeIp === 'always') return peer.ipJson
    const isRefused = this.storeIp === 'never' || readParam('ip', query, formText(content, body)) === '0'
    return isRefused ? 'null' : peer.ipJson
  }

  private withAddress(ipJson: string, raw: Uint8Array, context: RequestContext): RequestContext {
    // The record may be no JSON at all, so that its own refusal is looked for in its text.
    const isRefused = this.storeIp !== 'always' && refusesItself(raw)
    return { ...context, peer: { ...context.peer, ipJson: isRefused ? 'null' : ipJson } }
  }

  /** Whatever goes wrong here, the good records of the request are durable and must be acknowledged. */
  private append(record: Uint8Array): boolean {
    try {
      const room = this.log.open(record.length)
      if (room === undefined) return false
      room.bytes.set(record, room.position)
      // Nobody waits for it.
      this.log.commit(room.position + record.length, 1).catch(() => this.lost())
      return true
    } catch {
      return false
    }
  }

  /** Counted as kept when it was handed over, but it never got to disk. */
  private lost(): void {
    this.kept--
    this.dropped++
  }

  private allow(rawBytes: number): boolean {
    const nowMs = this.clock.monoMs()
    const earned = ((nowMs - this.countedMs) * RATE_BYTES_PER_S) / 1000
    this.allowanceBytes = Math.min(BURST_BYTES, this.allowanceBytes + earned)
    this.countedMs = nowMs
    const cost = Math.min(rawBytes, RAW_BYTES_MAX) + OVERHEAD_BYTES
    if (cost > this.allowanceBytes) {
      this.dropped++
      return false
    }
    this.allowanceBytes -= cost
    return true
  }
}

/** `"ip":0`, `"$ip":"0"`. */
const OWN_REFUSAL = /"\$?ip"\s*:\s*("0"|0\s*[,}])/

function refusesItself(raw: Uint8Array): boolean {
  const view = Buffer.from(raw.buffer, raw.byteOffset, raw.length)
  return view.includes('ip"') && OWN_REFUSAL.test(view.toString('latin1'))
}

function recordOf(
  endpoint: Endpoint,
  problem: Problem,
  raw: Uint8Array,
  token: string | undefined,
  context: RequestContext,
): Uint8Array {
  const key = Buffer.from(token ?? '')
  const value = Buffer.from(envelopeOf(endpoint, problem, raw, token, context))
  const length = RECORD_HEADER_BYTES + key.length + value.length
  const record = Buffer.alloc(length)
  const [kind, keyLength] = [KINDS.indexOf('rejected'), key.length]
  writeRecordHeader(record, 0, { length, kind, flags: 0, keyHash: 0, tokenLength: keyLength, keyLength })
  record.set(key, RECORD_HEADER_BYTES)
  record.set(value, RECORD_HEADER_BYTES + key.length)
  return record
}

/** docs/PROTOCOL.md 9.4. */
function envelopeOf(
  endpoint: Endpoint,
  { code, index, field, pointer, offset, message }: Problem,
  raw: Uint8Array,
  token: string | undefined,
  context: RequestContext,
): string {
  const { receivedMs, requestId, peer, projectId } = context
  // Of an unknown token nothing is kept: whoever sends with it is nobody we know.
  const text = code === 'token_unknown' ? '"raw":""' : rawMembers(raw)
  const head = JSON.stringify({
    v: 1,
    kind: 'rejected',
    endpoint,
    token: token ?? (context.authToken || null),
    ...(endpoint === 'import' && { project_id: projectId }),
    received_ms: receivedMs,
    request_id: requestId,
    index,
  })
  const about = JSON.stringify({ code, field, pointer, offset, message })
  return `${head.slice(0, -1)},"ip":${peer.ipJson},"ua":${peer.uaJson},"problem":${about},${text}}`
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function rawMembers(raw: Uint8Array): string {
  if (raw.length <= RAW_BYTES_MAX) return textMember(raw, raw)
  const cut = raw.subarray(0, RAW_BYTES_MAX)
  return `${textMember(atCharacter(cut), cut)},"truncated":true`
}

/** `whole` as text, else `bytes` in base64. */
function textMember(whole: Uint8Array, bytes: Uint8Array): string {
  try {
    return `"raw":${JSON.stringify(utf8.decode(whole))}`
  } catch {
    return `"raw_base64":"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')}"`
  }
}

/** Without the last character if the cut went through it. */
function atCharacter(bytes: Uint8Array): Uint8Array {
  let end = bytes.length
  while (end > bytes.length - 4 && (bytes[end - 1]! & 0xc0) === 0x80) end--
  const lead = bytes[end - 1]!
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return bytes.length - (end - 1) >= length ? bytes : bytes.subarray(0, end - 1)
}
