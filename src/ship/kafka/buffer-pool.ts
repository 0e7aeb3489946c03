/**
 * Memory of batches, used again once they have left. A batch is up to some MiB: fresh memory for each would be page
 * faults while it is written, and garbage that the engine collects late.
 */

/** Free ones that are kept; as many batches as a partition has under way, and some. */
const KEPT_MAX = 8
/** Sizes are rounded up, so that batches that differ a little fit into each other's memory. */
const STEP_BYTES = 64 * 1024
/** Rare large batches (a record near the limit of a topic) are not kept for ever. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024

export class BufferPool {
  private free: ArrayBuffer[] = []

  /** `bytes` bytes with anything in them. */
  take(bytes: number): Buffer {
    const index = this.free.findIndex(({ byteLength }) => byteLength >= bytes)
    const [memory = new ArrayBuffer(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)] =
      index === -1 ? [] : this.free.splice(index, 1)
    return Buffer.from(memory, 0, bytes)
  }

  /** Gives back what `take` gave, or a part of it. Nobody may use it afterwards. */
  giveBack(bytes: Buffer): void {
    const memory = bytes.buffer as ArrayBuffer
    if (memory.byteLength > KEPT_BYTES_MAX) return
    this.free.push(memory)
    // The smallest that is large enough is found first; of too many the smallest goes.
    this.free.sort((a, b) => a.byteLength - b.byteLength)
    if (this.free.length > KEPT_MAX) this.free.shift()
  }
}
