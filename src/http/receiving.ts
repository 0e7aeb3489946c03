/** A request whose body is being read; told when its end will not come. */
export interface Receiving {
  /** @param status 400: what came is not HTTP; 408: it took too long; 503: the listener closes */
  broken(status: 400 | 408 | 503): void
}

/** The same with a time-out, and its neighbours among all of them. */
export interface TimedReceiving extends Receiving {
  /** When its head was here, on the clock that never goes back. */
  readonly startedMs: number
  older: TimedReceiving | undefined
  newer: TimedReceiving | undefined
}

/**
 * The requests whose body is under way, oldest first. They are linked to each other: a Set that tens of thousands pass
 * through in a second is rebuilt over and over.
 */
export class ReceivingList {
  private oldest: TimedReceiving | undefined = undefined
  private newest: TimedReceiving | undefined = undefined

  add(request: TimedReceiving): void {
    request.older = this.newest
    if (this.newest === undefined) this.oldest = request
    else this.newest.newer = request
    this.newest = request
  }

  /** Nothing happens for one that is not in it. */
  delete(request: TimedReceiving): void {
    const { older, newer } = request
    if (older !== undefined) older.newer = newer
    else if (this.oldest === request) this.oldest = newer
    else return
    if (newer !== undefined) newer.older = older
    else this.newest = older
    request.older = request.newer = undefined
  }

  /** Those that are in it now; each may be deleted by whoever it is handed to. */
  *[Symbol.iterator](): Generator<TimedReceiving> {
    for (let next = this.oldest; next !== undefined;) {
      const { newer } = next
      yield next
      next = newer
    }
  }
}
