/** A rejected record as it is kept (docs/PROTOCOL.md 9.4): its envelope, and the bytes of its record in the log. */
import { asBuffer } from '../as-buffer.js'
import type { Problem, RequestContext } from '../decode/decoder.js'
import { type Endpoint, recordOfRejected } from '../record.js'
import { textOf } from '../request-id.js'

/** The most of a record's text that is kept. */
export const RAW_BYTES_MAX = 64 * 1024

/** What is kept of the request that a rejected record came with. */
export interface RejectedIn {
  readonly endpoint: Endpoint
  readonly context: RequestContext
  /** JSON string or `null`: the client's address, where it may be kept. */
  readonly ipJson: string
  /** `test=1`: a replay says it again. */
  readonly test: boolean
}

/** @param token where the rules got to read it: it becomes the key */
export function rejectedRecord(
  request: RejectedIn,
  problem: Problem,
  raw: Uint8Array,
  token: string | undefined,
): Uint8Array {
  return recordOfRejected(token ?? null, envelopeOf(request, problem, raw, token))
}

function envelopeOf(
  { endpoint, context, ipJson, test }: RejectedIn,
  { code, index, field, pointer, offset, message }: Problem,
  raw: Uint8Array,
  token: string | undefined,
): string {
  const { receivedMs, requestId, peer, projectId, authToken } = context
  // Of an unknown token nothing is kept: whoever sends with it is nobody we know.
  const text = code === 'token_unknown' ? '"raw":""' : rawMembers(raw)
  const head = JSON.stringify({
    v: 1,
    kind: 'rejected',
    endpoint,
    token: token ?? (authToken || null),
    ...(endpoint === 'import' && { project_id: projectId }),
    received_ms: receivedMs,
    request_id: textOf(requestId),
    index,
    ...(test && { test }),
  })
  const about = JSON.stringify({ code, field, pointer, offset, message })
  return `${head.slice(0, -1)},"ip":${ipJson},"ua":${peer.uaJson},"problem":${about},${text}}`
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
    return `"raw_base64":"${asBuffer(bytes).toString('base64')}"`
  }
}

/** The members of an envelope that hold a record's text: one of the two. */
export interface RawMembers {
  readonly raw?: string | undefined
  readonly raw_base64?: string | undefined
}

/** The text as it came, as far as it was kept. */
export function rawOf({ raw, raw_base64: base64 }: RawMembers): Buffer {
  return base64 === undefined ? Buffer.from(raw ?? '') : Buffer.from(base64, 'base64')
}

/** Without the last character if the cut went through it. */
function atCharacter(bytes: Uint8Array): Uint8Array {
  let end = bytes.length
  while (end > bytes.length - 4 && (bytes[end - 1]! & 0xc0) === 0x80) end--
  const lead = bytes[end - 1]!
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return bytes.length - (end - 1) >= length ? bytes : bytes.subarray(0, end - 1)
}
