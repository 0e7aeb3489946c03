/** Parameters as JavaScript reads them, beside the native decoder too: for replies, credentials and rejected records. */
import { describe, expect, it } from 'vitest'
import { percentDecode, readParam, readParameters } from '../../src/decode/params.js'
import { random } from '../log/support/random.js'

const NAMES = ['data', 'ip', 'verbose', 'callback']
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const decoded = (text: string): string => latin1(percentDecode(Buffer.from(text, 'latin1'), true))

/** docs/DECODING.md 1, word for word. */
function expected(text: string, wanted: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const part of text.split('&')) {
    const [, name, value] = /^([^=]*)=([^]+)$/.exec(part) ?? []
    if (name === undefined || value === undefined) continue
    const known = wanted.find((one) => one === decoded(name))
    if (known !== undefined) found[known] ??= decoded(value)
  }
  return found
}

describe('readParameters', () => {
  it('gives the first value that is not empty of each wanted name, however it is escaped', () => {
    const pieces = [
      ...'abip=&%+6190\0\xff',
      '&',
      '&',
      '=',
      'ip=',
      '%69p=',
      'i%70',
      'data=',
      '%64ata=',
      'verbose',
    ]
    const next = random(7)
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: next() * 12 }, () => pieces[Math.floor(next() * pieces.length)]).join(
        '',
      )
      const wanted = round % 2 === 0 ? NAMES : [NAMES[round % NAMES.length]!]
      const found = readParameters(Buffer.from(text, 'latin1'), new Set(wanted))
      const texts = Object.fromEntries([...found].map(([name, value]) => [name, latin1(value)]))
      expect(texts, JSON.stringify(text)).toEqual(expected(text, wanted))
    }
  })

  it('finds what stands behind long values', () => {
    for (const length of [30, 31, 32, 33, 5000]) {
      const form = Buffer.from(`data=${'x'.repeat(length)}&ip=1`)
      expect(readParam('ip', '', form)).toBe('1')
      expect(readParam('data', '', form)).toHaveLength(length)
    }
  })

  // A few kilobytes of gzip become such a form of ten million bytes, and everybody waits for it: it took seconds.
  it.each(['&', 'a=b&', '%41=b&', '=&', 'ip=&'])(
    'P3: makes nothing of %j, however often it comes',
    (part) => {
      const form = CountedBytes.from(Buffer.from(part.repeat(10_000))) as CountedBytes
      expect(readParam('ip', '', form)).toBeUndefined()
      expect(form.calls).toBe(0)
    },
  )
})

/** Counts the calls that cost more than a look at a byte. */
class CountedBytes extends Uint8Array {
  calls = 0

  override subarray(start?: number, end?: number): Uint8Array<ArrayBuffer> {
    this.calls++
    return new Uint8Array(this).subarray(start, end)
  }

  override indexOf(byte: number, from?: number): number {
    this.calls++
    return super.indexOf(byte, from)
  }
}
