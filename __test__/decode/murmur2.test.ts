import { expect, it } from 'vitest'
import { murmur2 } from '../../src/decode/reference/murmur2.js'

/** From Kafka's own tests of its Java client (UtilsTest.testMurmur2). */
const KNOWN = [
  ['21', -973_932_308],
  ['foobar', -790_332_482],
  ['a-little-bit-long-string', -985_981_536],
  ['a-little-bit-longer-string', -1_486_304_829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
  ['abc', 479_470_107],
] as const

it.each(KNOWN)('P6: %s hashes to %i, as in Java', (text, hash) => {
  const bytes = Buffer.from(`>>${text}<<`)
  expect(murmur2(bytes, 2, bytes.length - 2)).toBe(hash)
})
