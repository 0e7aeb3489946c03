/** `time` to milliseconds in decimal arithmetic (docs/DECODING.md 5): no rounding, no doubles before the digits are cut. */

const NUMBER = /^(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/
const SHORT_INTEGER = /^(?:0|[1-9][0-9]{0,14})$/

/** From 1e11 on a value is milliseconds (March 1973), below seconds (until the year 5138). */
const MILLISECONDS_FROM = 1e11
const MILLISECONDS_DIGITS = 12
const LARGEST = String(2 ** 53)

/**
 * Milliseconds since 1970 for the text of a JSON number: an integer, +Infinity or -Infinity beyond ±2^53, undefined when
 * the text is no JSON number.
 */
export function timeMs(text: string): number | undefined {
  if (SHORT_INTEGER.test(text)) {
    const value = Number(text)
    return value >= MILLISECONDS_FROM ? value : value * 1000
  }
  const match = NUMBER.exec(text)
  if (match === null) return undefined
  const magnitude = decimalMs(match[2]!, match[3] ?? '', Number(match[4] ?? 0))
  // No -0: 0 - 0 is 0.
  return match[1] === '-' ? 0 - magnitude : magnitude
}

/** |value| in ms for `whole`.`fraction` times 10^exponent, the digits below 1 ms cut off. */
function decimalMs(whole: string, fraction: string, exponent: number): number {
  const all = whole + fraction
  const digits = all.replace(/^0+/, '')
  if (digits === '') return 0
  // The value is 0.DIGITS times 10^point, the first digit not 0.
  const point = whole.length - (all.length - digits.length) + exponent
  const wanted = point >= MILLISECONDS_DIGITS ? point : point + 3
  if (wanted <= 0) return 0
  if (wanted > LARGEST.length) return Infinity
  const text = digits.slice(0, wanted).padEnd(wanted, '0')
  return wanted === LARGEST.length && text > LARGEST ? Infinity : Number(text)
}
