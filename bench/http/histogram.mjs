// Latencies in logarithmic classes: 64 a doubling, so every percentile is right to about one per cent.
const CLASSES_PER_DOUBLING = 64
const CLASSES = CLASSES_PER_DOUBLING * 34

export class Histogram {
  counts = new Uint32Array(CLASSES)
  total = 0

  /** @param us microseconds */
  record(us) {
    const index = us <= 1 ? 0 : Math.min(CLASSES - 1, Math.floor(Math.log2(us) * CLASSES_PER_DOUBLING))
    this.counts[index]++
    this.total++
  }

  /** The classes that hold something, to be printed and added to another one's. */
  sparse() {
    return Array.from(this.counts.entries()).filter(([, count]) => count > 0)
  }

  add(sparse) {
    for (const [index, count] of sparse) {
      this.counts[index] += count
      this.total += count
    }
  }

  percentiles() {
    return {
      p50_us: this.percentile(50),
      p99_us: this.percentile(99),
      p999_us: this.percentile(99.9),
      max_us: this.percentile(100),
    }
  }

  /** Microseconds that `percent` of the values do not exceed; undefined when there are none. */
  percentile(percent) {
    if (this.total === 0) return undefined
    const wanted = Math.ceil((percent / 100) * this.total)
    let seen = 0
    const index = this.counts.findIndex((count) => (seen += count) >= wanted)
    return Math.round(2 ** ((index + 0.5) / CLASSES_PER_DOUBLING))
  }

  /** The curve of percentiles, ever closer to the hundredth: for pictures. */
  curve() {
    const percents = [0, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100]
    return percents.map((percent) => [percent, this.percentile(percent)])
  }
}
