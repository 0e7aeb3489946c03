import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canCompress, COMPRESSIONS, compressorOf, decompress } from '../../../src/ship/kafka/compression.js'
import { lz4Compress, lz4Decompress } from '../../../src/ship/kafka/lz4.js'
import { snappyDecompress } from '../../../src/ship/kafka/snappy.js'

const MAX = 1 << 24
const CODECS = COMPRESSIONS.filter(canCompress)

/** Bytes like those of batches: repeated and random stretches, often longer than a block or a window. */
const payloads = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.record({ unit: fc.uint8Array({ minLength: 1, maxLength: 40 }), times: fc.nat({ max: 3000 }) }),
    ),
    { maxLength: 12 },
  )
  .map((parts) =>
    Buffer.concat(
      parts.map((part) => ('unit' in part ? Buffer.concat(Array(part.times).fill(part.unit)) : part)),
    ),
  )

/** Walks through a block's sequences. */
function endOf(block: Buffer): { lastLiterals: number; lastMatch: number | undefined } {
  const lengthAt = (at: number): [more: number, next: number] => {
    let [more, next] = [0, at]
    do more += block[next]!
    while (block[next++] === 255)
    return [more, next]
  }
  let lastMatch: number | undefined
  for (let [at, out] = [0, 0]; ;) {
    const token = block[at++]!
    let [literals, match, more] = [token >>> 4, (token & 15) + 4, 0]
    if (literals === 15) [more, at] = lengthAt(at)
    literals += more
    at += literals
    out += literals
    if (at === block.length) return { lastLiterals: literals, lastMatch }
    at += 2
    lastMatch = out
    if (match === 19) {
      ;[more, at] = lengthAt(at)
      match += more
    }
    out += match
  }
}

describe.each(CODECS)('%s', (compression) => {
  const { id, compress } = compressorOf(compression)

  it('gives back what went in', () => {
    fc.assert(
      fc.property(payloads, (bytes) => {
        const packed = compress === undefined ? bytes : compress(bytes)
        expect(Buffer.compare(decompress(id, packed), bytes)).toBe(0)
      }),
      { numRuns: 150 },
    )
  })

  it('makes repeating text small, if anything', () => {
    if (compress === undefined) return
    const text = Buffer.from('{"v":1,"kind":"track","token":"abc"}\n'.repeat(5000))
    expect(compress(text).length).toBeLessThan(text.length / 20)
  })
})

it('zstd on a Node without it is refused with what to do', () => {
  if (canCompress('zstd')) expect(compressorOf('zstd').id).toBe(4)
  else expect(() => compressorOf('zstd')).toThrow(/Node 22\.15 or newer, or --kafka-compression lz4/)
})

describe('lz4', () => {
  it('writes the frame of Kafka’s own clients: independent blocks of 64 KiB, the length of none above them', () => {
    const frame = Buffer.from(lz4Compress(Buffer.alloc(200_000, 'ab')))
    expect(frame.subarray(0, 7).toString('hex')).toBe('04224d18604082')
    const blocks: number[] = []
    let at = 7
    for (let length = frame.readUInt32LE(at); length !== 0; length = frame.readUInt32LE(at)) {
      blocks.push(length)
      at += 4 + length
    }
    expect(blocks).toHaveLength(4)
    expect(at + 4).toBe(frame.length)
  })

  it('ends every block as readers need it: five literals, and no match in the last twelve bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('abcd', 'abcdabcd', 'x', 'yz'), { maxLength: 60 }), (parts) => {
        const bytes = Buffer.from(parts.join('') + 'abcdabcdabcdabcd')
        const frame = Buffer.from(lz4Compress(bytes))
        const length = frame.readUInt32LE(7)
        if (length >= 0x80000000) return
        const { lastLiterals, lastMatch } = endOf(frame.subarray(11, 11 + length))
        expect(lastLiterals).toBeGreaterThanOrEqual(5)
        if (lastMatch !== undefined) expect(lastMatch).toBeLessThanOrEqual(bytes.length - 12)
      }),
    )
  })

  it('a match that begins before the data is damage', () => {
    const head = Buffer.from('04224d18604082', 'hex')
    // One literal, then a match from 2 back.
    const block = Buffer.from([0x10, 97, 2, 0, 0x50, 98, 98, 98, 98, 98])
    const length = Buffer.from([block.length, 0, 0, 0])
    const frame = Buffer.concat([head, length, block, Buffer.alloc(4)])
    expect(() => lz4Decompress(frame, MAX)).toThrow(RangeError)
  })

  it('stores what cannot be made smaller', () => {
    const bytes = createHash('shake256', { outputLength: 3000 }).update('seed').digest()
    const frame = Buffer.from(lz4Compress(bytes))
    expect(frame.readUInt32LE(7)).toBe(0x80000000 + 3000)
    expect(frame.length).toBe(7 + 4 + 3000 + 4)
  })

  // `lz4 -BD -BX --content-size`: linked blocks, their checksums, content size and checksum.
  const OTHER = '04224d187c402000000000000000190d0000003f616263030005502d7461696c7058aa3a000000003e66cb82'

  it('reads frames that other programs wrote', () => {
    const frame = Buffer.from(OTHER, 'hex')
    expect(Buffer.from(lz4Decompress(frame, MAX)).toString()).toBe('abc'.repeat(9) + '-tail')
  })

  it('damage is an error, never a crash, an endless loop or too much memory', () => {
    const frame = Buffer.from(lz4Compress(Buffer.from('some text, some text, some more text '.repeat(40))))
    fc.assert(
      fc.property(fc.nat(frame.length - 1), fc.nat(255), fc.nat(frame.length), (at, byte, length) => {
        const damaged = Buffer.from(frame.subarray(0, length))
        if (at < length) damaged[at] = byte
        try {
          expect(lz4Decompress(damaged, MAX).length).toBeLessThanOrEqual(MAX + (1 << 22))
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('snappy', () => {
  // Length 32, a literal of 3, a copy of 24 from 3 back (2-byte form), a literal of 5 with its length in a byte.
  const block = Buffer.from([32, 2 << 2, 97, 98, 99, (23 << 2) | 2, 3, 0, 60 << 2, 4, 45, 116, 97, 105, 108])

  it('reads short copies, with three bits of length and eleven of distance', () => {
    // Length 300 + 7: a literal of 300 with its length in two bytes, a copy of 7 from 300 back.
    const literal = Buffer.from('0123456789'.repeat(30))
    const copy = [((300 >>> 8) << 5) | ((7 - 4) << 2) | 1, 300 & 255]
    const bytes = Buffer.concat([
      Buffer.from([0xb3, 2, 61 << 2, 299 & 255, 299 >>> 8]),
      literal,
      Buffer.from(copy),
    ])
    expect(Buffer.from(snappyDecompress(bytes, MAX)).toString()).toBe(`${literal.toString()}0123456`)
  })

  it('reads literals and copies', () => {
    expect(Buffer.from(snappyDecompress(block, MAX)).toString()).toBe('abc'.repeat(9) + '-tail')
  })

  it('reads the framing of the Java library', () => {
    const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])
    const length = Buffer.from([0, 0, 0, block.length])
    const framed = Buffer.concat([header, length, block, length, block])
    expect(Buffer.from(snappyDecompress(framed, MAX)).toString()).toBe(('abc'.repeat(9) + '-tail').repeat(2))
  })

  it('damage is an error, never a crash', () => {
    fc.assert(
      fc.property(fc.nat(block.length - 1), fc.nat(255), fc.nat(block.length), (at, byte, length) => {
        const damaged = Buffer.from(block.subarray(0, length))
        if (at < length) damaged[at] = byte
        try {
          expect(snappyDecompress(damaged, MAX).length).toBeLessThanOrEqual(MAX)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
