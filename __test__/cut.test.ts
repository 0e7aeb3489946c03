import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutForJson } from '../src/cut.js'

describe('a text cut for a reply', () => {
  it.each([
    ['fits', 'abcde', 5, 'abcde'],
    ['does not fit', 'abcdef', 5, 'abcde…'],
    ['is empty', '', 5, ''],
    ['has letters of two bytes', 'ääää', 5, 'ää…'],
    ['has characters of four bytes and two units', '🌳🌳', 7, '🌳…'],
    ['has what JSON escapes', '\u0001\u0001"', 8, '\u0001…'],
    ['has quotes', '"""', 5, '""…'],
    ['has half a character', 'a\ud800', 6, 'a…'],
    ['has no room for its first character', '🌳', 3, '…'],
  ])('that %s', (_what, text, bytesMax, cut) => expect(cutForJson(text, bytesMax)).toBe(cut))

  it('P7: takes no more room than it may, and none of it is lost while it fits', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 60 }),
        fc.integer({ min: 0, max: 80 }),
        (text, max) => {
          const cut = cutForJson(text, max)
          const whole = JSON.stringify(text).slice(1, -1)
          if (Buffer.byteLength(whole) <= max) {
            expect(cut).toBe(text)
            return
          }
          expect(text.startsWith(cut.slice(0, -1))).toBe(true)
          const bytes = Buffer.byteLength(JSON.stringify(cut)) - 2 - Buffer.byteLength('…')
          expect(bytes).toBeLessThanOrEqual(max)
          // One more character would have been too much.
          const next = [...text][[...cut].length - 1]!
          expect(bytes + Buffer.byteLength(JSON.stringify(next)) - 2).toBeGreaterThan(max)
        },
      ),
    )
  })
})
