import { describe, expect, it } from 'vitest'
import { caretAt, visible } from '../../src/commands/caret.js'

/** The character above the caret, with the caret's line in columns. */
function pointedAt(bytes: Uint8Array, offset: number): { text: string; column: number; label: string } {
  const [text, caret] = caretAt(bytes, offset)
  return { text, column: caret.indexOf('^'), label: caret.slice(caret.indexOf('^')) }
}

describe('the caret', () => {
  it('stands under the byte at fault', () => {
    const { text, column, label } = pointedAt(Buffer.from('{"a":1,}'), 7)
    expect(text[column]).toBe('}')
    expect(label).toBe('^ byte 7')
  })

  it('stands behind the end when that is where something is missing', () => {
    const { text, column, label } = pointedAt(Buffer.from('{"event":'), 9)
    expect(column).toBe(text.length)
    expect(label).toBe('^ byte 9, the end')
  })

  it.each([
    ['two columns for wide characters', '"日本🌳"x', 1 + 3 + 3 + 4 + 1, 1 + 2 + 2 + 2 + 1],
    ['one for accented letters', '"é"x', 4, 3],
    ['none for combining marks', '"e\u0301"x', 5, 3],
    ['as many as are written for control characters', '"\n\u0001"x', 4, 8],
  ])('counts %s', (_, text, offset, column) => {
    expect(pointedAt(Buffer.from(text), offset).column).toBe(column)
  })

  it('shows bytes that are not UTF-8', () => {
    expect(visible(Buffer.from([0x41, 0xff, 0xe9, 0x42, 0xc3]))).toBe('A\\xff\\xe9B\\xc3')
  })

  it('cuts long text at both sides, between characters', () => {
    const bytes = Buffer.from(`${'é'.repeat(300)}!${'é'.repeat(300)}`)
    const { text, column } = pointedAt(bytes, 600)
    expect(text[column]).toBe('!')
    expect(text).toMatch(/^…é+!é+/)
    expect(text.length).toBeLessThan(110)
  })

  it('never leaves the line at any offset of any bytes', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    for (let offset = 0; offset <= bytes.length; offset++) {
      const [text, caret] = caretAt(bytes, offset)
      expect(text).not.toMatch(/\n/)
      expect(caret.indexOf('^')).toBeLessThanOrEqual(text.length)
    }
  })
})
