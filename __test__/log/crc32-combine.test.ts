import { crc32 } from 'node:zlib'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { combineCrc32 } from '../../src/log/crc32-combine.js'

it("is zlib's of both texts together", () => {
  const text = fc.uint8Array({ maxLength: 300 })
  fc.assert(
    fc.property(text, text, (first, second) => {
      const together = crc32(Buffer.concat([first, second]))
      expect(combineCrc32(crc32(first), crc32(second), second.length)).toBe(together)
    }),
  )
})

it('for texts of any length, up to the largest batch', () => {
  const first = Buffer.from('a header')
  for (const bytes of [0, 1, 2 ** 16 - 1, 2 ** 24 + 1, 33_554_432]) {
    const second = Buffer.alloc(bytes, 'records')
    expect(combineCrc32(crc32(first), crc32(second), bytes)).toBe(crc32(second, crc32(first)))
  }
})
