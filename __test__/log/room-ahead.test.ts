/** What stands ready in the file before a frame comes (docs/LOG_FORMAT.md 2). */
import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES, blockEnd } from '../../src/log/format.js'
import { allFrames, count, putEach, segmentPaths } from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { idle, MIXED_FRAMES, open, put, read, record } from './support/run.js'

describe('room ahead of the frames', () => {
  const ROOMY = { segmentBytes: 2 ** 24, batchBytesMax: 2 ** 22, bytesMax: 2 ** 30 }
  const STEP = 2 ** 21
  const fileBytes = (disk: MemoryDisk): number => disk.peek(segmentPaths(disk).at(-1)!)!.length
  const end = (disk: MemoryDisk): number => {
    const { position, bytes } = allFrames(disk).at(-1)!
    return position + bytes
  }

  it('is zeroes for small frames, and the growth of the file for large ones', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, ROOMY)
    await putEach(log, 0, 3)
    expect(fileBytes(disk)).toBeGreaterThan(end(disk) + STEP)
    await putEach(log, 3, 23, 600_000)
    await idle(log)
    expect(fileBytes(disk)).toBe(blockEnd(end(disk)))
    const { bytes } = log.status()
    expect(bytes, 'what the next frames may take is counted').toBeGreaterThanOrEqual(end(disk) + 2 * STEP)
    expect(bytes).toBeLessThanOrEqual(blockEnd(end(disk)) + 3 * STEP)
    await putEach(log, 23, 24)
    await idle(log)
    expect(fileBytes(disk)).toBeGreaterThan(end(disk) + STEP)
    await log.close()
    expect(await read(disk)).toEqual(count(0, 24))
  })

  it('is zeroes, written as blocks are, for frames of blocks', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, ROOMY)
    await putEach(log, 0, 300, 20_000)
    await idle(log)
    expect(allFrames(disk).every(({ position }) => position % BLOCK_BYTES === 0)).toBe(true)
    const frames = disk.calls.filter(({ length }) => length! > 20_000 && length! < STEP)
    const zeroes = disk.calls.filter(({ number, length }) => number > frames[0]!.number && length === STEP)
    expect(zeroes.length).toBeGreaterThan(1)
    expect([...frames, ...zeroes].every(({ asBlocks }) => asBlocks)).toBe(true)
    expect(fileBytes(disk)).toBeGreaterThanOrEqual(end(disk) + STEP)
    expect(fileBytes(disk) % BLOCK_BYTES).toBe(0)
    await log.close()
    expect(await read(disk)).toEqual(count(0, 300))
  })

  it('is counted, whatever comes: never less than the files have', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { ...MIXED_FRAMES, batchBytesMax: 20_000, bytesMax: 2 ** 24 })
    const others = disk.usedBytes - log.status().bytes
    for (let id = 0; id < 400; id++) {
      await put(log, record(id, 60 + ((id * id * 37) % 9000)))
      expect(disk.usedBytes).toBeLessThanOrEqual(log.status().bytes + others)
    }
    await log.close()
    expect(await read(disk)).toEqual(count(0, 400))
  })

  it('is zeroes for large ones, too, while the disk is nearly full', async () => {
    const disk = new MemoryDisk({ limitBytes: 100 * 2 ** 20 })
    const log = await open(disk, ROOMY)
    await putEach(log, 0, 20, 600_000)
    await idle(log)
    expect(fileBytes(disk)).toBeGreaterThanOrEqual(Math.min(end(disk) + STEP, ROOMY.segmentBytes))
    await log.close()
  })
})
