/** P9: whatever a crash leaves at the end of the log is cut and kept aside, and the log goes on. */
import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES, FRAME_MAGIC, SEGMENT_HEADER_BYTES } from '../../src/log/format.js'
import {
  allFrames,
  count,
  create,
  overwrite,
  type Placed,
  putEach,
  putTogether,
  quarantined,
  segmentPaths,
  truncate,
} from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { LOG, open, put, read, record, WRITER } from './support/run.js'

const NO_DAMAGE = { tornBytes: 0, quarantinedBatches: 0, quarantinedBytes: 0 }

/** Killed with five small batches and a last one of `lastIds`; the disk, and where the last batch stands. */
async function killed(
  lastIds: readonly number[],
  bytes: number,
): Promise<{ disk: MemoryDisk; last: Placed }> {
  const disk = new MemoryDisk()
  const log = await open(disk, { segmentBytes: 64 * 1024 })
  await putEach(log, 0, 5)
  await putTogether(log, lastIds, bytes)
  return { disk, last: allFrames(disk).at(-1)! }
}

/** Starts on a torn disk: what was before is there, the rest was set aside as `kept`, and all goes on from there. */
async function expectCut(disk: MemoryDisk, last: Placed, kept: Uint8Array): Promise<void> {
  const log = await open(disk, { segmentBytes: 64 * 1024 })
  expect(log.state).toBe('writable')
  expect(log.status().damage).toEqual({ ...NO_DAMAGE, tornBytes: kept.length })
  expect(log.durableOffset).toBe(5)
  const copies = [...quarantined(disk).values()].map((bytes) => Buffer.from(bytes).toString('hex'))
  expect(copies).toEqual(kept.length === 0 ? [] : [Buffer.from(kept).toString('hex')])
  expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3, 4])
  await putEach(log, 100, 102)
  await log.close()
  const again = await open(disk, { segmentBytes: 64 * 1024 })
  expect(again.status().damage).toEqual(NO_DAMAGE)
  expect(segmentPaths(disk)).toHaveLength(1)
  expect(await read(disk, again.durableOffset)).toEqual([0, 1, 2, 3, 4, 100, 101])
  expect(allFrames(disk).find((frame) => frame.firstOffset === 5)!.position).toBe(last.position)
  await again.close()
}

const withoutZeroEnd = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1)

describe('P9: a torn end is cut and kept aside', () => {
  it('wherever the file ends within the last batch', async () => {
    const { disk, last } = await killed([5], 60)
    for (let length = 0; length < last.bytes; length++) {
      const torn = disk.crash()
      await truncate(torn, last.path, last.position + length)
      const left = disk.peek(last.path)!.slice(last.position, last.position + length)
      await expectCut(torn, last, withoutZeroEnd(left))
    }
  })

  it('wherever zeroes begin within the last batch', async () => {
    const { disk, last } = await killed([5], 60)
    const file = disk.peek(last.path)!
    for (let length = 0; length < last.bytes; length++) {
      const torn = disk.crash()
      await overwrite(torn, last.path, last.position + length, new Uint8Array(last.bytes - length))
      const left = file.slice(last.position, last.position + length)
      await expectCut(torn, last, withoutZeroEnd(left))
    }
  })

  it('whichever sectors of the last batch are missing', async () => {
    const { disk, last } = await killed([5, 6, 7], 600)
    const end = last.position + last.bytes
    const first = Math.floor(last.position / 512)
    const sectors = Math.ceil(end / 512) - first
    expect(sectors).toBeGreaterThan(3)
    for (let missing = 1; missing < 2 ** sectors; missing++) {
      const torn = disk.crash()
      for (let sector = 0; sector < sectors; sector++) {
        if ((missing & (1 << sector)) === 0) continue
        const from = Math.max(last.position, (first + sector) * 512)
        const to = Math.min(end, (first + sector + 1) * 512)
        await overwrite(torn, last.path, from, new Uint8Array(to - from))
      }
      const left = torn.peek(last.path)!.slice(last.position, end)
      await expectCut(torn, last, withoutZeroEnd(left))
    }
  })

  it('whichever sectors of a batch of blocks are missing, the zeroes before it are no damage', async () => {
    const disk = new MemoryDisk()
    const options = { segmentBytes: 64 * 1024, batchBytesMax: 16_384, blockFrameBytes: 2000 }
    const log = await open(disk, options)
    await putEach(log, 0, 5)
    await putTogether(log, [5], 9000)
    const last = allFrames(disk).at(-1)!
    expect(last.position % BLOCK_BYTES).toBe(0)
    const endOfFive = allFrames(disk).at(-2)!.position + allFrames(disk).at(-2)!.bytes
    const sectors = Math.ceil(last.bytes / 512)
    for (let missing = 0; missing < sectors; missing++) {
      for (const until of [missing + 1, sectors]) {
        const torn = disk.crash()
        const [from, to] = [last.position + missing * 512, Math.min(last.bytes, until * 512) + last.position]
        await overwrite(torn, last.path, from, new Uint8Array(to - from))
        const left = withoutZeroEnd(torn.peek(last.path)!.slice(endOfFive, last.position + last.bytes))
        const again = await open(torn, options)
        const tornBytes = Math.max(0, left.length - (last.position - endOfFive))
        expect(again.status().damage).toEqual({ ...NO_DAMAGE, tornBytes })
        expect(again.durableOffset).toBe(5)
        const copies = [...quarantined(torn).values()].map((bytes) => Buffer.from(bytes).toString('hex'))
        expect(copies).toEqual(tornBytes === 0 ? [] : [Buffer.from(left).toString('hex')])
        await putEach(again, 100, 102)
        await putTogether(again, [102], 9000)
        await again.close()
        expect(await read(torn, 8)).toEqual([0, 1, 2, 3, 4, 100, 101, 102])
        expect(segmentPaths(torn)).toHaveLength(1)
      }
    }
  })

  it('the same place more than once: every copy stays', async () => {
    const { disk, last } = await killed([5], 60)
    for (let times = 1; times <= 3; times++) {
      await truncate(disk, last.path, last.position + 70)
      await overwrite(disk, last.path, last.position, FRAME_MAGIC)
      await overwrite(disk, last.path, last.position + 69, Uint8Array.of(times))
      const log = await open(disk, { segmentBytes: 64 * 1024 })
      await log.close()
      expect([...quarantined(disk).values()].map((bytes) => bytes.at(-1))).toEqual(count(1, times + 1))
    }
  })

  it('also on a full disk: then the bytes stay where they are, and a new segment takes over', async () => {
    const { disk, last } = await killed([5], 60)
    await overwrite(disk, last.path, last.position + 80, new Uint8Array(4))
    disk.limitBytes = disk.usedBytes - 64 * 1024 - 100
    const log = await open(disk)
    expect(log.state).toBe('full')
    expect(log.status().damage.tornBytes).toBeGreaterThan(0)
    expect(quarantined(disk), 'half a copy would take what little there is, at every start').toEqual(
      new Map(),
    )
    disk.limitBytes = undefined
    await expect.poll(() => log.state, { timeout: 5000 }).toBe('writable')
    await putEach(log, 100, 102)
    expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3, 4, 100, 101])
    await log.close()
    const again = await open(disk.crash())
    expect(again.status()).toMatchObject({ damage: NO_DAMAGE, durableOffset: 7 })
    expect(await read(disk, again.durableOffset)).toEqual([0, 1, 2, 3, 4, 100, 101])
    const [, second] = segmentPaths(disk)
    expect(Buffer.from(disk.peek(second!)!).readUInt32LE(40), 'previousEnd').toBe(last.position)
    await again.close()
  })

  it('and an error of the disk is told, and nothing is cut', async () => {
    const { disk, last } = await killed([5], 60)
    await truncate(disk, last.path, last.position + 100)
    disk.onCall = (call) =>
      call.op === 'write' && call.path.includes('quarantine') ? { error: 'EIO' } : undefined
    await expect(open(disk)).rejects.toThrow('EIO')
    expect(disk.peek(last.path)).toHaveLength(last.position + 100)
  })

  it('a batch before the last one cannot be torn: that is damage, and counted as such', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 4)
    const [, , third, fourth] = allFrames(disk)
    for (const { path, position } of [third!, fourth!])
      await overwrite(disk, path, position + 90, Uint8Array.of(0))
    const again = await open(disk)
    expect(again.status().damage).toEqual({
      tornBytes: fourth!.bytes,
      quarantinedBatches: 1,
      quarantinedBytes: third!.bytes,
    })
    expect(await read(disk, again.durableOffset)).toEqual([0, 1])
    const [copy] = quarantined(disk).values()
    expect(copy).toHaveLength(third!.bytes + fourth!.bytes)
    await again.close()
    await log.close()
  })
})

describe('P9: what a killed process leaves', () => {
  it('a spare is thrown away', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    const spare = `${LOG}/spare`
    await overwrite(disk, spare, 0, Buffer.from('left behind'))
    const again = await open(disk)
    expect(Buffer.from(disk.peek(spare)!).every((byte) => byte === 0)).toBe(true)
    expect(await read(disk, again.durableOffset)).toEqual([0, 1])
    await again.close()
    await log.close()
  })

  it('an empty directory becomes a log', async () => {
    const disk = new MemoryDisk()
    await disk.mkdir(LOG)
    const log = await open(disk)
    expect(log.status()).toMatchObject({
      firstOffset: 0,
      nextOffset: 0,
      damage: NO_DAMAGE,
      epoch: 1,
      newIds: 0,
    })
    expect(log.status().writerId).toMatch(/^[0-9a-f]{32}$/)
    await log.close()
  })

  it('writer.json may be lost or torn: the newest segment knows the id', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    await log.close()
    const { writerId } = log.status()
    for (const damage of ['unlink', 'tear', 'empty']) {
      if (damage === 'unlink') await disk.unlink(`${WRITER}/writer.json`)
      if (damage === 'tear') await truncate(disk, `${WRITER}/writer.json`, 20)
      if (damage === 'empty') await truncate(disk, `${WRITER}/writer.json`, 0)
      const again = await open(disk)
      expect(again.status()).toMatchObject({ writerId, nextOffset: 2, newIds: 0 })
      await again.close()
    }
    expect(segmentPaths(disk)).toHaveLength(1)
  })

  it('a batch whose sync failed and whose process died is written again before it counts as durable', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    // Linux marks the bytes as written; they are in memory alone, and no later sync writes them.
    disk.onCall = (call) => (call.op === 'sync' || call.op === 'rename' ? { error: 'EIO' } : undefined)
    await expect(putEach(log, 2, 3)).rejects.toMatchObject({ reason: 'failed' })
    disk.onCall = undefined
    const again = await open(disk)
    const shown = await read(disk, again.durableOffset)
    const after = await open(disk.crash())
    expect(await read(disk.crash(), after.durableOffset)).toEqual(shown)
    for (const one of [log, again, after]) await one.close()
  })

  it('P1: a segment whose name no sync has made durable is not gone on in', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 3, 1000)
    // Renamed, then the sync of the directory fails, and the process ends before it can try another one.
    let renamed = false
    disk.onCall = (call) => {
      if (!renamed) {
        renamed = call.op === 'rename'
        return undefined
      }
      return call.op === 'syncDirectory' ? { error: 'EIO' } : 'never'
    }
    void put(log, record(900, 1500))?.catch(() => {})
    await expect.poll(() => segmentPaths(disk).length).toBe(2)
    await new Promise((resolve) => setTimeout(resolve, 20))
    disk.onCall = undefined
    const again = await open(disk)
    await putEach(again, 3, 6)
    const after = await open(disk.crash())
    expect(await read(disk.crash(), after.durableOffset)).toEqual(count(0, 6))
    expect(segmentPaths(disk)).toHaveLength(2)
    for (const one of [again, after]) await one.close()
  })

  it('a file of no length, or shorter than a header, is passed over', async () => {
    for (const length of [0, 1, SEGMENT_HEADER_BYTES - 1, SEGMENT_HEADER_BYTES]) {
      const disk = new MemoryDisk()
      const log = await open(disk)
      await putEach(log, 0, 3)
      await log.close()
      await create(disk, `${LOG}/00000000000000000003.log`, new Uint8Array(length))
      const again = await open(disk)
      expect(again.state).toBe('writable')
      await putEach(again, 3, 5)
      expect(await read(disk, again.durableOffset)).toEqual([0, 1, 2, 3, 4])
      await again.close()
      const third = await open(disk)
      expect(third.status()).toMatchObject({ nextOffset: 5, damage: NO_DAMAGE })
      await third.close()
    }
  })
})

describe('P9: a newer format', () => {
  const newer = (path: string) =>
    expect.objectContaining({ code: 'log_format_newer', message: expect.stringContaining(path) as string })

  /** A log whose newest segment has version 2 written by `mark`, its checksum right. */
  async function written(
    mark: (file: Buffer, last: Placed) => [from: number, to: number],
  ): Promise<MemoryDisk> {
    const { crc32 } = await import('node:zlib')
    const { disk, last } = await killed([5], 60)
    const file = Buffer.from(disk.peek(last.path)!)
    const [from, to] = mark(file, last)
    file.writeUInt32LE(crc32(file.subarray(from + 12, to)), from + 8)
    await overwrite(disk, last.path, 0, file)
    return disk
  }

  const HEADER: [number, number] = [0, 64]

  it.each([
    ['segment', (file: Buffer) => (file.writeUInt16LE(2, 12), HEADER)],
    ['checksum', (file: Buffer) => (file.writeUInt16LE(2, 14), HEADER)],
    [
      'frame',
      (file: Buffer, { position, bytes }: Placed): [number, number] => {
        file.writeUInt16LE(2, position + 12)
        return [position, position + bytes]
      },
    ],
  ])('is refused by name and nothing is touched: %s', async (_, mark) => {
    const disk = await written(mark)
    const before = disk.paths().map((path) => [path, Buffer.from(disk.peek(path)!).toString('base64')])
    await expect(open(disk)).rejects.toEqual(newer(segmentPaths(disk)[0]!))
    expect(disk.paths().map((path) => [path, Buffer.from(disk.peek(path)!).toString('base64')])).toEqual(
      before,
    )
    await expect(read(disk)).rejects.toEqual(newer(segmentPaths(disk)[0]!))
  })
})
