/** The log's bytes against docs/LOG_FORMAT.md: fields where its tables say, and the golden directory stays readable. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  decodeFrame,
  decodeSegmentHeader,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  frameBytes,
  SEGMENT_HEADER_BYTES,
  SEGMENT_MAGIC,
  segmentName,
  segmentNames,
  stampFrame,
} from '../../src/log/format.js'
import { readLog } from '../../src/log/reader.js'
import { RECORD_HEADER_BYTES } from '../../src/record.js'
import { allFrames, count, putEach } from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { LOG, open, read, record, WRITER } from './support/run.js'

interface Field {
  readonly at: number
  readonly type: string
  readonly meaning: string
}

const PAGE = readFileSync(new URL('../../docs/LOG_FORMAT.md', import.meta.url), 'utf8')

/** The table of one section of the page. */
function tableOf(section: string): Field[] {
  const from = PAGE.indexOf(`\n## ${section}`)
  const text = PAGE.slice(from, PAGE.indexOf('\n## ', from + 1))
  return [...text.matchAll(/^\| (\d+) \|([^|]*)\| (.*) \|$/gm)].map(([, at, type, meaning]) => ({
    at: Number(at),
    type: type!.trim(),
    meaning: meaning!,
  }))
}

/** Little endian. */
function valueAt(bytes: Buffer, { at, type }: Field): number | string {
  if (type === 'u8') return bytes.readUInt8(at)
  if (type === 'u16') return bytes.readUInt16LE(at)
  if (type === 'u32') return bytes.readUInt32LE(at)
  if (type === 'i32') return bytes.readInt32LE(at)
  if (type === 'u64') return Number(bytes.readBigUInt64LE(at))
  const length = type === '' ? undefined : Number(/^(\d+) bytes$/.exec(type)?.[1] ?? 16)
  return bytes.subarray(at, length === undefined ? undefined : at + length).toString('hex')
}

/** Every field of the table by the beginning of its meaning. */
function fieldsOf(bytes: Buffer, section: string): Record<string, number | string> {
  return Object.fromEntries(
    tableOf(section).map((field) => [field.meaning.slice(0, 12).trim(), valueAt(bytes, field)]),
  )
}

const WRITER_ID = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const BIG = 2 ** 52 + 12_345

describe('docs/LOG_FORMAT.md', () => {
  it('segment header: every field where the table says, and nothing beside them', () => {
    const fields = {
      firstOffset: BIG,
      createdMs: 1_795_500_000_001,
      epoch: 4_000_000_000,
      previousEnd: BIG - 1,
    }
    const bytes = Buffer.from(encodeSegmentHeader({ ...fields, writerId: WRITER_ID }))
    expect(bytes).toHaveLength(SEGMENT_HEADER_BYTES)
    expect(fieldsOf(bytes, '2. Segment')).toEqual({
      'magic `F8 53': 'f8534c5345474dff',
      'CRC-32 of by': crc32(bytes.subarray(12, 64)),
      'format versi': 1,
      'checksum of': 1,
      'offset of th': fields.firstOffset,
      'created, ms': fields.createdMs,
      epoch: fields.epoch,
      '0': '00000000',
      'position at': fields.previousEnd,
      'writer id': WRITER_ID.toString('hex'),
    })
    expect(decodeSegmentHeader(bytes)).toEqual({ ...fields, writerId: new Uint8Array(WRITER_ID) })
  })

  it('frame: every field where the table says', () => {
    const fields = { records: 3, firstOffset: BIG, writtenMs: 1_795_500_000_001, epoch: BIG - 1 }
    const bytes = Buffer.concat([Buffer.alloc(64), Buffer.from('records')])
    stampFrame(bytes, { ...fields, writerId: WRITER_ID })
    expect(fieldsOf(bytes, '3. Frame')).toEqual({
      'magic `F8 53': 'f8534c4652414dff',
      'CRC-32 of ev': crc32(bytes.subarray(12)),
      'format versi': 1,
      'flags: 0': 0,
      'length of th': 7,
      'number of re': 3,
      'offset of th': fields.firstOffset,
      'written, ms': fields.writtenMs,
      epoch: fields.epoch,
      'writer id': WRITER_ID.toString('hex'),
      records: Buffer.from('records').toString('hex'),
    })
    expect(frameBytes(bytes)).toBe(bytes.length)
    expect(decodeFrame(bytes)).toEqual({ ...fields, bodyBytes: 7, writerId: WRITER_ID })
    expect(FRAME_HEADER_BYTES).toBe(64)
  })

  it('record: the table is the layout that src/record.ts states', () => {
    expect(tableOf('4. Record').map(({ at, type }) => [at, type])).toEqual([
      [0, 'u32'],
      [4, 'u8'],
      [5, 'u8'],
      [6, 'u16'],
      [8, 'i32'],
      [12, 'u32'],
      [16, 'u32'],
      [RECORD_HEADER_BYTES, ''],
    ])
  })

  it('checksums cover every byte behind them', () => {
    const header = encodeSegmentHeader({
      firstOffset: 1,
      createdMs: 2,
      epoch: 3,
      previousEnd: 4,
      writerId: WRITER_ID,
    })
    const frame = Buffer.concat([Buffer.alloc(64), record(1)])
    stampFrame(frame, { records: 1, firstOffset: 1, writtenMs: 2, epoch: 3, writerId: WRITER_ID })
    for (const [bytes, isValid] of [
      [header, (changed: Uint8Array) => decodeSegmentHeader(changed) !== 'invalid'],
      [
        frame,
        (changed: Uint8Array) => frameBytes(changed) === frame.length && decodeFrame(changed) !== undefined,
      ],
    ] as const) {
      expect(isValid(bytes)).toBe(true)
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = Uint8Array.from(bytes)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        expect(isValid(changed), `bit ${bit}`).toBe(false)
      }
    }
  })

  it('magic words have bytes at both ends that UTF-8 never has', () => {
    for (const magic of [FRAME_MAGIC, SEGMENT_MAGIC]) {
      expect([magic[0], magic.at(-1)]).toEqual([0xf8, 0xff])
      expect(() => new TextDecoder('utf-8', { fatal: true }).decode(magic)).toThrow(TypeError)
    }
  })

  it('names: 20 digits, the epoch behind them where it has to tell two apart, in the order of records', () => {
    expect(segmentName(81_920)).toBe('00000000000000081920.log')
    expect(segmentName(81_920, 7)).toBe('00000000000000081920-7.log')
    const names = ['00000000000000000010-12.log', 'spare', '00000000000000000010-3.log', 'lock.1', '1.log']
    names.push('00000000000000000010.log', '00000000000000000002.log', '00000000000000000003.log.tmp')
    expect(segmentNames(names).map(({ name }) => name)).toEqual([
      '00000000000000000002.log',
      '00000000000000000010.log',
      '00000000000000000010-3.log',
      '00000000000000000010-12.log',
    ])
  })
})

const GOLDEN = fileURLToPath(new URL('golden/v1/0', import.meta.url))

function filesIn(directory: string): [path: string, bytes: Buffer][] {
  const paths = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return paths.map((entry) => {
    const path = join(entry.parentPath, entry.name)
    return [path.slice(directory.length + 1), readFileSync(path)]
  })
}

async function goldenDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk()
  await disk.mkdir(LOG)
  for (const [path, bytes] of filesIn(GOLDEN)) {
    const file = await disk.open(join(WRITER, path), 'wx+')
    await file.write(bytes, 0)
    await file.sync()
    await file.close()
  }
  for (const directory of ['/', '/data', WRITER, LOG]) await disk.syncDirectory(directory)
  return disk
}

describe('the golden directory of format 1', () => {
  it('is read as it was written', async () => {
    const disk = await goldenDisk()
    const found: unknown[] = []
    const durable = { offset: () => Promise.resolve(undefined) }
    const fail = (what: unknown): never => expect.fail(JSON.stringify(what))
    for await (const one of readLog({
      directory: LOG,
      from: 'start',
      disk,
      durable,
      onGap: fail,
      onDamage: fail,
    })) {
      const { offset, kind, flags, keyHash, tokenLength, writtenMs } = one
      const { id, text } = JSON.parse(Buffer.from(one.value).toString()) as { id: number; text: string }
      found.push([
        offset,
        id,
        kind,
        flags,
        keyHash,
        tokenLength,
        Buffer.from(one.key).toString(),
        writtenMs - 1_795_500_000_000,
        text,
      ])
    }
    expect(found).toEqual([
      [0, 0, 0, 0, 0, 4, 'tök:u0', 0, ''],
      [1, 1, 1, 0x81, -1_000_003, 4, 'tök:u1', 0, ''],
      [2, 2, 2, 0, -2_000_006, 4, 'tök:u2', 2, 'Grüße, 日本'],
      [3, 3, 3, 0, -3_000_009, 4, 'tök:u3', 3, ''],
      [4, 4, 0, 0, -4_000_012, 0, ':u4', 3, ''],
      [5, 5, 0, 0x7e, -5_000_015, 4, 'tök:u5', 3, ''],
      [6, 6, 0, 0, -6_000_018, 4, 'tök:u6', 6, 'x'.repeat(300)],
    ])
  })

  it('is recovered and goes on', async () => {
    const disk = await goldenDisk()
    const log = await open(disk)
    expect(log.status()).toMatchObject({
      writerId: WRITER_ID.toString('hex'),
      epoch: 6,
      firstOffset: 0,
      durableOffset: 7,
      segments: 4,
      damage: { tornBytes: 90, quarantinedBatches: 0, quarantinedBytes: 0 },
    })
    await putEach(log, 7, 9)
    expect(await read(disk, 9)).toEqual(count(0, 9))
    expect(allFrames(disk).at(-1)).toMatchObject({
      path: `${LOG}/00000000000000000006.log`,
      firstOffset: 8,
      epoch: 6,
    })
    await log.close()
  })

  it('is what the script beside it writes', () => {
    const made = mkdtempSync(join(tmpdir(), 'sluicegate-golden-'))
    execFileSync(process.execPath, [fileURLToPath(new URL('golden/make.mjs', import.meta.url)), `${made}/`])
    const hex = (directory: string) =>
      filesIn(directory)
        .map(([path, bytes]) => [path, bytes.toString('hex')])
        .toSorted()
    expect(hex(made)).toEqual(hex(GOLDEN))
    rmSync(made, { recursive: true })
  })
})
