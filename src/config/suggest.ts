/** "did you mean …": the known name with the fewest changes, if there are few enough. */
export function suggest(name: string, known: Iterable<string>): string {
  let best = ''
  let fewest = Math.min(4, Math.floor(name.length / 2) + 1)
  for (const candidate of known) {
    const changes = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (changes < fewest) [best, fewest] = [candidate, changes]
  }
  return best === '' ? '' : `; did you mean ${best}?`
}

/** Insertions, removals, replacements and swaps of neighbours that turn `a` into `b` (string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replace = last[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1)
      let least = Math.min(replace, last[column]! + 1, current[column - 1]! + 1)
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) least = Math.min(least, before[column - 2]! + 1)
      current.push(least)
    }
    before = last
    last = current
  }
  return last[b.length]!
}
