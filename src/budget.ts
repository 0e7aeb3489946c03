/**
 * One budget for the memory of everything under way (promise P7): bodies being received, inflated bytes, waiting
 * requests and the log's batch buffers. What does not fit is answered 503 before it is read.
 */
export class Budget {
  private used = 0
  /** Times that something did not fit. */
  refusals = 0

  constructor(readonly bytesMax: number) {}

  get usedBytes(): number {
    return this.used
  }

  /** Takes `bytes` if they fit. */
  take(bytes: number): boolean {
    if (this.used + bytes > this.bytesMax) {
      this.refusals++
      return false
    }
    this.used += bytes
    return true
  }

  give(bytes: number): void {
    this.used -= bytes
    if (this.used < 0) throw new Error('more memory was given back than was taken')
  }
}
