/** Bytes that grow: where the reference decoder builds what it hands out. */
import { asBuffer } from '../../as-buffer.js'

const BYTES_AT_START = 64 * 1024
/** Memory beyond this is given back after the request that needed it. */
const BYTES_KEPT_MAX = 1024 * 1024

export class Output {
  private buffer: Buffer
  length = 0

  constructor(private readonly bytesAtStart = BYTES_AT_START) {
    this.buffer = Buffer.allocUnsafe(bytesAtStart)
  }

  clear(): void {
    this.length = 0
    if (this.buffer.length > BYTES_KEPT_MAX) this.buffer = Buffer.allocUnsafeSlow(this.bytesAtStart)
  }

  /** What was written so far; valid until the next write. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  byte(value: number): void {
    this.reserve(1)
    this.buffer[this.length++] = value
  }

  /** UTF-8; the text holds no lone surrogates. Returns the bytes written. */
  text(value: string): number {
    this.reserve(value.length * 3)
    const written = this.buffer.write(value, this.length, 'utf8')
    this.length += written
    return written
  }

  copy(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start)
    asBuffer(source).copy(this.buffer, this.length, start, end)
    this.length += end - start
  }

  /** Room for something that is written in place later; returns where it starts. */
  skip(bytes: number): number {
    this.reserve(bytes)
    const start = this.length
    this.length += bytes
    return start
  }

  /** The memory itself, to write in place. */
  memory(): Buffer {
    return this.buffer
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}
