/** P9: damage anywhere is found, skipped, counted and told, and reading goes on behind it; readers and recovery agree. */
import { describe, expect, it } from 'vitest'
import { FRAME_MAGIC, SEGMENT_HEADER_BYTES, stampFrame } from '../../src/log/format.js'
import { type DamagedPlace, type Gap } from '../../src/log/reader.js'
import { RECORD_HEADER_BYTES } from '../../src/record.js'
import {
  allFrames,
  count,
  flipBit,
  framesOf,
  overwrite,
  type Placed,
  putEach,
  segmentPaths,
} from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { LOG, open, put, read, record } from './support/run.js'

const NO_DAMAGE = { tornBytes: 0, quarantinedBatches: 0, quarantinedBytes: 0 }

/** Twelve records, each in a batch of its own, in three segments of four. */
async function twelve(): Promise<{ disk: MemoryDisk; frames: Placed[] }> {
  const disk = new MemoryDisk()
  const log = await open(disk)
  await putEach(log, 0, 12, 900)
  await log.close()
  const frames = allFrames(disk)
  expect(segmentPaths(disk).map((path) => framesOf(disk, path).length)).toEqual([4, 4, 4])
  return { disk, frames }
}

/** What a reader gets and is told. */
async function told(disk: MemoryDisk, limit?: number) {
  const gaps: Gap[] = []
  const damage: DamagedPlace[] = []
  const ids = await read(disk, limit, {
    onGap: (gap) => gaps.push(gap),
    onDamage: (place) => damage.push(place),
  })
  return { ids, gaps, damage }
}

/** Bits of a frame worth flipping: all of the header's bytes, and some of the body's. */
const placesIn = ({ bytes }: Placed): number[] => [...count(0, 64), 64, 70, Math.floor(bytes / 2), bytes - 1]

describe('P9: a flipped bit', () => {
  it('in a frame in the middle loses that batch alone: told with its place and its offsets', async () => {
    const { disk, frames } = await twelve()
    for (const damaged of [0, 1, 2, 5, 6, 8, 9, 10]) {
      const frame = frames[damaged]!
      for (const at of placesIn(frame)) {
        const hurt = disk.crash()
        await flipBit(hurt, frame.path, frame.position + at, at % 8)
        const log = await open(hurt)
        const inLast = damaged >= 8
        expect(log.status(), `byte ${at}`).toMatchObject({
          durableOffset: 12,
          damage: inLast ? { tornBytes: 0, quarantinedBatches: 1, quarantinedBytes: frame.bytes } : NO_DAMAGE,
        })
        const { path, position, bytes } = frame
        expect(await told(hurt, 12), `byte ${at}`).toEqual({
          ids: count(0, 12).filter((id) => id !== damaged),
          gaps: [{ from: damaged, to: damaged + 1 }],
          damage: [{ path, position, bytes }],
        })
        await log.close()
      }
    }
  })

  it('in a frame of blocks, likewise, and in the zeroes before one loses nothing', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { segmentBytes: 64 * 1024, blockFrameBytes: 300 })
    for (const bytes of [900, 100, 5000, 900, 100, 100, 900]) {
      await put(log, record(Number(log.nextOffset), bytes))
    }
    await log.close()
    const frames = allFrames(disk)
    expect(frames.map(({ position }) => position % 4096 === 0)).toEqual([1, 0, 1, 1, 0, 0, 1].map(Boolean))
    expect(await told(disk, 7)).toEqual({ ids: count(0, 7), gaps: [], damage: [] })
    const endOf = (index: number): number =>
      index < 0 ? SEGMENT_HEADER_BYTES : frames[index]!.position + frames[index]!.bytes
    for (const [damaged, frame] of frames.slice(0, -1).entries()) {
      const place = {
        path: frame.path,
        position: endOf(damaged - 1),
        bytes: frames[damaged + 1]!.position - endOf(damaged - 1),
      }
      for (const at of placesIn(frame)) {
        const hurt = disk.crash()
        await flipBit(hurt, frame.path, frame.position + at, at % 8)
        expect(await told(hurt, 7), `byte ${at}`).toEqual({
          ids: count(0, 7).filter((id) => id !== damaged),
          gaps: [{ from: damaged, to: damaged + 1 }],
          damage: [place],
        })
        const again = await open(hurt)
        expect(again.status()).toMatchObject({
          durableOffset: 7,
          damage: { tornBytes: 0, quarantinedBatches: 1, quarantinedBytes: place.bytes },
        })
        await again.close()
      }
    }
    for (const index of [0, 2, 3, 6]) {
      const [from, to] = [endOf(index - 1), frames[index]!.position]
      for (const at of [from, Math.floor((from + to) / 2), to - 1]) {
        const hurt = disk.crash()
        await flipBit(hurt, frames[0]!.path, at)
        const { ids, gaps, damage } = await told(hurt, 7)
        expect({ ids, gaps }).toEqual({ ids: count(0, 7), gaps: [] })
        expect(damage).toEqual([{ path: frames[0]!.path, position: from, bytes: to - from }])
        const said: string[] = []
        const again = await open(hurt, { say: (level, message) => said.push(`${level}: ${message}`) })
        const quarantined = { quarantinedBatches: 0, quarantinedBytes: to - from }
        expect(again.status().damage).toEqual({ tornBytes: 0, ...quarantined })
        expect(said.join()).toContain(`error: log: ${to - from} damaged bytes`)
        expect(said.join()).toContain('no record is lost')
        await again.close()
      }
    }
  })

  it('that is lost as a whole, and reads as zeroes, is not taken for those before a frame of blocks', async () => {
    for (const lostBytes of [100, 3800]) {
      const disk = new MemoryDisk()
      const options = { segmentBytes: 64 * 1024, blockFrameBytes: 4500 }
      const log = await open(disk, options)
      for (const bytes of [100, lostBytes, 6000, 100]) await put(log, record(Number(log.nextOffset), bytes))
      await log.close()
      const frames = allFrames(disk)
      const lost = frames[1]!
      await overwrite(disk, lost.path, lost.position, new Uint8Array(lost.bytes))
      const bytes = frames[2]!.position - lost.position
      expect(await told(disk, 4)).toEqual({
        ids: [0, 2, 3],
        gaps: [{ from: 1, to: 2 }],
        damage: [{ path: lost.path, position: lost.position, bytes }],
      })
      const again = await open(disk, options)
      expect(again.status()).toMatchObject({
        durableOffset: 4,
        damage: { tornBytes: 0, quarantinedBatches: 1, quarantinedBytes: bytes },
      })
      await again.close()
    }
  })

  it('in the last frame of an older segment: what is missing is known from the next one', async () => {
    const { disk, frames } = await twelve()
    for (const damaged of [3, 7]) {
      const { path, position } = frames[damaged]!
      for (const at of placesIn(frames[damaged]!)) {
        const hurt = disk.crash()
        await flipBit(hurt, path, position + at)
        const { ids, gaps, damage } = await told(hurt)
        expect(ids).toEqual(count(0, 12).filter((id) => id !== damaged))
        expect(gaps).toEqual([{ from: damaged, to: damaged + 1 }])
        expect(damage).toEqual([expect.objectContaining({ path, position }) as DamagedPlace])
      }
    }
  })

  it('in the header of the first, a middle or the last segment costs no record', async () => {
    const { disk } = await twelve()
    for (const [index, path] of segmentPaths(disk).entries()) {
      for (let at = 0; at < SEGMENT_HEADER_BYTES; at++) {
        const hurt = disk.crash()
        await flipBit(hurt, path, at, 2)
        const log = await open(hurt)
        const isLast = index === 2
        expect(log.status(), `byte ${at} of segment ${index}`).toMatchObject({
          state: 'writable',
          durableOffset: 12,
          newIds: 0,
          damage: { ...NO_DAMAGE, quarantinedBytes: isLast ? 64 : 0 },
        })
        await putEach(log, 12, 14)
        expect(await told(hurt, 14)).toEqual({
          ids: count(0, 14),
          gaps: [],
          damage: [{ path, position: 0, bytes: 64 }],
        })
        await log.close()
        const again = await open(hurt)
        expect(again.status()).toMatchObject({ durableOffset: 14, damage: NO_DAMAGE })
        await again.close()
      }
    }
  })

  it('anywhere: what recovery counts as durable is what a reader shows, with and without an owner', async () => {
    const { disk, frames } = await twelve()
    const last = segmentPaths(disk)[2]!
    const end = frames[11]!.position + frames[11]!.bytes
    for (let at = 0; at < end; at += 7) {
      const hurt = disk.crash()
      await flipBit(hurt, last, at, at % 8)
      const before = await told(hurt)
      const log = await open(hurt)
      const after = await told(hurt, log.durableOffset)
      expect(after.ids, `byte ${at}`).toEqual(before.ids)
      expect(after.ids.length).toBeGreaterThanOrEqual(11)
      expect(log.durableOffset).toBe(after.ids.at(-1)! + 1)
      await log.close()
    }
  })

  it('several places: each is counted and told', async () => {
    const { disk, frames } = await twelve()
    for (const damaged of [0, 5, 8, 10])
      await flipBit(disk, frames[damaged]!.path, frames[damaged]!.position + 80)
    const log = await open(disk)
    expect(log.status().damage).toMatchObject({
      quarantinedBatches: 2,
      quarantinedBytes: frames[8]!.bytes + frames[10]!.bytes,
    })
    const { ids, gaps, damage } = await told(disk, 12)
    expect(ids).toEqual([1, 2, 3, 4, 6, 7, 9, 11])
    expect(gaps.map(({ from }) => from)).toEqual([0, 5, 8, 10])
    expect(damage).toHaveLength(4)
    await log.close()
  })
})

describe('P9: whole files', () => {
  it('a segment that is missing is a gap', async () => {
    for (const [missing, ids, gaps] of [
      [0, count(4, 12), []],
      [1, [...count(0, 4), ...count(8, 12)], [{ from: 4, to: 8 }]],
    ] as const) {
      const { disk } = await twelve()
      await disk.unlink(segmentPaths(disk)[missing]!)
      const log = await open(disk)
      expect(await told(disk, log.durableOffset)).toMatchObject({ ids, gaps, damage: [] })
      expect(log.durableOffset).toBe(12)
      await log.close()
    }
  })

  it('a segment that is all zeroes or noise is passed over', async () => {
    for (const fill of [0, 0xf8]) {
      const { disk } = await twelve()
      const path = segmentPaths(disk)[1]!
      await overwrite(disk, path, 0, new Uint8Array(disk.peek(path)!.length).fill(fill))
      const log = await open(disk)
      expect(await told(disk, 12)).toMatchObject({
        ids: [...count(0, 4), ...count(8, 12)],
        gaps: [{ from: 4, to: 8 }],
      })
      await log.close()
    }
  })

  it('a damaged length does not make a reader ask for the memory of a planet', async () => {
    const { disk, frames } = await twelve()
    await overwrite(disk, frames[1]!.path, frames[1]!.position + 16, Buffer.from('ffffff7f', 'hex'))
    const asked: number[] = []
    disk.onCall = (call) => {
      if (call.op === 'read') asked.push(call.length!)
      return undefined
    }
    expect((await told(disk)).ids).toEqual(count(0, 12).filter((id) => id !== 1))
    expect(Math.max(...asked)).toBeLessThanOrEqual(2 ** 20)
  })
})

/** A frame as somebody would forge it who knows the writer id. */
function forged(id: number, fields: Parameters<typeof stampFrame>[1]): Buffer {
  const frame = Buffer.concat([new Uint8Array(64), record(id)])
  stampFrame(frame, fields)
  return frame
}

/** A record whose value is these bytes. */
function recordOf(value: Uint8Array): Buffer {
  const made = Buffer.alloc(RECORD_HEADER_BYTES + value.length)
  made.writeUInt32LE(made.length, 0)
  made.set(value, RECORD_HEADER_BYTES)
  return made
}

/** Offsets that a reader shows; the values here are no envelopes. */
async function offsets(disk: MemoryDisk): Promise<number[]> {
  const { readLog } = await import('../../src/log/reader.js')
  const found: number[] = []
  const durable = { offset: () => Promise.resolve(undefined) }
  for await (const { offset } of readLog({ directory: LOG, from: 'start', disk, durable })) found.push(offset)
  return found
}

describe('P9: frames that are none', () => {
  /** Three records, the middle one with a forged frame in its value, and then a bit of its own frame is flipped. */
  async function withForged(encode: (frame: Buffer) => Uint8Array): Promise<number[]> {
    const disk = new MemoryDisk()
    const log = await open(disk)
    const { epoch, writerId } = log.status()
    const frame = forged(666, {
      records: 1,
      firstOffset: 1,
      writtenMs: 1,
      epoch,
      writerId: Buffer.from(writerId, 'hex'),
    })
    await put(log, record(0))
    await put(log, recordOf(encode(frame)))
    await put(log, record(2))
    await log.close()
    const [, middle] = allFrames(disk)
    await flipBit(disk, middle!.path, middle!.position + 30)
    const again = await open(disk)
    const found = await offsets(disk)
    expect(again.durableOffset).toBe(3)
    await again.close()
    return found
  }

  it('cannot be smuggled in by a client: UTF-8 has no bytes for the magic word', async () => {
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(FRAME_MAGIC)).toThrow(TypeError)
    const text = (frame: Buffer): Uint8Array => Buffer.from(frame.toString('utf8'))
    expect(text(Buffer.from(FRAME_MAGIC)).includes(0xf8)).toBe(false)
    expect(await withForged(text)).toEqual([0, 2])
    expect(await withForged((frame) => Buffer.from(JSON.stringify(frame.toString('latin1'))))).toEqual([0, 2])
  })

  it('and that is what keeps them out: bytes that are not UTF-8 would pass, with checksum and writer id', async () => {
    expect(await withForged((frame) => frame)).toEqual([0, 1, 2])
  })

  it.each([
    ['of another writer', { writerId: Buffer.alloc(16, 7) }],
    ['of an older epoch', { epoch: 1 }],
    ['of an offset before', { firstOffset: 0 }],
  ])('a frame %s behind the last one is not read, and is set aside', async (_, change) => {
    const disk = new MemoryDisk()
    await (await open(disk)).close()
    const log = await open(disk)
    await putEach(log, 0, 2)
    const { epoch, writerId } = log.status()
    expect(epoch).toBe(2)
    const [, last] = allFrames(disk)
    const common = { records: 1, firstOffset: 2, writtenMs: 1, epoch, writerId: Buffer.from(writerId, 'hex') }
    const frame = forged(666, { ...common, ...change })
    await overwrite(disk, last!.path, last!.position + last!.bytes, frame)
    expect(await read(disk)).toEqual([0, 1])
    const again = await open(disk)
    expect(again.status()).toMatchObject({ durableOffset: 2, damage: { tornBytes: frame.length } })
    expect(await read(disk, again.durableOffset)).toEqual([0, 1])
    await again.close()
    await log.close()
  })
})
