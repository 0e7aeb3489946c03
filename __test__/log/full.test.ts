/** P2, P7: the log's limit, a full disk, and what may be removed to make room. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ManualClock } from '../../src/clock.js'
import { LogUnavailable } from '../../src/errors.js'
import { Cursors } from '../../src/log/cursor.js'
import type { SegmentLog } from '../../src/log/log.js'
import { type Gap } from '../../src/log/reader.js'
import { allFrames, count, flipBit, framesOf, putEach, segmentPaths } from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { idle, MIXED_FRAMES, open, put, read, record, WRITER } from './support/run.js'

beforeEach(
  () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }),
)
afterEach(() => void vi.useRealTimers())

const MiB = 2 ** 20

const atOffsets = (...offsets: number[]) => ({ cursors: () => Promise.resolve(offsets) })

/** Puts records from `from` on until the log is not writable; the ids accepted. No batch may fail meanwhile. */
async function fill(log: SegmentLog, from: number, bytes = 900): Promise<number[]> {
  const ids: number[] = []
  for (let id = from; log.state === 'writable'; id++) {
    await put(log, record(id, bytes))
    ids.push(id)
    await idle(log)
    if (ids.length > 3000) throw new Error('the log is never full')
  }
  return ids
}

describe('P2: full', () => {
  it.each([
    ['zeroes ahead', {}, 40_000],
    ['blocks, and a file that grows', MIXED_FRAMES, 400_000],
  ])(
    "by the log's limit: before a batch fails, 503 with the reason, and never more than allowed (%s)",
    async (_, more, bytesMax) => {
      const disk = new MemoryDisk()
      const said: string[] = []
      const log = await open(disk, {
        ...more,
        bytesMax,
        say: (level, message) => said.push(`${level}: ${message}`),
      })
      disk.onCall = () => {
        expect(disk.usedBytes).toBeLessThanOrEqual(bytesMax + 100)
        return undefined
      }
      const ids = await fill(log, 0)
      expect(ids.length).toBeGreaterThan(20)
      expect(log.status()).toMatchObject({ state: 'full', durableOffset: ids.length, failovers: 0 })
      expect(log.status().reason).toContain(`${bytesMax} bytes`)
      expect(() => log.open(1)).toThrow(LogUnavailable)
      expect(() => log.open(1)).toThrow(
        expect.objectContaining({ reason: 'full', code: 'log_full' }) as Error,
      )
      await vi.advanceTimersByTimeAsync(10_000)
      expect(
        said.filter((line) => line.startsWith('warn: the log is full')),
        'said once',
      ).toHaveLength(1)
      expect(await read(disk, log.durableOffset)).toEqual(ids)
      await log.close()
    },
  )

  it.each([400, 600, 700, 900, 5000])(
    'by whatever limit, with frames of %i bytes that are blocks',
    async (bytes) => {
      for (let bytesMax = 40_000; bytesMax < 56_000; bytesMax += 350) {
        const disk = new MemoryDisk()
        const log = await open(disk, { ...MIXED_FRAMES, bytesMax })
        disk.onCall = () => {
          expect(disk.usedBytes).toBeLessThanOrEqual(bytesMax + 100)
          return undefined
        }
        await fill(log, 0, bytes)
        expect(log.status()).toMatchObject({ state: 'full', failovers: 0 })
        await log.close()
      }
    },
  )

  it('never beyond its limit by what failed frames left behind', async () => {
    const disk = new MemoryDisk()
    const [bytesMax, segmentBytes] = [200_000, 32_768]
    const log = await open(disk, { ...MIXED_FRAMES, bytesMax, segmentBytes, batchBytesMax: 16_384 })
    const sent = async (id: number, bytes: number): Promise<void> => {
      await put(log, record(id, bytes))?.catch(() => {})
      await idle(log)
    }
    let round = 0
    for (; log.state === 'writable'; round++) {
      for (let id = 0; id < 4 && log.state === 'writable'; id++) await sent(id, 900)
      if (log.state !== 'writable') break
      disk.onCall = ({ op, length }) => {
        if (op !== 'write' || length! < 6000) return undefined
        disk.onCall = undefined
        return { error: 'EIO', writtenBytes: length! }
      }
      await sent(4, 7000)
      disk.onCall = undefined
      expect(disk.usedBytes).toBeLessThanOrEqual(bytesMax + 100)
    }
    expect(round).toBeGreaterThan(3)
    await log.close()
  })

  it.each([512, 700, 900, 1100, 1300, 1500])(
    'by the disk: before a batch of %i bytes fails, and it comes back',
    async (bytes) => {
      const disk = new MemoryDisk({ limitBytes: 50_000 })
      const log = await open(disk)
      const ids = await fill(log, 0, bytes)
      expect(ids.length).toBeGreaterThan(15)
      expect(log.status()).toMatchObject({ state: 'full', failovers: 0 })
      expect(() => log.open(1)).toThrow(expect.objectContaining({ reason: 'full' }) as Error)
      await vi.advanceTimersByTimeAsync(5000)
      expect(log.state).toBe('full')
      disk.limitBytes = 80_000
      await vi.advanceTimersByTimeAsync(1000)
      expect(log.state).toBe('writable')
      const more = await fill(log, ids.length, bytes)
      expect(more.length).toBeGreaterThan(10)
      expect(await read(disk, log.durableOffset)).toEqual([...ids, ...more])
      // A start on a full disk needs no hand, and takes what still fits.
      await log.close()
      const again = await open(disk.crash())
      expect(['full', 'writable']).toContain(again.state)
      expect(again.durableOffset).toBe(ids.length + more.length)
      await again.close()
    },
  )

  it('P9: a step of zeroes that finds no space gives back what it took, or no cursor could ever move', async () => {
    const disk = new MemoryDisk({ limitBytes: 9.5 * MiB })
    const [segmentBytes, batchBytesMax, bytesMax] = [16 * MiB, MiB, 2 ** 40]
    const cursors = new Cursors(WRITER, disk)
    const offsets = async (): Promise<number[]> => (await cursors.list()).map(({ offset }) => offset)
    const log = await open(disk, { segmentBytes, batchBytesMax, bytesMax, cursors: offsets })
    const ids = await fill(log, 0, MiB / 2)
    expect(log.status()).toMatchObject({ state: 'full', failovers: 0 })
    await cursors.set('kafka', ids.length)
    expect(await read(disk, log.durableOffset)).toEqual(ids)
    await log.close()
  })

  it('a start on a disk without any space left opens, reads, and is full until there is some', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 9, 900)
    const after = disk.crash()
    await log.close()
    after.limitBytes = 1
    const again = await open(after)
    expect(again.status()).toMatchObject({ state: 'full', durableOffset: 9, damage: { tornBytes: 0 } })
    expect(await read(after, 9)).toEqual(count(0, 9))
    after.limitBytes = undefined
    await vi.advanceTimersByTimeAsync(1000)
    await putEach(again, 9, 12)
    expect(await read(after, 12)).toEqual(count(0, 12))
    await again.close()
  })

  it('requests that wait for room are told at once, those in the batch keep it', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk, { batchBytesMax: 3000, bytesMax: 24_000 })
    const told: string[] = []
    let waiting: number[] = []
    const attempt = (id: number): void => {
      const answer = put(log, record(id, 900))
      if (answer === undefined) return void waiting.push(id)
      answer.then(
        () => told.push('kept'),
        (error: LogUnavailable) => told.push(error.reason),
      )
    }
    log.onRoom = () => {
      const again = waiting
      waiting = []
      for (const id of again) {
        try {
          attempt(id)
        } catch (error) {
          told.push((error as LogUnavailable).reason)
        }
      }
    }
    for (let id = 0; id < 60; id++) attempt(id)
    await vi.waitFor(() => expect(told).toHaveLength(60))
    expect(waiting).toEqual([])
    expect(new Set(told)).toEqual(new Set(['kept', 'full']))
    expect((await read(disk, log.durableOffset)).length).toBe(
      told.filter((answer) => answer === 'kept').length,
    )
    await log.close()
  })
})

describe('P7: retention at the limit', () => {
  const limits = { bytesMax: 24_000 }

  it('without any cursor nothing goes', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { ...limits, ...atOffsets() })
    const ids = await fill(log, 0)
    expect(log.status()).toMatchObject({ firstOffset: 0, dropped: 0 })
    expect(await read(disk, log.durableOffset)).toEqual(ids)
    await log.close()
  })

  it('only segments that all cursors have passed go, and when a cursor moves the log goes on', async () => {
    const disk = new MemoryDisk()
    const offsets: number[] = []
    const log = await open(disk, { ...limits, cursors: () => Promise.resolve(offsets) })
    offsets.push(9, 1000)
    await fill(log, 0)
    // 4 records a segment: the slower cursor stands in the third.
    expect(log.status()).toMatchObject({ state: 'full', firstOffset: 8, dropped: 0 })
    offsets[0] = 8 + 4
    await vi.advanceTimersByTimeAsync(1000)
    expect(log.state).toBe('writable')
    const full = await fill(log, log.durableOffset)
    expect(full.length).toBeGreaterThan(0)
    expect(log.status()).toMatchObject({ firstOffset: 12, dropped: 0 })
    const gaps: Gap[] = []
    const ids = await read(disk, log.durableOffset, { from: 3, onGap: (gap) => gaps.push(gap) })
    expect(ids[0]).toBe(12)
    expect(gaps).toEqual([{ from: 3, to: 12 }])
    await log.close()
    const again = await open(disk, { ...limits, ...atOffsets(12, 20) })
    expect(again.status()).toMatchObject({ firstOffset: 12, newIds: 0 })
    await again.close()
  })

  it.each(['refuse', 'drop-oldest'] as const)(
    'the segment being written always stays (%s)',
    async (whenFull) => {
      const disk = new MemoryDisk()
      const current: { log?: SegmentLog } = {}
      // Room for one segment and the spare: what is passed goes as soon as the next one stands.
      const cursors = () => Promise.resolve([current.log?.durableOffset ?? 0])
      const log = await open(disk, { bytesMax: 8192 + 300, whenFull, cursors })
      current.log = log
      for (let id = 0; id < 40; id++) {
        await put(log, record(id, 900))
        await idle(log)
        if (log.state === 'full') await vi.advanceTimersByTimeAsync(1000)
        expect((await read(disk, log.durableOffset)).at(-1)).toBe(id)
      }
      expect(log.status()).toMatchObject({ state: 'writable', dropped: 0 })
      expect(log.status().segments).toBeLessThan(3)
      await log.close()
    },
  )

  it('an unreadable cursor stops removal: nothing goes on the word of the others', async () => {
    const disk = new MemoryDisk()
    const cursors = new Cursors(WRITER, disk, new ManualClock(1_795_500_000_000))
    const list = async () => (await cursors.list()).map(({ offset }) => offset)
    const log = await open(disk, { ...limits, cursors: list })
    await cursors.set('kafka', 12)
    await cursors.set('other', 12)
    await flipBit(disk, `${WRITER}/cursors/other.json`, 0, 3)
    const ids = await fill(log, 0)
    expect(log.status()).toMatchObject({ state: 'full', firstOffset: 0, dropped: 0 })
    expect(await read(disk, log.durableOffset)).toEqual(ids)
    await cursors.set('other', 12)
    await vi.advanceTimersByTimeAsync(1000)
    // As many as are needed.
    expect(log.status()).toMatchObject({ state: 'writable', firstOffset: 4, dropped: 0 })
    await log.close()
  })

  it('drop-oldest goes on, and counts what no cursor had passed', async () => {
    const disk = new MemoryDisk()
    const offsets: number[] = []
    const log = await open(disk, {
      ...limits,
      whenFull: 'drop-oldest',
      cursors: () => Promise.resolve(offsets),
    })
    offsets.push(6)
    await putEach(log, 0, 60, 900)
    await idle(log)
    const { firstOffset, dropped, bytes } = log.status()
    expect(firstOffset).toBeGreaterThan(30)
    expect(dropped).toBe(firstOffset - 6)
    expect(bytes).toBeLessThanOrEqual(24_000)
    expect(await read(disk, log.durableOffset)).toEqual(count(firstOffset, 60))
    await log.close()
  })

  it('a removal that fails is not counted as one, and tried again', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { ...limits, whenFull: 'drop-oldest' })
    disk.onCall = (call) =>
      call.op === 'unlink' && !call.path.endsWith('spare') ? { error: 'EIO' } : undefined
    await fill(log, 0)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(log.status()).toMatchObject({ state: 'failed', firstOffset: 0, dropped: 0 })
    disk.onCall = undefined
    await vi.advanceTimersByTimeAsync(30_000)
    expect(log.state).toBe('writable')
    expect(log.status().dropped).toBe(log.status().firstOffset)
    await log.close()
  })

  it('a segment that somebody removed by hand is gone, and the log goes on', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { ...limits, whenFull: 'drop-oldest' })
    await putEach(log, 0, 8, 900)
    const [oldest] = (await disk.readdir(`${WRITER}/log`)).filter((name) => name.endsWith('.log')).toSorted()
    await disk.unlink(`${WRITER}/log/${oldest}`)
    await putEach(log, 8, 60, 900)
    expect(log.status()).toMatchObject({ state: 'writable', durableOffset: 60 })
    expect(await read(disk, 60)).toEqual(count(log.status().firstOffset, 60))
    await log.close()
  })

  it('makes room on a full disk as well, where segments may go', async () => {
    const disk = new MemoryDisk({ limitBytes: 30_000 })
    const log = await open(disk, { whenFull: 'drop-oldest' })
    await putEach(log, 0, 80, 900)
    expect(log.status()).toMatchObject({ state: 'writable', durableOffset: 80 })
    const { firstOffset } = log.status()
    expect(await read(disk, 80)).toEqual(count(firstOffset, 80))
    await log.close()
  })
})

describe('retention by age', () => {
  const DAY_MS = 86_400_000

  it('removes what is old and passed, never the newest segment', async () => {
    const disk = new MemoryDisk()
    const clock = new ManualClock(1_795_500_000_000)
    const offsets: number[] = []
    const log = await open(disk, { clock, retentionMs: DAY_MS, cursors: () => Promise.resolve(offsets) })
    await putEach(log, 0, 10, 900)
    clock.advance(DAY_MS / 2)
    await putEach(log, 10, 18, 900)
    clock.advance(DAY_MS)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(log.status().firstOffset, 'no cursor').toBe(0)
    offsets.push(6)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(log.status().firstOffset, 'passed').toBe(4)
    offsets[0] = 18
    await vi.advanceTimersByTimeAsync(60_000)
    // The third segment's youngest record is as old as the fourth segment, which is not a day old … it is.
    expect(log.status().firstOffset).toBe(16)
    expect(await read(disk, 18)).toEqual([16, 17])
    clock.advance(10 * DAY_MS)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(log.status()).toMatchObject({ firstOffset: 16, segments: 1, dropped: 0 })
    await log.close()
  })

  it('takes a segment with a damaged header for as young as the one behind it', async () => {
    const disk = new MemoryDisk()
    const clock = new ManualClock(1_795_500_000_000)
    const first = await open(disk, { clock })
    await putEach(first, 0, 12, 900)
    await first.close()
    await flipBit(disk, segmentPaths(disk)[1]!, 20)
    clock.advance(1000)
    const log = await open(disk, { clock, retentionMs: DAY_MS, ...atOffsets(12) })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(log.status().firstOffset).toBe(0)
    clock.advance(2 * DAY_MS)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(log.status().firstOffset).toBe(8)
    await log.close()
  })
})

describe('a cursor ahead of the log', () => {
  it('means that the log was wiped or restored: new id, on behind the cursor, counted and said', async () => {
    const disk = new MemoryDisk()
    const first = await open(disk)
    await putEach(first, 0, 5)
    await first.close()
    const { writerId } = first.status()
    const said: unknown[] = []
    const log = await open(disk, { ...atOffsets(3, 40), say: (...all) => said.push(all) })
    expect(log.status()).toMatchObject({ newIds: 1, nextOffset: 40, durableOffset: 40, firstOffset: 0 })
    expect(log.status().writerId).not.toBe(writerId)
    expect(said).toContainEqual([
      'warn',
      expect.stringContaining('new id') as string,
      { log_end: 5, goes_on_at: 40 },
    ])
    await putEach(log, 40, 42)
    const gaps: Gap[] = []
    expect(await read(disk, 42, { onGap: (gap) => gaps.push(gap) })).toEqual([0, 1, 2, 3, 4, 40, 41])
    expect(gaps).toEqual([{ from: 5, to: 40 }])
    expect(await read(disk, 42, { from: 40 })).toEqual([40, 41])
    const renewed = log.status().writerId
    await log.close()
    const again = await open(disk.crash(), atOffsets(3, 42))
    expect(again.status()).toMatchObject({ newIds: 0, writerId: renewed, durableOffset: 42 })
    await again.close()
  })

  it('on an empty directory, too; and a cursor at the end is none', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, atOffsets(7))
    expect(log.status()).toMatchObject({ newIds: 1, nextOffset: 7, firstOffset: 7 })
    await putEach(log, 7, 9)
    await log.close()
    const again = await open(disk, atOffsets(9))
    expect(again.status()).toMatchObject({ newIds: 0, nextOffset: 9 })
    expect(framesOf(disk, segmentPaths(disk)[0]!).map((frame) => frame.firstOffset)).toEqual([7, 8])
    await again.close()
  })

  it('killed at any call of that start: the next one ends the same', async () => {
    const disk = new MemoryDisk()
    const first = await open(disk)
    await putEach(first, 0, 5)
    await first.close()
    for (let kill = 1; ; kill++) {
      const hurt = disk.crash({ seed: kill })
      let calls = 0
      hurt.onCall = () => {
        if (++calls === kill) hurt.halt()
        return undefined
      }
      const opened = open(hurt, atOffsets(40))
      const log = await Promise.race([
        opened,
        new Promise<undefined>((resolve) => setImmediate(resolve, undefined)),
      ])
      if (log !== undefined) {
        hurt.onCall = undefined
        expect(kill).toBeGreaterThan(20)
        await log.close()
        break
      }
      const after = hurt.crash({ seed: 100 + kill })
      const again = await open(after, atOffsets(40))
      expect(again.nextOffset).toBe(40)
      await putEach(again, 40, 42)
      expect(await read(after, 42)).toEqual([0, 1, 2, 3, 4, 40, 41])
      await again.close()
    }
  })

  it('an unreadable cursor is no reason to take a new id', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 5)
    await log.close()
    const again = await open(disk, { cursors: () => Promise.reject(new Error('damaged')) })
    expect(again.status()).toMatchObject({ newIds: 0, writerId: log.status().writerId, nextOffset: 5 })
    await again.close()
  })
})

it('a batch that needs more than is left under the limit is refused, and smaller ones are not', async () => {
  const disk = new MemoryDisk()
  const log = await open(disk, { bytesMax: 12_000 })
  await expect(put(log, record(900, 8000))).rejects.toMatchObject({ reason: 'full' })
  await idle(log)
  await putEach(log, 0, 3)
  expect(log.status()).toMatchObject({ state: 'writable', durableOffset: 3, failovers: 0 })
  expect(allFrames(disk)).toHaveLength(3)

  await log.close()
})
