/** The CRC-32 of two texts, one behind the other, from the CRC-32 of each: no byte is read again. */

/** Of CRC-32 (IEEE) with its bits reversed, as everything here: the highest bit is x^0. */
const POLYNOMIAL = 0xedb88320
const ONE = 0x80000000
/** x^(8 · 2^n) for n = 0, 1, 2, …: what 2^n bytes more multiply a checksum by. */
const POWERS = powers(32)

/**
 * A checksum is a remainder, so that text behind it multiplies it by x once a bit; what is added to it at its start and
 * its end cancels out.
 *
 * @param first CRC-32 of the first text
 * @param second of the second, by itself
 * @param secondBytes its length
 */
export function combineCrc32(first: number, second: number, secondBytes: number): number {
  let product = first
  for (let power = 0, bytes = secondBytes; bytes > 0; power++, bytes >>>= 1) {
    if ((bytes & 1) === 1) product = multiply(POWERS[power]!, product)
  }
  return (product ^ second) >>> 0
}

/** Of two polynomials, modulo the one above. */
function multiply(left: number, right: number): number {
  let product = 0
  let shifted = right
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((left & bit) !== 0) product ^= shifted
    shifted = (shifted & 1) === 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1
  }
  return product
}

function powers(count: number): readonly number[] {
  /** x^8. */
  const list = [ONE >>> 8]
  while (list.length < count) list.push(multiply(list.at(-1)!, list.at(-1)!))
  return list
}
