/**
 * Kinds of values a setting can have: how each is read from text and from JSON, and how it is shown.
 *
 * A parser throws a plain Error whose message continues the sentence "<name> must be …"; the loader adds the
 * name and where the value came from.
 */
export interface Kind<T> {
  /** Stands behind the flag in --help. */
  readonly placeholder: string
  /** For docs/CONFIG.md: what may be given. */
  readonly accepts: string
  parse(text: string): T
  /** A value of the JSON file. */
  fromJson(value: unknown): T
  /** For people: 64 MiB, 5 s. */
  show(value: T): string
}

/** Bytes in each suffix: binary with `i`, decimal without, as in IEC 80000-13. */
const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}
const MILLISECONDS: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

function scalarFromJson<T>(parse: (text: string) => T, expected: string): (value: unknown) => T {
  return (value) => {
    if (typeof value === 'string') return parse(value)
    if (typeof value === 'number') return parse(String(value))
    throw new Error(expected)
  }
}

/** Any text that is not empty. */
export function text(placeholder: string): Kind<string> {
  const accepts = 'text that is not empty'
  const parse = (value: string): string => {
    if (value === '') throw new Error(accepts)
    return value
  }
  return { placeholder, accepts, parse, fromJson: scalarFromJson(parse, accepts), show: (value) => value }
}

/** Text that must match; `accepts` describes the pattern. */
export function matching(placeholder: string, pattern: RegExp, accepts: string): Kind<string> {
  const parse = (value: string): string => {
    if (!pattern.test(value)) throw new Error(accepts)
    return value
  }
  return {
    placeholder,
    accepts,
    parse,
    fromJson: scalarFromJson(parse, accepts),
    show: (value) => value || 'none',
  }
}

export function integer(min: number, max: number): Kind<number> {
  const accepts = `a whole number from ${min} to ${max}`
  const parse = (value: string): number => {
    const number = /^\d+$/.test(value.trim()) ? Number(value) : NaN
    if (!(number >= min && number <= max)) throw new Error(accepts)
    return number
  }
  return { placeholder: 'N', accepts, parse, fromJson: scalarFromJson(parse, accepts), show: String }
}

/** One of a few words, read without regard to case. */
export function choice<const W extends string>(...words: readonly W[]): Kind<W> {
  const accepts = words.length === 1 ? `\`${words[0]}\`` : `one of ${words.join(', ')}`
  const parse = (value: string): W => {
    const found = words.find((word) => word === value.trim().toLowerCase())
    if (found === undefined) throw new Error(accepts)
    return found
  }
  return {
    placeholder: words.join('|'),
    accepts,
    parse,
    fromJson: scalarFromJson(parse, accepts),
    show: (word) => word,
  }
}

function quantity(
  placeholder: string,
  units: Readonly<Record<string, number>>,
  examples: string,
  show: (value: number) => string,
  min: number,
  max: number,
): Kind<number> {
  const accepts = `${examples}, from ${show(min)} to ${show(max)}`
  const parse = (value: string): number => {
    const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(value.trim()) ?? []
    const factor = units[(unit ?? '?').toLowerCase()]
    const number = digits === undefined || factor === undefined ? NaN : Number(digits) * factor
    if (!(number >= min && number <= max)) throw new Error(accepts)
    return Math.round(number)
  }
  return { placeholder, accepts, parse, fromJson: scalarFromJson(parse, accepts), show }
}

export function showBytes(value: number): string {
  const [unit, size] = Object.entries({ TiB: 2 ** 40, GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10 }).find(
    ([, least]) => value >= least,
  ) ?? ['B', 1]
  return `${trimmed(value / size)} ${unit}`
}

export function showMs(value: number): string {
  if (value === 0) return '0 s'
  const [unit, size] = Object.entries({ d: 86_400_000, h: 3_600_000, min: 60_000, s: 1000 }).find(
    ([, ms]) => value >= ms && value % ms === 0,
  ) ?? ['ms', 1]
  return `${trimmed(value / size)} ${unit}`
}

function trimmed(value: number): string {
  return String(Math.round(value * 100) / 100)
}

export function bytes(min: number, max: number): Kind<number> {
  return quantity('BYTES', BYTES, 'bytes (67108864, 64MiB, 1GB)', showBytes, min, max)
}

export function duration(min: number, max: number): Kind<number> {
  return quantity('MS', MILLISECONDS, 'milliseconds or a time (5000, 5s, 10m, 7d)', showMs, min, max)
}

/** Items separated by commas in flags and environment, an array in the file. */
export function list<T>(placeholder: string, item: Kind<T>): Kind<readonly T[]> {
  const accepts = `a list of ${item.accepts}`
  const parse = (value: string): readonly T[] =>
    value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => item.parse(part))
  const fromJson = (value: unknown): readonly T[] => {
    if (typeof value === 'string') return parse(value)
    if (!Array.isArray(value)) throw new Error(accepts)
    return value.map((part) => item.fromJson(part))
  }
  const show = (items: readonly T[]): string => items.map((part) => item.show(part)).join(',') || 'none'
  return { placeholder, accepts, parse, fromJson, show }
}
