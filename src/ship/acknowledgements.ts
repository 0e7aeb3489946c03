/** `--ack kafka`: requests that wait until Kafka has acknowledged every one of their records. In memory alone. */
import { NotAcknowledged } from '../errors.js'

interface Waiting {
  readonly first: number
  readonly end: number
  /** A flag a record: an acknowledgement may be told twice when the shipper was restarted. */
  readonly open: Uint8Array
  left: number
  readonly timer: NodeJS.Timeout
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Acknowledgements {
  /** Requests that were answered 503 because their time was over. */
  late = 0
  /** By their first offset. */
  private waiting: Waiting[] = []
  private closed = false

  /** @param deadlineMs after this a request is answered, whatever Kafka does */
  constructor(private readonly deadlineMs: number) {}

  get size(): number {
    return this.waiting.length
  }

  /**
   * Resolves when the records are acknowledged, or in the rejects because Kafka refuses them for ever. To be called as
   * soon as the records are durable. Rejects with NotAcknowledged at the deadline; they are published all the same.
   */
  of(first: number, records: number): Promise<void> {
    if (this.closed) return Promise.reject(new NotAcknowledged('the server is stopping'))
    return new Promise((resolve, reject) => {
      const open = new Uint8Array(records).fill(1)
      const timer = setTimeout(() => this.giveUp(waiting), this.deadlineMs)
      const waiting: Waiting = { first, end: first + records, open, left: records, timer, resolve, reject }
      this.waiting.splice(this.indexOf(first), 0, waiting)
    })
  }

  note(offsets: Iterable<number>): void {
    for (const offset of offsets) {
      const index = this.indexOf(offset + 1) - 1
      const waiting = this.waiting[index]
      if (waiting === undefined || offset >= waiting.end || waiting.open[offset - waiting.first] === 0)
        continue
      waiting.open[offset - waiting.first] = 0
      if (--waiting.left > 0) continue
      this.waiting.splice(index, 1)
      clearTimeout(waiting.timer)
      waiting.resolve()
    }
  }

  /** Nobody will be told any more. */
  close(): void {
    this.closed = true
    for (const { timer, reject } of this.waiting.splice(0)) {
      clearTimeout(timer)
      reject(new NotAcknowledged('the server is stopping'))
    }
  }

  /** Of the first that begins at `offset` or behind it. */
  private indexOf(offset: number): number {
    let [low, high] = [0, this.waiting.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.waiting[middle]!.first < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  private giveUp(waiting: Waiting): void {
    const index = this.waiting.indexOf(waiting)
    if (index < 0) return
    this.waiting.splice(index, 1)
    this.late++
    waiting.reject(new NotAcknowledged(`Kafka did not acknowledge it within ${this.deadlineMs} ms`))
  }
}
