/**
 * One budget for the memory of everything under way (promise P7): bodies being received, inflated bytes, waiting
 * requests and the log's batch buffers. What cannot fit by its head is answered 503 before its body is read; a body that
 * no longer fits half-way is answered so then.
 */
export class Budget {
  private used = 0
  /** Times that something did not fit. */
  refusals = 0

  constructor(readonly bytesMax: number) {}

  get usedBytes(): number {
    return this.used
  }

  /**
   * Takes `bytes` if they fit.
   *
   * @param announced bytes that may follow, which have to fit, too, but are taken only when they are there
   */
  take(bytes: number, announced = 0): boolean {
    if (this.used + bytes + announced > this.bytesMax) {
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
