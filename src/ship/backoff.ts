/** Waiting times between tries: doubled up to a limit, and spread so that many do not come back at the same moment. */
export interface BackoffOptions {
  readonly msMin: number
  readonly msMax: number
  /** In [0, 1). */
  readonly random: () => number
}

export class Backoff {
  /** Tries that have failed since the last success. */
  failures = 0

  constructor(private readonly options: BackoffOptions) {}

  /** How long to wait after one more failure, in ms: between half of and the whole doubled time. */
  next(): number {
    const { msMin, msMax, random } = this.options
    const ms = Math.min(msMax, msMin * 2 ** Math.min(this.failures++, 30))
    return Math.ceil(ms * (0.5 + random() / 2))
  }

  reset(): void {
    this.failures = 0
  }
}
