/** One set of vectors for both: the addon's checksum and the one in JavaScript. */
import { describe, expect, it } from 'vitest'
import { type Crc32c, javascriptCrc32c, loadCrc32c } from '../../../src/ship/kafka/crc32c.js'
import { describeWith } from '../../support/require.js'

const ascending = Uint8Array.from({ length: 32 }, (_, index) => index)

/** The CRC catalogue's check value, and RFC 3720, B.4. */
const VECTORS: readonly (readonly [name: string, bytes: Uint8Array, crc: number])[] = [
  ['nothing', new Uint8Array(0), 0],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['ascending', ascending, 0x46dd794e],
  ['descending', ascending.toReversed(), 0x113fdb5c],
]

/** Bit by bit, as the polynomial is defined. */
function naive(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return ~crc >>> 0
}

function vectors(crc32c: () => Crc32c): void {
  it.each(VECTORS)('%s', (_, bytes, crc) => {
    expect(crc32c()(bytes)).toBe(crc)
  })

  it('every length and place agrees with the definition, whole or in two parts', () => {
    const bytes = Uint8Array.from({ length: 90 }, (_, index) => (index * index * 31) >> 3)
    for (let start = 0; start < 9; start++) {
      for (let end = start; end <= bytes.length; end++) {
        const whole = bytes.subarray(start, end)
        const seed = Math.imul(end, 0x9e3779b1) >>> 0
        const crc = naive(whole, seed)
        expect(crc32c()(whole, seed)).toBe(crc)
        const third = Math.floor(whole.length / 3)
        const head = crc32c()(whole.subarray(0, third), seed)
        expect(crc32c()(whole.subarray(third), head)).toBe(crc)
      }
    }
  })
}

describe('in JavaScript', () => {
  vectors(() => javascriptCrc32c)
})

const loaded = await loadCrc32c()
describeWith('native', 'in the addon', () => {
  it('is what a process with the addon uses', () => {
    expect(loaded).not.toBe(javascriptCrc32c)
  })

  vectors(() => loaded)
})
