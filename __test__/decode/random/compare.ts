/** Two decoders, one request: everything that can be seen of the results must be the same, byte for byte (promise P8). */
import { isDeepStrictEqual } from 'node:util'
import {
  type DecodedBatch,
  type Decoder,
  type DecoderOptions,
  type RequestContext,
  Row,
  Status,
} from '../../../src/decode/decoder.js'
import { createNativeDecoder } from '../../../src/decode/native.js'
import { createReferenceDecoder } from '../../../src/decode/reference/decoder.js'
import type { Input } from '../harness.js'
import { sharedBytes } from '../../../src/shared-bytes.js'

export interface Pair {
  readonly native: Decoder
  readonly reference: Decoder
}

export const createPair = (options: DecoderOptions): Pair => ({
  native: createNativeDecoder(options),
  reference: createReferenceDecoder(options),
})

const ROW_FIELDS = Object.values(Row)
const FILL = 0xaa

/** All that a caller can read, in a form that can be compared and printed. */
function seen(decoder: Decoder, batch: DecodedBatch, room: Uint8Array, position: number): object {
  const { status, bytesNeeded, end, received, accepted, rejected, ignored, rows, params } = batch
  const { undecodable, recordCount, firstRejected, endpoint } = batch
  const ids = Array.from({ length: rows }, (_, index) => batch.row(index, Row.tokenId))
  return {
    numbers: { status, bytesNeeded, end, received, accepted, rejected, ignored, rows, params },
    more: { undecodable, recordCount, firstRejected, endpoint },
    rows: ids.map((_, index) => ROW_FIELDS.map((field) => batch.row(index, field))),
    problems: ids.map((_, index) => batch.problem(index)),
    tokens: [decoder.tokens.size, ...ids.map((id) => decoder.tokens.name(id))],
    payload: Buffer.from(batch.payload()).toString('latin1'),
    records: Buffer.from(room.subarray(position, end)).toString('latin1'),
    // What stands in front of and behind the records is not theirs.
    outside: room.subarray(0, position).every((byte) => byte === FILL),
  }
}

function differenceIn(
  pair: Pair,
  request: Input,
  context: RequestContext,
  bytes: number,
): object | undefined {
  const position = 7
  const [native, reference] = [pair.native, pair.reference].map((decoder) => {
    const room = sharedBytes(position + bytes + 9).fill(FILL)
    const batch = decoder.decode(request, context, { bytes: room, position, end: position + bytes })
    const behind = room.subarray(position + bytes).every((byte) => byte === FILL)
    return { ...seen(decoder, batch, room, position), behind }
  })
  return isDeepStrictEqual(native, reference) ? undefined : { native, reference }
}

/** Room for the records: bytes too few in a first try (0: no such try), bytes too many in the second. */
export interface RoomSizes {
  readonly less: number
  readonly spare: number
}

/** What the two say about a request where they do not say the same; undefined when they agree. */
export function difference(
  pair: Pair,
  request: Input,
  context: RequestContext,
  { less, spare }: RoomSizes,
): object | undefined {
  const measured = pair.reference.decode(request, context, { bytes: sharedBytes(0), position: 0, end: 0 })
  const { status, bytesNeeded } = measured
  if (status === Status.needsRoom && less > 0) {
    const found = differenceIn(pair, request, context, Math.max(0, bytesNeeded - less))
    if (found !== undefined) return found
  }
  return differenceIn(pair, request, context, bytesNeeded + spare)
}
