/** Something has changed: whoever waits looks again. */
export class Signal {
  private waiting: (() => void)[] = []

  raise(): void {
    for (const wake of this.waiting.splice(0)) wake()
  }

  /** Resolves at the next `raise`, or when the time is over. */
  wait(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => this.raiseOne(wake), ms)
      const wake = (): void => {
        clearTimeout(timer)
        resolve()
      }
      this.waiting.push(wake)
    })
  }

  private raiseOne(wake: () => void): void {
    this.waiting = this.waiting.filter((other) => other !== wake)
    wake()
  }
}
