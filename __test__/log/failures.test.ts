/** P1, P2, P9: writes and syncs that fail. Nothing acknowledged is lost, nothing refused is read, and the log comes back. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LogUnavailable } from '../../src/errors.js'
import { decodeSegmentHeader, type SegmentHeader } from '../../src/log/format.js'
import type { SegmentLog } from '../../src/log/log.js'
import type { Log } from '../../src/log/types.js'
import { allFrames, framesOf, putEach, segmentPaths } from './support/files.js'
import { type DiskCall, type Fault, MemoryDisk } from './support/memory-disk.js'
import { idle, LOG, open, put, read, record } from './support/run.js'

afterEach(() => void vi.useRealTimers())

interface Answers {
  readonly accepted: number[]
  readonly refused: { id: number; error: unknown }[]
}

/** Sends a record and waits for its answer. */
async function send(log: Log, id: number, answers: Answers, bytes = 100): Promise<void> {
  try {
    const committed = put(log, record(id, bytes))
    if (committed === undefined) throw new Error('the run is meant to leave room')
    await committed
    answers.accepted.push(id)
  } catch (error) {
    answers.refused.push({ id, error })
  }
}

const headerOf = (disk: MemoryDisk, path: string): SegmentHeader =>
  decodeSegmentHeader(disk.peek(path)!.subarray(0, 64)) as SegmentHeader

/** Every n-th call that `fails` picks fails. */
function failEvery(
  disk: MemoryDisk,
  n: number,
  first: number,
  pick: (call: DiskCall) => Fault | undefined,
): void {
  let seen = 0
  disk.onCall = (call) => {
    const fault = pick(call)
    if (fault === undefined) return undefined
    return ++seen >= first && (seen - first) % n === 0 ? fault : undefined
  }
}

/** The next such call fails. */
function once(disk: MemoryDisk, pick: (call: DiskCall) => boolean): void {
  disk.onCall = (call) => {
    if (!pick(call)) return undefined
    disk.onCall = undefined
    return { error: 'EIO' }
  }
}

const ofSegments = (call: DiskCall): boolean =>
  call.path.startsWith(`${LOG}/0`) || call.path.endsWith('/spare')
const KINDS: Readonly<Record<string, (call: DiskCall) => Fault | undefined>> = {
  'a write fails': (call) => (call.op === 'write' && ofSegments(call) ? { error: 'EIO' } : undefined),
  'a write is short': (call) =>
    call.op === 'write' && ofSegments(call) ? { error: 'EIO', writtenBytes: call.length! >> 1 } : undefined,
  'a write is whole, and fails': (call) =>
    call.op === 'write' && ofSegments(call) ? { error: 'EIO', writtenBytes: call.length! } : undefined,
  'a write finds no space': (call) =>
    call.op === 'write' && ofSegments(call) ? { error: 'ENOSPC', writtenBytes: 30 } : undefined,
  'a sync fails': (call) => (call.op === 'sync' && ofSegments(call) ? { error: 'EIO' } : undefined),
  'the sync of the directory fails': (call) =>
    call.op === 'syncDirectory' && call.path === LOG ? { error: 'EIO' } : undefined,
  'a rename fails': (call) => (call.op === 'rename' ? { error: 'EIO' } : undefined),
  'an open fails': (call) => (call.op === 'open' ? { error: 'EMFILE' } : undefined),
  'a removal, cut or close fails': (call) =>
    ['unlink', 'truncate', 'close', 'size'].includes(call.op) ? { error: 'EIO' } : undefined,
}

/** What must hold however the disk failed: now, after a kill, and after a power loss. */
async function expectSound(disk: MemoryDisk, log: SegmentLog, answers: Answers): Promise<void> {
  expect(log.durableOffset).toBe(answers.accepted.length)
  expect(log.nextOffset).toBe(log.durableOffset)
  expect(await read(disk, log.durableOffset)).toEqual(answers.accepted)
  for (const after of [disk.crash(), disk.crash({ seed: 7 })]) {
    const gaps: unknown[] = []
    const again = await open(after)
    expect(await read(after, again.durableOffset, { onGap: (gap) => gaps.push(gap) })).toEqual(
      answers.accepted,
    )
    expect(gaps).toEqual([])
    await putEach(again, 9000, 9002)
    expect(await read(after, again.durableOffset)).toEqual([...answers.accepted, 9000, 9001])
    expect(again.status().damage.quarantinedBytes).toBe(0)
    await again.close()
  }
}

describe.each(Object.entries(KINDS))('P1, P2: %s', (name, pick) => {
  it.each([2, 3, 5, 7])(
    'at every %i-th call: waiters are told, the log comes back and loses nothing',
    async (n) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
      for (let first = 1; first <= n; first++) {
        const disk = new MemoryDisk()
        const log = await open(disk)
        const answers: Answers = { accepted: [], refused: [] }
        failEvery(disk, n, first, pick)
        for (let id = 0; id < 60; id++) {
          // Of different lengths, so that a batch that found no next segment is followed by one that needs none.
          await send(log, id, answers, 100 + 450 * (id % 4))
          if (log.state !== 'writable') await vi.advanceTimersByTimeAsync(1000)
        }
        disk.onCall = undefined
        await vi.advanceTimersByTimeAsync(31_000)
        expect(log.state).toBe('writable')
        await send(log, 60, answers)
        expect(answers.accepted.at(-1)).toBe(60)
        expect(answers.refused.every(({ error }) => error instanceof LogUnavailable)).toBe(true)
        // The others show themselves before a batch comes.
        if (!/^(a removal|an open)/.test(name)) expect(answers.refused.length).toBeGreaterThan(0)
        await expectSound(disk, log, answers)
        expect(
          segmentPaths(disk).filter((path) => framesOf(disk, path).length === 0).length,
        ).toBeLessThanOrEqual(2)
        await log.close()
      }
    },
  )
})

describe('P1: a failed batch', () => {
  it('is answered LogUnavailable, and its segment ends before it: the next one names that end', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 3)
    const [end] = allFrames(disk)
      .slice(-1)
      .map(({ position, bytes }) => position + bytes)
    const { epoch } = log.status()
    once(disk, (call) => call.op === 'sync')
    const refused = put(log, record(3))!
    await expect(refused).rejects.toThrow(LogUnavailable)
    await expect(refused).rejects.toMatchObject({ reason: 'failed', code: 'log_failed' })
    await putEach(log, 4, 6)
    const [first, second] = segmentPaths(disk)
    expect(headerOf(disk, second!)).toMatchObject({ firstOffset: 3, epoch: epoch + 1, previousEnd: end })
    expect(framesOf(disk, second!).map((frame) => frame.epoch)).toEqual([epoch + 1, epoch + 1])
    // The refused batch stands whole in the first segment, and belongs to nobody.
    expect(framesOf(disk, first!).map((frame) => frame.firstOffset)).toEqual([0, 1, 2, 3])
    expect(log.status()).toMatchObject({ failovers: 1, epoch: epoch + 1, nextOffset: 5, segments: 2 })
    expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 4, 5])
    expect(await read(disk)).toEqual([0, 1, 2, 4, 5])
    await log.close()
  })

  it('never comes back, whenever the process is killed and however often the next segment fails first', async () => {
    for (let kill = 0; ; kill++) {
      const disk = new MemoryDisk()
      const log = await open(disk)
      await putEach(log, 0, 3)
      once(disk, (call) => call.op === 'sync')
      await expect(put(log, record(900))).rejects.toThrow(LogUnavailable)
      await idle(log)
      expect(segmentPaths(disk)).toHaveLength(2)
      let calls = 0
      disk.onCall = (call) => {
        if (calls++ === kill) disk.halt()
        // Files keep the name they were opened by: batches go to `spare`.
        return call.op === 'write' && call.length! < 1000 && call.position! >= 64
          ? { error: 'EIO' }
          : undefined
      }
      const rest = (async () => {
        for (const id of [901, 902]) {
          await put(log, record(id))!.catch(() => {})
          await idle(log)
        }
      })()
      await Promise.race([rest, new Promise((resolve) => setTimeout(resolve, 20))])
      const isOver = calls <= kill
      disk.onCall = undefined
      for (const after of [disk.crash({ seed: 1 + kill }), disk.crash({ seed: 99 + kill }), disk.crash()]) {
        const again = await open(after)
        expect(await read(after, again.durableOffset), `killed at call ${kill}`).toEqual([0, 1, 2])
        await again.close()
      }
      if (isOver) {
        await log.close()
        break
      }
    }
  })

  it('of a new segment that stands although that was answered with an error hides nothing behind it', async () => {
    for (const op of ['syncDirectory', 'size'] as const) {
      const disk = new MemoryDisk()
      const log = await open(disk)
      await putEach(log, 0, 3, 1000)
      disk.onCall = (call) => (call.op === op ? { error: 'EIO' } : undefined)
      // Does not fit: its segment is renamed, and only then an error comes.
      await expect(put(log, record(900, 1500))).rejects.toThrow(LogUnavailable)
      disk.onCall = undefined
      await vi.waitFor(() => expect(log.state).toBe('writable'), { timeout: 5000 })
      // Would have fitted into the old segment, whose offsets are the new one's by now.
      await putEach(log, 3, 6, 100)
      expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3, 4, 5])
      const again = await open(disk.crash())
      expect(again.nextOffset).toBe(6)
      await again.close()
      await log.close()
    }
  })

  it('leaves no pile of empty segments on a disk that keeps failing, and each end is named rightly', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    const end = allFrames(disk).reduce((sum, { bytes }) => sum + bytes, 64)
    disk.onCall = (call) =>
      call.op === 'write' && call.position! >= 64 && call.length! < 1000 ? { error: 'EIO' } : undefined
    for (let id = 900; id < 930; id++) {
      await expect(put(log, record(id))).rejects.toThrow(LogUnavailable)
      await idle(log)
      expect(segmentPaths(disk).length).toBeLessThanOrEqual(2)
      expect(headerOf(disk, segmentPaths(disk).at(-1)!).previousEnd).toBe(end)
    }
    disk.onCall = undefined
    await putEach(log, 2, 4)
    expect(log.status()).toMatchObject({ failovers: 30, segments: 2, durableOffset: 4 })
    expect(log.status().bytes).toBe(disk.usedBytes - disk.peek('/data/0/writer.json')!.length)
    expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3])
    await log.close()
    const again = await open(disk)
    expect(await read(disk, again.durableOffset)).toEqual([0, 1, 2, 3])
    await again.close()
  })

  it('of the very first segment: the name is taken, the next one has its epoch in it', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    disk.onCall = (call) => (call.op === 'sync' || call.op === 'unlink' ? { error: 'EIO' } : undefined)
    await expect(put(log, record(900))).rejects.toThrow(LogUnavailable)
    disk.onCall = (call) =>
      call.op === 'unlink' && !call.path.endsWith('spare') ? { error: 'EIO' } : undefined
    await vi.waitFor(() => expect(log.state).toBe('writable'), { timeout: 5000 })
    await putEach(log, 0, 2)
    expect(segmentPaths(disk)).toEqual([
      `${LOG}/00000000000000000000.log`,
      `${LOG}/00000000000000000000-2.log`,
    ])
    expect(await read(disk, log.durableOffset)).toEqual([0, 1])
    disk.onCall = undefined
    const after = disk.crash()
    const again = await open(after)
    expect(again.status()).toMatchObject({ epoch: 3, durableOffset: 2 })
    expect(await read(after, again.durableOffset)).toEqual([0, 1])
    for (const one of [log, again]) await one.close()
  })

  it('whose zeroes cannot be written because the disk fails there moves to another segment', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { segmentBytes: 16 * 2 ** 20, batchBytesMax: 2 ** 21, bytesMax: 2 ** 30 })
    await putEach(log, 0, 2, 100_000)
    const [bad] = segmentPaths(disk)
    once(disk, (call) => call.op === 'write' && call.position! >= 4 * 2 ** 20)
    await putEach(log, 2, 30, 100_000)
    expect(await read(disk, log.durableOffset)).toEqual(Array.from({ length: 30 }, (_, id) => id))
    expect(segmentPaths(disk).length).toBeGreaterThan(1)
    expect(segmentPaths(disk)).toContain(bad)
    expect(log.status().failovers).toBe(1)
    await log.close()
  })
})

describe('P2: a disk that refuses for long', () => {
  it('is tried again after 1, 2, 4, 8, 16, 30 and 30 seconds, and then from 1 on', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const disk = new MemoryDisk()
    const said: string[] = []
    const log = await open(disk, { say: (level, message) => said.push(`${level}: ${message}`) })
    await putEach(log, 0, 2)
    for (let outage = 0; outage < 2; outage++) {
      let tries = 0
      disk.onCall = (call) => {
        // Trying begins with a new spare.
        if (call.op === 'open') tries++
        return ['write', 'sync', 'open'].includes(call.op) ? { error: 'EIO' } : undefined
      }
      await expect(put(log, record(900))).rejects.toThrow(LogUnavailable)
      await idle(log)
      tries = 0
      for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
        expect(log.state).toBe('failed')
        expect(() => log.open(1)).toThrow(expect.objectContaining({ reason: 'failed' }) as Error)
        const before = tries
        await vi.advanceTimersByTimeAsync(seconds * 1000 - 1)
        expect(tries, `not before ${seconds} s`).toBe(before)
        await vi.advanceTimersByTimeAsync(1)
        expect(tries, `after ${seconds} s`).toBeGreaterThan(before)
      }
      disk.onCall = undefined
      await vi.advanceTimersByTimeAsync(30_000)
      expect(log.state).toBe('writable')
      await putEach(log, 2 + outage, 3 + outage)
    }
    expect(said.filter((line) => line.startsWith('error: the log is failed'))).toHaveLength(2)
    expect(said.filter((line) => line.includes('is writable again'))).toHaveLength(2)
    expect(log.status()).toMatchObject({ reason: '', durableOffset: 4 })
    expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3])
    await log.close()
    expect(vi.getTimerCount()).toBe(0)
  })
})
