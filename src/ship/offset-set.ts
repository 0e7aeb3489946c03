/** A set of offsets, a bit each: millions of them take little, wherever they begin. */
const CHUNK = 2 ** 16

export class OffsetSet {
  private readonly chunks = new Map<number, Uint32Array>()

  add(offset: number): void {
    const at = Math.floor(offset / CHUNK)
    let chunk = this.chunks.get(at)
    if (chunk === undefined) this.chunks.set(at, (chunk = new Uint32Array(CHUNK / 32)))
    const bit = offset % CHUNK
    chunk[bit >>> 5]! |= 1 << (bit & 31)
  }

  has(offset: number): boolean {
    const chunk = this.chunks.get(Math.floor(offset / CHUNK))
    const bit = offset % CHUNK
    return chunk !== undefined && (chunk[bit >>> 5]! & (1 << (bit & 31))) !== 0
  }
}
