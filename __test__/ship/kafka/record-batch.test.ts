/** The bytes of a batch, against kafkajs's reader (another implementation) and our own. */
import { createRequire } from 'node:module'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canCompress, COMPRESSIONS, type Compression } from '../../../src/ship/kafka/compression.js'
import { javascriptCrc32c } from '../../../src/ship/kafka/crc32c.js'
import { BATCH_HEADER_BYTES, Field, RecordBatchEncoder } from '../../../src/ship/kafka/record-batch.js'
import {
  batchesOf,
  type BatchView,
  DamagedBatch,
  foundRecord,
  recordsOf,
} from '../../../src/ship/kafka/record-reader.js'
import { sizeOfVarint, VarintReader, writeVarint } from '../../../src/ship/kafka/varint.js'
import type { OutRecord, PartitionBatch } from '../../../src/ship/sink.js'
import { outRecord, recordsOf as recordsFrom, WRITER } from '../sink.cases.js'

const NOW_MS = 1_700_000_000_123
const CODECS = COMPRESSIONS.filter(canCompress)

const encoderOf = (compression: Compression = 'none'): RecordBatchEncoder =>
  new RecordBatchEncoder({ writer: WRITER, compression, crc32c: javascriptCrc32c })

function batchOf(records: readonly OutRecord[], more: Partial<PartitionBatch> = {}): PartitionBatch {
  const producer = { id: 0x1234_5678_9abcn, epoch: 7 }
  return { topic: 't', partition: 0, producer, firstSequence: 99, records, possibleDuplicate: false, ...more }
}

const only = (bytes: Uint8Array): BatchView => {
  const batches = [...batchesOf(bytes, javascriptCrc32c)]
  expect(batches).toHaveLength(1)
  return batches[0]!
}

describe('the header', () => {
  it('holds producer, sequence, time of sending and count, byte for byte', () => {
    const bytes = encoderOf().encode(batchOf(recordsFrom(5, 8)), NOW_MS)
    // Written out once by hand from the format's description.
    expect(bytes.subarray(0, BATCH_HEADER_BYTES).toString('hex')).toBe(
      [
        '0000000000000000',
        (bytes.length - 12).toString(16).padStart(8, '0'),
        'ffffffff',
        '02',
        javascriptCrc32c(bytes.subarray(21)).toString(16).padStart(8, '0'),
        '0000',
        '00000002',
        NOW_MS.toString(16).padStart(16, '0').repeat(2),
        '0000123456789abc',
        '0007',
        '00000063',
        '00000003',
      ].join(''),
    )
  })

  it('leaves room in front for whoever sends it', () => {
    for (const compression of CODECS) {
      const batch = batchOf(recordsFrom(0, 50))
      const plain = encoderOf(compression).encode(batch, NOW_MS)
      const roomy = encoderOf(compression).encode(batch, NOW_MS, 31)
      expect(roomy.subarray(31).equals(plain)).toBe(true)
    }
  })

  it('differs in nothing but time and checksum when the same batch is sent later', () => {
    const [first, later] = [NOW_MS, NOW_MS + 5000].map((now) =>
      encoderOf().encode(batchOf(recordsFrom(0, 4)), now),
    )
    for (const bytes of [first!, later!])
      bytes.fill(0, Field.firstTimestamp, Field.producerId).fill(0, 17, 21)
    expect(first!.equals(later!)).toBe(true)
  })
})

const outRecords = fc
  .array(
    fc.record({
      key: fc.uint8Array({ maxLength: 90 }),
      value: fc.uint8Array({ maxLength: 300 }),
      step: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 2 ** 40 })),
    }),
    { minLength: 1, maxLength: 80 },
  )
  .map((list) => {
    let offset = 0
    return list.map(({ key, value, step }) => outRecord((offset += step), key, value))
  })

describe.each(CODECS)('records, compression %s', (compression) => {
  it('are read back: keys, values, places, order', () => {
    fc.assert(
      fc.property(outRecords, fc.boolean(), (records, possibleDuplicate) => {
        const batch = only(encoderOf(compression).encode(batchOf(records, { possibleDuplicate }), NOW_MS))
        expect(batch).toMatchObject({ baseOffset: 0n, records: records.length, maxTimestampMs: NOW_MS })
        expect(batch).toMatchObject({ producerId: 0x1234_5678_9abcn, producerEpoch: 7, firstSequence: 99 })
        expect(batch.lastOffset).toBe(BigInt(records.length - 1))
        for (const [index, record] of [...recordsOf(batch)].entries()) {
          const { key, value, offset } = records[index]!
          expect(Buffer.compare(record.key!, key)).toBe(0)
          expect(Buffer.compare(record.value!, value)).toBe(0)
          const place = { brokerOffset: BigInt(index), writerId: WRITER.id, epoch: 3, logOffset: offset }
          expect(foundRecord(record)).toEqual(place)
          expect(record.headers.map(([name]) => name)).toEqual(
            possibleDuplicate ? ['log_position', 'possible_duplicate'] : ['log_position'],
          )
        }
      }),
      { numRuns: 100 },
    )
  })
})

it('kafkajs, which somebody else wrote, reads the same records', async () => {
  const require = createRequire(import.meta.url)
  const Decoder = require('kafkajs/src/protocol/decoder')
  const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder')
  const records = [...recordsFrom(3, 9), ...recordsFrom(2 ** 40, 2 ** 40 + 2)]
  for (const compression of ['none', 'gzip'] as const) {
    const bytes = encoderOf(compression).encode(batchOf(records), NOW_MS)
    const decoded = await decodeBatch(new Decoder(bytes))
    expect(decoded).toMatchObject({ producerEpoch: 7, firstSequence: 99, isControlBatch: false })
    expect(decoded.records).toHaveLength(records.length)
    for (const [index, record] of decoded.records.entries()) {
      expect(record.key.equals(records[index]!.key)).toBe(true)
      expect(record.value.equals(records[index]!.value)).toBe(true)
      expect(record.headers.log_position.toString()).toBe(`${WRITER.id}.3.${records[index]!.offset}`)
    }
  }
})

describe('reading what a broker sends', () => {
  const one = encoderOf().encode(batchOf(recordsFrom(0, 3)), NOW_MS)
  const two = encoderOf('lz4').encode(batchOf(recordsFrom(3, 90)), NOW_MS)

  it('a batch that is cut off ends it', () => {
    for (const cut of [two.length - 1, 61, 20, 11, 0]) {
      const bytes = Buffer.concat([one, two.subarray(0, cut)])
      expect([...batchesOf(bytes, javascriptCrc32c)].map(({ records }) => records)).toEqual([3])
    }
  })

  it('any changed byte that matters is noticed, and nothing worse happens', () => {
    fc.assert(
      fc.property(fc.nat(two.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(two)
        damaged[at] = damaged[at]! ^ change
        const read = (): number =>
          [...batchesOf(damaged, javascriptCrc32c)].flatMap((b) => [...recordsOf(b)]).length
        if (at >= Field.attributes || (at >= Field.crc && at < Field.attributes))
          expect(read).toThrow(DamagedBatch)
        else {
          try {
            read()
          } catch (error) {
            expect(error).toBeInstanceOf(DamagedBatch)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('batches of formats before Kafka 0.11 are passed over', () => {
    const old = Buffer.alloc(40)
    old.writeBigInt64BE(41n, 0)
    old.writeInt32BE(28, 8)
    old[16] = 1
    const batches = [...batchesOf(Buffer.concat([old, one]), javascriptCrc32c)]
    expect(batches.map(({ lastOffset, records }) => [lastOffset, records])).toEqual([
      [41n, 0],
      [2n, 3],
    ])
    expect([...recordsOf(batches[0]!)]).toEqual([])
  })

  it.each([
    '',
    'x',
    `${WRITER.id}.3.`,
    `${WRITER.id}.3.-1`,
    `${WRITER.id.toUpperCase()}.3.4`,
    `${WRITER.id}.3.4.5`,
  ])('a header of somebody else’s that looks like ours (%s) is not ours', (text) => {
    const headers = [['log_position', Buffer.from(text)]] as const
    expect(foundRecord({ offset: 0n, key: undefined, value: undefined, headers })).toBeUndefined()
  })
})

it('varints are written in the size that was told, and read again', () => {
  fc.assert(
    fc.property(fc.oneof(fc.nat({ max: 2 ** 31 - 1 }), fc.nat({ max: 20_000 })), (value) => {
      const bytes = new Uint8Array(5)
      const end = writeVarint(bytes, value, 0)
      expect(end).toBe(sizeOfVarint(value))
      const reader = new VarintReader(bytes)
      expect(reader.next()).toBe(value)
      expect(reader.at).toBe(end)
    }),
    { examples: [[63], [64], [8191], [8192], [1_048_575], [1_048_576], [134_217_727], [134_217_728]] },
  )
})
