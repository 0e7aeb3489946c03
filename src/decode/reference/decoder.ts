/**
 * The reference decoder: docs/DECODING.md in plain TypeScript. It is the oracle for the native one and serves in its place
 * where that cannot be loaded or has panicked. The way: request → payload → records → rules → envelopes → table.
 */
import { ENDPOINTS } from '../../record.js'
import {
  type DecodedBatch,
  type Decoder,
  type DecodeRequest,
  type DecoderOptions,
  Header,
  HEADER_INTS,
  Outcome,
  Param,
  type RequestContext,
  type Room,
  Row,
  ROW_INTS,
  Status,
  TOKEN_NONE,
  type TokenTable,
} from '../decoder.js'
import { ProblemId } from '../problems.js'
import { createTable, TableView } from '../table.js'
import { type EnvelopeContext, writeRecord } from './envelope.js'
import { type Fault, fault, Item } from './item.js'
import { Output } from './output.js'
import { openRequest, type PayloadProblem, problemAt, type RequestParams } from './payload.js'
import { type FoundRecord, RecordFinder } from './records.js'
import { faultOutside, judge } from './rules.js'
import { createTokenTable } from './tokens.js'
import type { Circumstances } from './verdict.js'

export class ReferenceDecoder implements Decoder {
  readonly name = 'reference'
  readonly panics = 0
  private readonly tokensAllowed: ReadonlySet<string> | undefined
  private readonly finder: RecordFinder
  private readonly output = new Output()
  private readonly table: Int32Array
  private readonly view: TableView
  /** By row: the token whose id it gets, interned only when the whole request has been decoded. */
  private readonly rowTokens: (string | null | undefined)[] = []

  constructor(
    private readonly options: DecoderOptions,
    readonly tokens: TokenTable = createTokenTable(options),
  ) {
    this.tokensAllowed = options.tokensAllowed && new Set(options.tokensAllowed)
    this.finder = new RecordFinder(options.recordsMax)
    this.table = createTable(options.recordsMax)
    this.view = new TableView(this.table, options)
  }

  decode(request: DecodeRequest, context: RequestContext, room: Room): DecodedBatch {
    const { params, payload } = openRequest(request)
    this.startTable(request, params.bits, payload.bytes.length)
    Object.assign(this.view, { body: payload.bytes, room })
    const strict = (params.bits & Param.strict) !== 0
    const problem = this.finder.find(payload, !strict)
    const failed =
      problem ?? this.decodeRecords(payload.bytes, this.envelopeContext(request, context, params))
    if (failed) this.undecodable(failed, payload.bytes.length, room)
    else this.finish(room)
    this.finder.clear()
    this.output.clear()
    return this.view
  }

  private envelopeContext(
    request: DecodeRequest,
    context: RequestContext,
    params: RequestParams,
  ): EnvelopeContext {
    const { dropLate, recordBytesMax, storeIp } = this.options
    const circumstances: Circumstances = {
      endpoint: request.endpoint,
      strict: (params.bits & Param.strict) !== 0,
      receivedMs: context.receivedMs,
      authToken: context.authToken,
      tokensAllowed: this.tokensAllowed,
      dropLate,
      recordBytesMax,
    }
    return { request: context, circumstances, params, storeIp }
  }

  private startTable(request: DecodeRequest, params: number, payloadLength: number): void {
    this.table.fill(0, 0, HEADER_INTS)
    this.table[Header.endpoint] = ENDPOINTS.indexOf(request.endpoint)
    this.table[Header.params] = params
    this.table[Header.payloadLength] = payloadLength
    this.table[Header.firstRejected] = -1
    this.rowTokens.length = 0
  }

  /** Fills rows and output; says so when the output grows beyond its limit. */
  private decodeRecords(bytes: Uint8Array, context: EnvelopeContext): PayloadProblem | undefined {
    const { records } = this.finder
    for (const [index, found] of records.entries()) {
      this.startRow(index, found)
      this.decodeRecord(bytes, found, index, context)
      if (this.output.length > this.options.outputBytesMax) {
        return problemAt(ProblemId.outputTooLarge, -1, records.length)
      }
    }
    return undefined
  }

  private decodeRecord(bytes: Uint8Array, found: FoundRecord, index: number, context: EnvelopeContext): void {
    const outside = faultOutside(bytes, found)
    if (outside) return this.reject(index, outside, undefined)
    const item = new Item(bytes, found, context.circumstances.endpoint)
    const verdict = judge(item, context.circumstances)
    this.rowTokens[index] = verdict.token
    if (verdict.fault) return this.reject(index, verdict.fault, item)
    if (verdict.ignored) return this.set(index, Row.outcome, Outcome.ignored)
    const position = this.output.length
    const written = writeRecord(this.output, item, verdict.token ?? null, index, context)
    this.set(index, Row.position, position)
    this.set(index, Row.length, written.length)
    this.set(index, Row.flags, written.flags)
    this.set(index, Row.keyHash, written.keyHash)
  }

  private set(index: number, field: number, value: number): void {
    this.table[HEADER_INTS + index * ROW_INTS + field] = value
  }

  /** An accepted row without a record yet. */
  private startRow(index: number, raw: { start: number; end: number }): void {
    const start = HEADER_INTS + index * ROW_INTS
    this.table.fill(0, start, start + ROW_INTS)
    this.set(index, Row.tokenId, TOKEN_NONE)
    this.set(index, Row.problemOffset, -1)
    this.set(index, Row.memberStart, -1)
    this.set(index, Row.insertIdStart, -1)
    this.set(index, Row.rawStart, raw.start)
    this.set(index, Row.rawLength, raw.end - raw.start)
  }

  private reject(index: number, found: Fault, item: Item | undefined): void {
    this.set(index, Row.outcome, Outcome.rejected)
    this.set(index, Row.problem, found.problem)
    this.set(index, Row.problemOffset, found.offset)
    this.set(index, Row.memberStart, found.memberStart)
    this.set(index, Row.memberLength, found.memberLength)
    const insertId = item?.insertId()
    if (insertId === undefined) return
    this.set(index, Row.insertIdStart, insertId.start)
    this.set(index, Row.insertIdLength, insertId.end - insertId.start)
  }

  /** The whole payload is one rejected row. */
  private undecodable(failed: PayloadProblem, payloadLength: number, room: Room): void {
    this.startRow(0, { start: 0, end: payloadLength })
    this.reject(0, fault(failed.problem, failed.offset), undefined)
    this.rowTokens.length = 0
    this.output.length = 0
    this.complete(room, 1)
    this.table[Header.undecodable] = 1
    this.table[Header.recordCount] = failed.recordCount
  }

  private finish(room: Room): void {
    const { length } = this.output
    this.table[Header.bytesNeeded] = length
    if (length > room.end - room.position) {
      this.table[Header.status] = Status.needsRoom
      this.table[Header.end] = room.position
      this.table[Header.tokenCount] = this.tokens.size
      return
    }
    room.bytes.set(this.output.bytes(), room.position)
    this.complete(room, this.finder.count)
  }

  /** The request is decoded: tokens get their ids, positions become the room's, outcomes are counted. */
  private complete(room: Room, rows: number): void {
    const counts: [number, number, number] = [0, 0, 0]
    for (let index = 0; index < rows; index++) {
      const outcome = this.view.row(index, Row.outcome) as 0 | 1 | 2
      counts[outcome]++
      const token = this.rowTokens[index]
      if (typeof token === 'string') this.set(index, Row.tokenId, this.tokens.intern(token))
      if (outcome === Outcome.accepted) {
        this.set(index, Row.position, room.position + this.view.row(index, Row.position))
      } else if (outcome === Outcome.rejected && this.table[Header.firstRejected]! < 0) {
        this.table[Header.firstRejected] = index
      }
    }
    const [accepted, rejected, ignored] = counts
    const totals = { received: rows, accepted, rejected, ignored, rows, recordCount: rows }
    for (const [name, value] of Object.entries(totals)) {
      this.table[Header[name as keyof typeof totals]] = value
    }
    this.table[Header.status] = Status.ok
    this.table[Header.end] = room.position + this.output.length
    this.table[Header.tokenCount] = this.tokens.size
  }
}

export function createReferenceDecoder(options: DecoderOptions, tokens?: TokenTable): Decoder {
  return new ReferenceDecoder(options, tokens)
}
