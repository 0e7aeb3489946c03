/** The record's own text as it goes into the envelope: no white space outside strings, repaired, nothing else changed. */
import { Byte } from './bytes.js'
import { skipString, skipValue } from './members.js'
import type { Output } from './output.js'
import type { FoundRecord } from './records.js'
import { repairInto } from './text.js'

/** Behind the run of bytes that are copied as they stand: everything but strings, white space and NaN's letters. */
function plainEnd(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  for (; position < end; position++) {
    const byte = bytes[position]!
    if (byte === Byte.quote || byte <= Byte.space || byte === 0x4e || byte === 0x49) break
  }
  return position
}

/** Writes one of NaN, Infinity and the minus in front of it as null; returns the position behind. */
function writeNull(output: Output, bytes: Uint8Array, position: number): number {
  if (bytes[position - 1] === Byte.minus) output.length--
  output.text('null')
  return skipValue(bytes, position)
}

export function writeRecordText(output: Output, bytes: Uint8Array, found: FoundRecord): void {
  const { start, end, utf8Broken, surrogateBroken, nanFound, spaced } = found
  if (!utf8Broken && !surrogateBroken && !nanFound && !spaced) {
    output.copy(bytes, start, end)
    return
  }
  for (let position = start; position < end;) {
    const byte = bytes[position]!
    if (byte === Byte.quote) {
      const next = skipString(bytes, position)
      repairInto(output, bytes, position, next)
      position = next
    } else if (byte <= Byte.space) position++
    else if (byte === 0x4e || byte === 0x49) position = writeNull(output, bytes, position)
    else {
      const next = plainEnd(bytes, position, end)
      output.copy(bytes, position, next)
      position = next
    }
  }
}
