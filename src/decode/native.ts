/**
 * The native decoder behind the seam: memory that was pinned once, one call a request, numbers back. A request that the
 * native module panics on, or that does not fit the pinned memory, is decoded by the reference decoder (promise P3).
 */
import { type Endpoint, ENDPOINTS, RECORD_HEADER_BYTES } from '../record.js'
import { packageVersion } from '../version.js'
import { importAddon } from '../addon-file.js'
import {
  type DecodedBatch,
  type Decoder,
  type DecodeRequest,
  type DecoderOptions,
  Header,
  HEADER_INTS,
  Param,
  type RequestContext,
  type Room,
  Row,
  ROW_INTS,
  Status,
  type TokenTable,
} from './decoder.js'
import { createReferenceDecoder } from './reference/decoder.js'
import { TableView } from './table.js'

/** The context's JSON texts, request id and query, back to back. Heads of requests are at most 80 KiB. */
const INPUT_BYTES = 256 * 1024
/** The addon wants some bytes left behind the query to be sure that it was not cut. */
const INPUT_BYTES_USED_MAX = INPUT_BYTES - 8
/** Of a UTF-16 code unit. */
const UTF8_BYTES_MAX = 3
/** Beyond the payload the native decoder may write whole words. */
const SCRATCH_BYTES_MORE = 64

/** What the addon makes: the hot function and the token table. */
export interface NativeHandle {
  /** The query is written behind what stands in the input, the records into the room that was bound last. */
  decode(body: Uint8Array, query?: string): number
  /** @param room a view of shared memory */
  bindRoom(room: Uint8Array): void
  internToken(token: string): number
  /** -1 for none. */
  findToken(token: string): number
  tokenName(id: number): string | null
  tokenCount(): number
}

/** The addon's exports. */
export interface NativeAddon {
  createDecoder(
    table: Uint8Array,
    input: Uint8Array,
    scratch: Uint8Array,
    options: NativeOptions,
  ): NativeHandle
  layout(): Record<string, number>
  version(): string
}

export interface NativeOptions {
  recordsMax: number
  recordBytesMax: number
  outputBytesMax: number
  storeIp: number
  dropLate: boolean
  tokensAllowed?: string[]
  tokensMax: number
}

/** A method that Node has and its types do not; it skips the argument checks of `write`. */
interface QuickBuffer extends Buffer {
  utf8Write(text: string, offset: number): number
}

/** The addon, or why it cannot be loaded. */
const addonOrError = await importAddon().then(
  (addon) => addon as NativeAddon,
  (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
)

/** Every constant that both sides must agree on, by the name that the addon's `layout` uses. */
export function expectedLayout(): Record<string, number> {
  const layout: Record<string, number> = { HEADER_INTS, ROW_INTS, RECORD_HEADER_BYTES }
  for (const [group, constants] of Object.entries({ Header, Row, Param, Status })) {
    for (const [name, value] of Object.entries(constants)) layout[`${group}.${name}`] = value
  }
  return layout
}

/** Throws when the addon was built from other sources than these. */
export function checkCompatible(addon: NativeAddon): void {
  if (addon.version() !== packageVersion()) {
    throw new Error(`the native decoder is of version ${addon.version()}, not ${packageVersion()}`)
  }
  const actual = addon.layout()
  for (const [name, value] of Object.entries(expectedLayout())) {
    if (actual[name] !== value)
      throw new Error(`the native decoder has ${name} = ${actual[name]}, not ${value}`)
  }
}

class NativeTokens implements TokenTable {
  constructor(private readonly handle: NativeHandle) {}

  get size(): number {
    return this.handle.tokenCount()
  }
  intern(token: string): number {
    return this.handle.internToken(token)
  }
  find(token: string): number | undefined {
    const id = this.handle.findToken(token)
    return id < 0 ? undefined : id
  }
  name(id: number): string | undefined {
    return this.handle.tokenName(id) ?? undefined
  }
}

function nativeOptions(options: DecoderOptions): NativeOptions {
  const { recordsMax, recordBytesMax, outputBytesMax, storeIp, dropLate, tokensAllowed, tokensMax } = options
  const common = { recordsMax, recordBytesMax, outputBytesMax, storeIp, dropLate, tokensMax }
  return tokensAllowed ? { ...common, tokensAllowed: [...tokensAllowed] } : common
}

/** Up to here a text is written faster by `writeAscii` than by a call into Node (50 ns). */
const SHORT_LENGTH_MAX = 48

/** false: it holds other characters, too. */
function writeAscii(target: Uint8Array, text: string, start: number): boolean {
  let all = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    target[start + index] = code
    all |= code
  }
  return all < 0x80
}

export class NativeDecoder implements Decoder {
  readonly name = 'native'
  readonly tokens: TokenTable
  panics = 0

  private readonly table: Int32Array
  private readonly receivedMs: Float64Array
  private readonly input: QuickBuffer
  private readonly view: TableView
  private readonly hot: NativeHandle['decode']
  private readonly bindRoom: NativeHandle['bindRoom']
  private reference: Decoder | undefined

  // What stands in the input's front, and where it ends: the requests of a connection share it.
  private lastContext: RequestContext | undefined
  private contextEnd = 0
  /** Of the request id that stands behind. */
  private lastHead: string | undefined
  private lastEndpoint: Endpoint = ENDPOINTS[0]

  constructor(
    private readonly options: DecoderOptions,
    addon: NativeAddon,
  ) {
    // Shared memory cannot be taken away: the addon need not ask at each call whether it is still there.
    const tableBytes = (HEADER_INTS + ROW_INTS * options.recordsMax) * Int32Array.BYTES_PER_ELEMENT
    const scratchStart = tableBytes + INPUT_BYTES
    const memory = new SharedArrayBuffer(scratchStart + options.payloadBytesMax + SCRATCH_BYTES_MORE)
    this.table = new Int32Array(memory, 0, tableBytes / Int32Array.BYTES_PER_ELEMENT)
    this.receivedMs = new Float64Array(memory, 0, 1)
    this.input = Buffer.from(memory, tableBytes, INPUT_BYTES) as QuickBuffer
    const scratch = Buffer.from(memory, scratchStart)
    const handle = addon.createDecoder(
      new Uint8Array(memory, 0, tableBytes),
      this.input,
      scratch,
      nativeOptions(options),
    )
    this.hot = handle.decode
    this.bindRoom = handle.bindRoom
    this.tokens = new NativeTokens(handle)
    this.view = new TableView(this.table, options)
    this.view.scratch = scratch
  }

  decode(request: DecodeRequest, context: RequestContext, room: Room): DecodedBatch {
    if (!this.writeInput(request, context)) return this.byReference(request, context, room)
    const { table, view } = this
    this.receivedMs[0] = context.receivedMs
    table[Header.content] = request.content
    table[Header.switches] = context.replayed ? 1 : 0
    table[Header.roomPosition] = room.position
    table[Header.roomEnd] = room.end
    view.body = request.body
    if (room.bytes !== view.room.bytes) this.bindRoom(room.bytes)
    view.room = room
    if (this.hot(request.body, request.query) !== Status.panicked) return view
    this.panics++
    return this.byReference(request, context, room)
  }

  /** The request id's last character is new each time, the rest is written only when it changes. false: it does not fit. */
  private writeInput({ endpoint, body, query }: DecodeRequest, context: RequestContext): boolean {
    const { table, input } = this
    if (!this.isLast(context) && !this.writeContext(context)) return false
    const { head, last } = context.requestId
    const idEnd = this.contextEnd + head.length + last.length
    const { payloadBytesMax } = this.options
    if (body.length > payloadBytesMax || query.length > payloadBytesMax) return false
    if (idEnd + query.length > INPUT_BYTES_USED_MAX) return false
    table[Header.requestIdLength] = idEnd - this.contextEnd
    if (head !== this.lastHead) writeAscii(input, head, this.contextEnd)
    this.lastHead = head
    writeAscii(input, last, idEnd - last.length)
    if (endpoint !== this.lastEndpoint) this.writeEndpoint(endpoint)
    return true
  }

  private isLast({ peer, projectId, authToken }: RequestContext): boolean {
    const last = this.lastContext
    return last?.peer === peer && last.projectId === projectId && last.authToken === authToken
  }

  private writeContext(context: RequestContext): boolean {
    const { table, input } = this
    const { peer, projectId, authToken } = context
    const { ipJson, uaJson } = peer
    const project = projectId === null ? 'null' : JSON.stringify(projectId)
    const charactersMax = INPUT_BYTES / UTF8_BYTES_MAX
    if (ipJson.length + uaJson.length + project.length + authToken.length > charactersMax) return false
    let end = 0
    const put = (field: number, text: string): void => {
      const written = text.length <= SHORT_LENGTH_MAX && writeAscii(input, text, end)
      end += table[field] = written ? text.length : input.utf8Write(text, end)
    }
    put(Header.ipJsonLength, ipJson)
    put(Header.uaJsonLength, uaJson)
    put(Header.projectIdJsonLength, project)
    put(Header.authTokenLength, authToken)
    this.contextEnd = end
    this.lastContext = context
    this.lastHead = undefined
    return true
  }

  private writeEndpoint(endpoint: Endpoint): void {
    this.table[Header.endpoint] = ENDPOINTS.indexOf(endpoint)
    this.lastEndpoint = endpoint
  }

  private byReference(request: DecodeRequest, context: RequestContext, room: Room): DecodedBatch {
    this.reference ??= createReferenceDecoder(this.options, this.tokens)
    return this.reference.decode(request, context, room)
  }
}

/** The native decoder; throws when the addon is missing, does not load or was built from other sources. */
export function createNativeDecoder(options: DecoderOptions): Decoder {
  if (addonOrError instanceof Error) throw addonOrError
  checkCompatible(addonOrError)
  return new NativeDecoder(options, addonOrError)
}
