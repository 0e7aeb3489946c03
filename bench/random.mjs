// Chance that is the same in every run.

/** A seeded generator (mulberry32): integers from 0 to below `below`. */
export function generator(seed) {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** @param random a generator */
export const letters = (random, length) => Array.from({ length }, () => random(36).toString(36)).join('')

/** @param random a generator */
export const pick = (random, list) => list[random(list.length)]
