/**
 * Choices drawn from a list of bytes that fast-check makes: what is built from them is random, repeats for the same
 * bytes, and grows simpler as fast-check shrinks the list. Once the bytes are used up every choice is the first one.
 */
export class Choices {
  private at = 0
  /** How much rarer than asked for the unlikely things are; 1 makes records that hardly ever pass. */
  calm = 1
  /** White space between JSON tokens holds no line feed. */
  isOneLine = false

  constructor(private readonly bytes: Uint8Array) {}

  /** 0 to `count` - 1; `count` is at most 65 536. */
  next(count: number): number {
    const low = this.bytes[this.at++] ?? 0
    if (count <= 256) return low % count
    return (low + 256 * (this.bytes[this.at++] ?? 0)) % count
  }

  /** true once in `times`, or less often when it is calm; the simple answer is false. */
  once(times: number): boolean {
    const among = times * this.calm
    return this.next(among) === among - 1
  }

  /** One of them; put the simplest first. */
  pick<T>(items: readonly T[]): T {
    return items[this.next(items.length)]!
  }

  /** Mostly one of the first `good`, otherwise any. */
  lean<T>(items: readonly T[], good: number): T {
    return this.next(5) < 4 ? items[this.next(good)]! : this.pick(items)
  }

  /** `min` to `max` results of `make`. */
  list<T>(min: number, max: number, make: () => T): T[] {
    return Array.from({ length: min + this.next(max - min + 1) }, make)
  }
}
