/** Figures of the long forms: a title and a table on stdout, for the notes of a release. */
export function print(title: string, rows: readonly object[]): void {
  process.stdout.write(`\n${title}\n`)
  const names = Object.keys(rows[0] ?? {})
  const cells = [
    names,
    ...rows.map((row) => names.map((name) => shown((row as Record<string, unknown>)[name]))),
  ]
  const widths = names.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  for (const row of cells) {
    process.stdout.write(`${row.map((cell, column) => cell.padStart(widths[column]!)).join('  ')}\n`)
  }
}

function shown(value: unknown): string {
  return typeof value === 'number' ? String(Math.round(value * 100) / 100) : String(value)
}
