/**
 * Kafka's primitive types (big endian), written and read. Only what the requests in src/ship/kafka/requests need; the
 * `compact` forms and tags belong to the flexible versions of an API.
 */
import { asBuffer } from '../../as-buffer.js'

/** A reply that does not read as the protocol says it must. */
export class MalformedReply extends Error {
  override readonly name = 'MalformedReply'
}

export class ByteWriter {
  private bytes: Buffer
  private at = 0

  constructor(capacity = 256) {
    this.bytes = Buffer.allocUnsafe(capacity)
  }

  /** What was written so far. */
  finish(): Buffer {
    return this.bytes.subarray(0, this.at)
  }

  int8(value: number): this {
    this.room(1)
    this.at = this.bytes.writeInt8(value, this.at)
    return this
  }

  int16(value: number): this {
    this.room(2)
    this.at = this.bytes.writeInt16BE(value, this.at)
    return this
  }

  int32(value: number): this {
    this.room(4)
    this.at = this.bytes.writeInt32BE(value, this.at)
    return this
  }

  int64(value: bigint): this {
    this.room(8)
    this.at = this.bytes.writeBigInt64BE(value, this.at)
    return this
  }

  uvarint(value: number): this {
    this.room(5)
    let rest = value >>> 0
    for (; rest > 127; rest >>>= 7) this.bytes[this.at++] = (rest & 127) | 128
    this.bytes[this.at++] = rest
    return this
  }

  raw(value: Uint8Array): this {
    this.room(value.length)
    this.bytes.set(value, this.at)
    this.at += value.length
    return this
  }

  string(value: string): this {
    const text = Buffer.from(value)
    return this.int16(text.length).raw(text)
  }

  compactString(value: string): this {
    const text = Buffer.from(value)
    return this.uvarint(text.length + 1).raw(text)
  }

  /** No tagged fields. */
  noTags(): this {
    return this.uvarint(0)
  }

  private room(more: number): void {
    const needed = this.at + more
    if (needed <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(larger, 0, 0, this.at)
    this.bytes = larger
  }
}

/** Reads past the end are MalformedReply. */
export class ByteReader {
  private readonly bytes: Buffer
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = asBuffer(bytes)
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  int8(): number {
    return this.bytes.readInt8(this.pass(1))
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  int16(): number {
    return this.bytes.readInt16BE(this.pass(2))
  }

  int32(): number {
    return this.bytes.readInt32BE(this.pass(4))
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.pass(8))
  }

  uvarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.pass(1)]!
      value |= (byte & 127) << shift
      if (byte < 128) return value >>> 0
    }
    throw new MalformedReply('a number of more than 5 bytes')
  }

  string(): string {
    return this.nullableString() ?? ''
  }

  nullableString(): string | undefined {
    const length = this.int16()
    return length < 0 ? undefined : this.text(length)
  }

  compactString(): string | undefined {
    const length = this.uvarint()
    return length === 0 ? undefined : this.text(length - 1)
  }

  /** Nullable bytes as a view; a null is empty. */
  view(): Uint8Array {
    const length = this.int32()
    return length <= 0 ? EMPTY : this.take(length)
  }

  take(length: number): Uint8Array {
    const start = this.pass(length)
    return this.bytes.subarray(start, start + length)
  }

  /** A null array is empty. */
  array<T>(element: (reader: this) => T): T[] {
    return this.repeat(this.int32(), element)
  }

  compactArray<T>(element: (reader: this) => T): T[] {
    return this.repeat(this.uvarint() - 1, element)
  }

  skipTags(): void {
    for (let tags = this.uvarint(); tags > 0; tags--) {
      this.uvarint()
      this.pass(this.uvarint())
    }
  }

  private repeat<T>(count: number, element: (reader: this) => T): T[] {
    // An element takes a byte at least: a count beyond what is left would only fill memory.
    if (count > this.left) throw new MalformedReply(`${count} elements in ${this.left} bytes`)
    const all: T[] = []
    for (let index = 0; index < count; index++) all.push(element(this))
    return all
  }

  private text(length: number): string {
    const start = this.pass(length)
    return this.bytes.toString('utf8', start, start + length)
  }

  private pass(bytes: number): number {
    const start = this.at
    if (bytes < 0 || start + bytes > this.bytes.length) throw new MalformedReply('the reply ends too early')
    this.at = start + bytes
    return start
  }
}

const EMPTY = new Uint8Array(0)
