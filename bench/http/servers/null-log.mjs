// A log that keeps nothing, for the benchmark alone: what the server costs without its disk. The product has no such
// switch; this one is put in its place by servers/sluicegate.mjs.

import { sharedBytes } from '../../../dist/shared-bytes.js'

const FULL = 'no room in the null log'

/** Implements `Log` of src/log/types.ts. */
export class NullLog {
  state = 'writable'
  nextOffset = 0
  onRoom = () => {}
  /** While set: copies of the records committed. */
  kept = undefined

  #batch
  #committed = Promise.resolve({ firstOffset: 0 })

  constructor(bytes) {
    this.#batch = { bytes: sharedBytes(bytes), position: 0, end: bytes }
  }

  get durableOffset() {
    return this.nextOffset
  }

  open(bytes) {
    if (bytes > this.#batch.end) throw new RangeError(FULL)
    return this.#batch
  }

  /** The next records are written over these. */
  commit(end, records) {
    this.nextOffset += records
    if (this.kept !== undefined) this.kept.push(Buffer.from(this.#batch.bytes.subarray(0, end)))
    return this.#committed
  }

  status() {
    return { state: this.state }
  }

  close() {
    return Promise.resolve()
  }
}
