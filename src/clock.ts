/** The only place that reads the time. Everything else is handed a `Clock`, so that tests can hold it still. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC, an integer. */
  nowMs(): number
  /** Milliseconds from an arbitrary start, never going back; for durations and deadlines. */
  monoMs(): number
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monoMs: () => performance.now(),
}

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  constructor(private ms: number) {}
  nowMs(): number {
    return this.ms
  }
  monoMs(): number {
    return this.ms
  }
  advance(ms: number): void {
    this.ms += ms
  }
}
