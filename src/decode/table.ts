/** The table that both decoders fill, and the typed view over it that everybody else reads. */
import { asBuffer } from '../as-buffer.js'
import { type Endpoint, ENDPOINTS, RECORD_HEADER_BYTES, RecordAt } from '../record.js'
import {
  type DecodedBatch,
  type DecoderOptions,
  type EventView,
  Header,
  HEADER_INTS,
  type Problem,
  type Room,
  Row,
  ROW_INTS,
} from './decoder.js'
import { describeProblem } from './describe.js'
import { sharedBytes } from '../shared-bytes.js'

/** The table's memory for requests of up to `recordsMax` records. */
export function createTable(recordsMax: number): Int32Array {
  return new Int32Array(HEADER_INTS + ROW_INTS * recordsMax)
}

const NOTHING = new Uint8Array()
const NO_ROOM: Room = { bytes: sharedBytes(0), position: 0, end: 0 }

/** A decoder's one view. It is filled anew by each decode; what it points to stays referenced until then. */
export class TableView implements DecodedBatch {
  /** What the payload lies in when Header.payloadSource is 0, and when it is 1. */
  body: Uint8Array = NOTHING
  scratch: Uint8Array = NOTHING
  room: Room = NO_ROOM

  constructor(
    readonly table: Int32Array,
    readonly options: DecoderOptions,
  ) {}

  get status(): number {
    return this.table[Header.status]!
  }
  get bytesNeeded(): number {
    return this.table[Header.bytesNeeded]!
  }
  get end(): number {
    return this.table[Header.end]!
  }
  get received(): number {
    return this.table[Header.received]!
  }
  get accepted(): number {
    return this.table[Header.accepted]!
  }
  get rejected(): number {
    return this.table[Header.rejected]!
  }
  get ignored(): number {
    return this.table[Header.ignored]!
  }
  get rows(): number {
    return this.table[Header.rows]!
  }
  get params(): number {
    return this.table[Header.params]!
  }
  get undecodable(): boolean {
    return this.table[Header.undecodable] === 1
  }
  get recordCount(): number {
    return this.table[Header.recordCount]!
  }
  get firstRejected(): number {
    return this.table[Header.firstRejected]!
  }
  get endpoint(): Endpoint {
    return ENDPOINTS[this.table[Header.endpoint]!]!
  }

  row(index: number, field: number): number {
    return this.table[HEADER_INTS + index * ROW_INTS + field]!
  }

  payload(): Uint8Array {
    const start = this.table[Header.payloadStart]!
    const source = this.table[Header.payloadSource] === 1 ? this.scratch : this.body
    return source.subarray(start, start + this.table[Header.payloadLength]!)
  }

  problem(index: number): Problem | undefined {
    return this.row(index, Row.problem) === 0 ? undefined : describeProblem(this, index)
  }

  event(index: number): EventView {
    return new RecordView(this.room.bytes, this.row(index, Row.position), this.row(index, Row.tokenId))
  }
}

/** One written record, read where it lies. */
class RecordView implements EventView {
  private readonly bytes: Buffer

  constructor(
    room: Uint8Array,
    position: number,
    readonly tokenId: number,
  ) {
    const all = asBuffer(room)
    this.bytes = all.subarray(position, position + all.readUInt32LE(position + RecordAt.length))
  }

  get kind(): Endpoint {
    return ENDPOINTS[this.bytes[RecordAt.kind]!]!
  }
  get flags(): number {
    return this.bytes.readUInt16LE(RecordAt.flags)
  }
  get keyHash(): number {
    return this.bytes.readInt32LE(RecordAt.keyHash)
  }
  get key(): string {
    return this.bytes.toString('utf8', RECORD_HEADER_BYTES, this.valueStart)
  }
  get envelope(): string {
    return this.bytes.toString('utf8', this.valueStart)
  }

  private get valueStart(): number {
    return RECORD_HEADER_BYTES + this.bytes.readUInt32LE(RecordAt.keyLength)
  }
}
