/**
 * Memory for the records of one lane: the reader's views go with the next frame, and an allocation a record would cost
 * more than its copy. Chunks go when their last record has gone; one lane's records never hold another's.
 */
const CHUNK_BYTES_MIN = 4 * 1024
const CHUNK_BYTES_MAX = 64 * 1024

export class Arena {
  private chunk = Buffer.alloc(0)
  private used = 0
  private nextBytes = CHUNK_BYTES_MIN

  copy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    if (this.used + length > this.chunk.length) this.grow(length)
    const copied = this.chunk.subarray(this.used, this.used + length)
    copied.set(bytes)
    this.used += length
    return copied
  }

  private grow(length: number): void {
    this.chunk = Buffer.allocUnsafeSlow(Math.max(length, this.nextBytes))
    this.used = 0
    this.nextBytes = Math.min(CHUNK_BYTES_MAX, this.nextBytes * 2)
  }
}
