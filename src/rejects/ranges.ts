/** A set of offsets, kept as sorted ranges: what people replay lies close together. */
export type Range = readonly [from: number, to: number]

export class OffsetRanges {
  /** Both ends belong to a range; sorted, and never touching each other. */
  private ranges: [from: number, to: number][] = []

  /** @param countMax ranges kept apart; beyond it the two oldest become one, with what lies between them */
  constructor(
    ranges: Iterable<Range> = [],
    private readonly countMax = 100_000,
  ) {
    for (const [from, to] of ranges) this.add(from, to)
  }

  has(offset: number): boolean {
    const range = this.ranges[this.indexOf(offset)]
    return range !== undefined && range[0] <= offset
  }

  add(from: number, to: number = from): void {
    // Every range that overlaps or touches the new one is swallowed by it.
    const first = this.indexOf(from - 1)
    let last = first
    let [start, end] = [from, to]
    for (
      let range = this.ranges[last];
      range !== undefined && range[0] <= to + 1;
      range = this.ranges[++last]
    ) {
      start = Math.min(start, range[0])
      end = Math.max(end, range[1])
    }
    this.ranges.splice(first, last - first, [start, end])
    if (this.ranges.length > this.countMax) this.ranges.splice(0, 2, [this.ranges[0]![0], this.ranges[1]![1]])
  }

  remove(offset: number): void {
    const index = this.indexOf(offset)
    const range = this.ranges[index]
    if (range === undefined || range[0] > offset) return
    const left: [number, number][] = range[0] < offset ? [[range[0], offset - 1]] : []
    const right: [number, number][] = offset < range[1] ? [[offset + 1, range[1]]] : []
    this.ranges.splice(index, 1, ...left, ...right)
  }

  /** Forgets what lies before `offset`. */
  dropBelow(offset: number): void {
    this.ranges.splice(0, this.indexOf(offset))
    const first = this.ranges[0]
    if (first !== undefined && first[0] < offset) first[0] = offset
  }

  /** Forgets `offset` and what lies behind it; true if something did. */
  dropFrom(offset: number): boolean {
    const index = this.indexOf(offset)
    const cut = this.ranges[index]
    if (cut === undefined) return false
    this.ranges.length = index
    if (cut[0] < offset) this.ranges.push([cut[0], offset - 1])
    return true
  }

  toJSON(): readonly Range[] {
    return this.ranges
  }

  /** Index of the first range that ends at `offset` or later. */
  private indexOf(offset: number): number {
    let [low, high] = [0, this.ranges.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.ranges[middle]![1] < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
