// Medians over rounds, and ratios within them.

export const sorted = (list) => list.toSorted((one, other) => one - other)

export function median(list) {
  const values = sorted(list)
  const middle = values.length >> 1
  return values.length % 2 === 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2
}

/** Median of one figure over a cell's rounds; undefined for a cell that was not measured. */
export function figure(cell, name) {
  return cell === undefined ? undefined : median(cell.rounds.map((round) => round[name]))
}

export const least = (cell, name) => Math.min(...cell.rounds.map((round) => round[name]))

/** The median of the rounds' own ratios: what disturbs the machine for a while disturbs both. */
export function ratio(cell, other, name) {
  if (cell === undefined || other === undefined) return undefined
  return median(cell.rounds.map((round, index) => round[name] / other.rounds[index][name]))
}

/** The median of the rounds' own differences, likewise. */
export function difference(cell, other, name) {
  if (cell === undefined || other === undefined) return undefined
  return median(cell.rounds.map((round, index) => round[name] - other.rounds[index][name]))
}

/** The cell with all these members. */
export function cellOf(cells, wanted) {
  return cells?.find((cell) => Object.entries(wanted).every(([name, value]) => cell[name] === value))
}
