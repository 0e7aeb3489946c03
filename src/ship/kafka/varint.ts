/** Zigzag varints, as record batches hold them. What is written is never negative; what is read may be (-1: null). */

/** Of a whole number from 0 to 2^31 - 1. */
export function sizeOfVarint(value: number): number {
  if (value < 64) return 1
  if (value < 8192) return 2
  if (value < 1_048_576) return 3
  return value < 134_217_728 ? 4 : 5
}

/** Writes a whole number from 0 to 2^31 - 1; the position behind it. */
export function writeVarint(bytes: Uint8Array, value: number, at: number): number {
  let rest = (value << 1) >>> 0
  let next = at
  for (; rest > 127; rest >>>= 7) bytes[next++] = (rest & 127) | 128
  bytes[next++] = rest
  return next
}

/** Reads through a run of bytes; what does not fit is a RangeError. */
export class VarintReader {
  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {}

  /** A signed 32-bit number. */
  next(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value |= (byte & 127) << shift
      if (byte < 128) return (value >>> 1) ^ -(value & 1)
    }
    throw new RangeError('a varint of more than 5 bytes')
  }

  /** Passes a number of up to 64 bits. */
  skip(): void {
    for (let count = 0; count < 10; count++) if (this.byte() < 128) return
    throw new RangeError('a varint of more than 10 bytes')
  }

  byte(): number {
    const byte = this.bytes[this.at]
    if (byte === undefined) throw new RangeError('records end too early')
    this.at++
    return byte
  }

  /** A view of the next bytes; undefined for null (length -1). */
  span(): Uint8Array | undefined {
    const length = this.next()
    if (length < 0) return undefined
    const start = this.at
    if (start + length > this.bytes.length) throw new RangeError('records end too early')
    this.at = start + length
    return this.bytes.subarray(start, this.at)
  }
}
