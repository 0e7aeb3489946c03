/** murmur2 as in the default partitioner of Kafka's Java client, so that every producer picks the same partition. */

const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995

/** The unmasked 32-bit hash of `bytes` from `start` to `end`, signed. */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  let hash = SEED ^ length
  let position = start
  for (; position + 4 <= end; position += 4) {
    const word =
      bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24)
    const mixed = Math.imul(word, MULTIPLIER)
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(mixed ^ (mixed >>> 24), MULTIPLIER)
  }
  const left = end - position
  if (left === 3) hash ^= bytes[position + 2]! << 16
  if (left >= 2) hash ^= bytes[position + 1]! << 8
  if (left >= 1) hash = Math.imul(hash ^ bytes[position]!, MULTIPLIER)
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}
