/** The envelope and the log record around it (docs/DECODING.md 5; layout in src/record.ts). */
import { ENDPOINTS, FLAGS, RECORD_HEADER_BYTES, writeRecordHeader } from '../../record.js'
import { type RequestContext, StoreIp, type StoreIpMode } from '../decoder.js'
import { isAddress } from './address.js'
import { type DistinctId, eventDistinctId } from './events.js'
import { type Item, nonEmpty, stringOrNumber } from './item.js'
import { murmur2 } from './murmur2.js'
import type { Output } from './output.js'
import type { RequestParams } from './payload.js'
import { writeRecordText } from './record.js'
import type { Circumstances } from './verdict.js'
import { flagBit, timeOf } from './when.js'
import { textOf } from '../../request-id.js'

const LIB_BYTES_MAX = 256

/** What all envelopes of a request share. */
export interface EnvelopeContext {
  readonly request: RequestContext
  readonly circumstances: Circumstances
  readonly params: RequestParams
  readonly storeIp: StoreIpMode
}

/** What the row says about a record that was written. */
export interface Written {
  readonly length: number
  readonly flags: number
  readonly keyHash: number
}

type AddressKind = 'address' | 'refused' | 'other'

/** What the record says about the client's address: one of its own, none wanted (0), or nothing. */
function addressKind(item: Item): AddressKind {
  const value = item.field(item.isEvent ? 'ip' : '$ip')
  const text = value?.kind === 'boolean' ? undefined : value?.text()
  if (text === '0') return 'refused'
  return value?.kind === 'string' && isAddress(text!) ? 'address' : 'other'
}

function ipJson(kind: AddressKind, { storeIp, params, request }: EnvelopeContext): string {
  if (storeIp === StoreIp.never) return 'null'
  const refused = storeIp === StoreIp.unlessRefused && (params.ip === '0' || kind === 'refused')
  return refused ? 'null' : request.peer.ipJson
}

function geo(kind: AddressKind, item: Item, params: RequestParams): string {
  if (kind === 'address') return 'property'
  if (kind === 'refused' || params.ip === '0') return 'none'
  return params.ip === '1' || !item.isEvent ? 'request' : 'none'
}

/** The longest start of `text` that is whole characters and at most `bytesMax` bytes of UTF-8. */
export function cutUtf8(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length <= bytesMax) return text
  let end = bytesMax
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

function lib(item: Item): string | null {
  const name = nonEmpty(item.properties.get('mp_lib'))
  if (name === undefined) return null
  const version = nonEmpty(item.properties.get('$lib_version'))
  return cutUtf8(version === undefined ? name : `${name}/${version}`, LIB_BYTES_MAX)
}

interface InsertId {
  readonly value: string
  readonly source: 'client' | 'mp_metadata' | 'generated'
}

function insertId(item: Item, requestId: string, index: number): InsertId {
  const own = stringOrNumber(item.field('$insert_id'))
  if (own !== undefined) return { value: own, source: 'client' }
  const event = stringOrNumber(item.metadataEventId())
  if (event !== undefined) return { value: event, source: 'mp_metadata' }
  return { value: `${requestId}-${index}`, source: 'generated' }
}

function distinctId(item: Item, endpoint: string): DistinctId {
  if (item.isEvent) return eventDistinctId(item)
  if (endpoint === 'groups') return { value: null, source: 'none' }
  return { value: item.top.get('$distinct_id')?.text() ?? null, source: 'record' }
}

function partitionKey(
  item: Item,
  endpoint: string,
  token: string,
  distinct: string | null,
  id: string,
): string {
  if (endpoint === 'groups') {
    return `${token}:${item.top.get('$group_key')!.text()}:${item.top.get('$group_id')!.text()}`
  }
  return `${token}:${distinct || id}`
}

function repairFlags(item: Item): number {
  const { utf8Broken, surrogateBroken, nanFound } = item.found
  return (
    (utf8Broken ? flagBit('utf8_repaired') : 0) |
    (surrogateBroken ? flagBit('surrogate_repaired') : 0) |
    (nanFound ? flagBit('nan_replaced') : 0)
  )
}

function requestFlags({ params, request }: EnvelopeContext): number {
  return (params.test ? flagBit('test') : 0) | (request.replayed ? flagBit('replayed') : 0)
}

function flagNames(flags: number): string {
  if (flags === 0) return ''
  const names = FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0)
  return names.map((name) => `"${name}"`).join(',')
}

const json = (value: string | null): string => JSON.stringify(value)

/** Key, then envelope; the header in front of them is written last. */
export function writeRecord(
  output: Output,
  item: Item,
  token: string | null,
  index: number,
  context: EnvelopeContext,
): Written {
  const { endpoint, receivedMs } = context.circumstances
  const { projectId, peer } = context.request
  const requestId = textOf(context.request.requestId)
  const address = addressKind(item)
  const when = timeOf(item, context.circumstances)
  const distinct = distinctId(item, endpoint)
  const id = insertId(item, requestId, index)
  const flags = when.flags | repairFlags(item) | requestFlags(context)

  const header = output.skip(RECORD_HEADER_BYTES)
  const keyLength = output.text(partitionKey(item, endpoint, token ?? '', distinct.value, id.value))
  output.text(
    `{"v":1,"kind":"${endpoint}","token":${json(token)},"project_id":${json(projectId)}` +
      `,"received_ms":${receivedMs},"request_id":"${requestId}","index":${index}` +
      `,"ip":${ipJson(address, context)},"geo":"${geo(address, item, context.params)}"` +
      `,"ua":${peer.uaJson},"lib":${json(lib(item))}` +
      `,"insert_id":${json(id.value)},"insert_id_source":"${id.source}"` +
      `,"distinct_id":${json(distinct.value)},"distinct_id_source":"${distinct.source}"` +
      `,"time_ms":${when.ms},"flags":[${flagNames(flags)}],"record":`,
  )
  writeRecordText(output, item.bytes, item.found)
  output.byte(0x7d)
  return writeHeader(output, header, { kind: ENDPOINTS.indexOf(endpoint), flags, token, keyLength })
}

function writeHeader(
  output: Output,
  start: number,
  record: { kind: number; flags: number; token: string | null; keyLength: number },
): Written {
  const memory = output.memory()
  const key = start + RECORD_HEADER_BYTES
  const length = output.length - start
  const keyHash = murmur2(memory, key, key + record.keyLength)
  const { kind, flags, token, keyLength } = record
  const tokenLength = Buffer.byteLength(token ?? '')
  writeRecordHeader(memory, start, { length, kind, flags, keyHash, tokenLength, keyLength })
  return { length, flags, keyHash }
}
