/** P1, P9: readers show what is durable, all of it and once, whatever happens to the log meanwhile. */
import { describe, expect, it, vi } from 'vitest'
import { SluicegateError } from '../../src/errors.js'
import type { DurableSource } from '../../src/log/durable.js'
import type { Log } from '../../src/log/types.js'
import { type DamagedPlace, type Gap, readLog, type ReadOptions } from '../../src/log/reader.js'
import { allFrames, count, flipBit, overwrite, putEach, putTogether, segmentPaths } from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { idle, LOG, open, put, read, record } from './support/run.js'

interface Told {
  readonly ids: number[]
  readonly gaps: Gap[]
  readonly damage: DamagedPlace[]
}

/** Reads on in the background until told to stop; what it has got so far is in `told`. */
function follow(disk: MemoryDisk, durable: DurableSource, more: Partial<ReadOptions> = {}) {
  const told: Told = { ids: [], gaps: [], damage: [] }
  const abort = new AbortController()
  const done = (async () => {
    const records = readLog({
      directory: LOG,
      from: 'start',
      follow: true,
      disk,
      durable,
      signal: abort.signal,
      onGap: (gap) => told.gaps.push(gap),
      onDamage: (place) => told.damage.push(place),
      ...more,
    })
    for await (const { value } of records) {
      told.ids.push((JSON.parse(Buffer.from(value).toString()) as { id: number }).id)
    }
  })()
  const stop = async (): Promise<void> => {
    abort.abort()
    await done
  }
  const gets = (ids: readonly number[]): Promise<void> =>
    vi.waitFor(() => expect(told.ids).toEqual(ids), { timeout: 5000, interval: 5 })
  return { told, stop, gets }
}

const of = (offset: () => number | undefined): DurableSource => ({ offset: () => Promise.resolve(offset()) })

describe('reader: where it begins', () => {
  it('at the start, at an offset inside of a batch, at the end, and beyond it', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    for (let batch = 0; batch < 10; batch++) await putTogether(log, count(batch * 5, batch * 5 + 5), 200)
    for (const limit of [50, undefined]) {
      expect(await read(disk, limit)).toEqual(count(0, 50))
      for (let from = 0; from <= 51; from++)
        expect(await read(disk, limit, { from })).toEqual(count(from, 50))
      expect(await read(disk, limit, { from: 'end' })).toEqual([])
      expect(await read(disk, limit, { from: 1_000_000 })).toEqual([])
    }
    expect(segmentPaths(disk).length).toBeGreaterThan(2)
    await log.close()
  })

  it('at the end without an owner it is behind the last record, and reports no gaps', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    for (let batch = 0; batch < 4; batch++) await putTogether(log, count(batch * 3, batch * 3 + 3))
    await log.close()
    const reader = follow(
      disk,
      of(() => undefined),
      { from: 'end' },
    )
    await new Promise((resolve) => setTimeout(resolve, 50))
    const again = await open(disk)
    await putEach(again, 100, 102)
    await reader.gets([100, 101])
    expect(reader.told).toMatchObject({ gaps: [], damage: [] })
    await reader.stop()
    await again.close()
  })

  it('an empty or missing log has nothing', async () => {
    const disk = new MemoryDisk()
    await disk.mkdir(LOG)
    for (const from of ['start', 'end', 7] as const) expect(await read(disk, undefined, { from })).toEqual([])
  })

  it('an offset that retention has removed: the gap is told', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { bytesMax: 16_384, whenFull: 'drop-oldest' })
    await putEach(log, 0, 60, 1000)
    const { firstOffset } = log.status()
    expect(firstOffset).toBeGreaterThan(10)
    const gaps: Gap[] = []
    expect(await read(disk, 60, { from: 3, onGap: (gap) => gaps.push(gap) })).toEqual(count(firstOffset, 60))
    expect(gaps).toEqual([{ from: 3, to: firstOffset }])
    await log.close()
  })
})

describe('reader: how far it goes', () => {
  it('P1: never past the durable offset: a batch that is written and not yet synced is not shown', async () => {
    const finishes: (() => void)[] = []
    let holding = false
    const disk = new MemoryDisk({
      completion: (finish, call) =>
        holding && call.op === 'sync' ? finishes.push(finish) : queueMicrotask(finish),
    })
    const log = await open(disk)
    await putEach(log, 0, 2)
    const reader = follow(
      disk,
      of(() => log.durableOffset),
    )
    await reader.gets([0, 1])
    holding = true
    const waiting = put(log, record(2))!
    await vi.waitFor(() => expect(finishes).toHaveLength(1))
    expect(allFrames(disk), 'it is whole in the file').toHaveLength(3)
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(reader.told.ids).toEqual([0, 1])
    expect(await read(disk, log.durableOffset)).toEqual([0, 1])
    holding = false
    finishes[0]!()
    await waiting
    await reader.gets([0, 1, 2])
    expect(reader.told).toMatchObject({ gaps: [], damage: [] })
    await reader.stop()
    await log.close()
  })

  it('P1: a batch left in a segment that was given up is not shown, now or once the owner is gone', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    const reader = follow(
      disk,
      of(() => log.durableOffset),
    )
    await reader.gets([0, 1])
    disk.onCall = (call) => {
      if (call.op !== 'sync') return undefined
      disk.onCall = undefined
      return { error: 'EIO' }
    }
    await put(log, record(900))!.catch(() => {})
    await idle(log)
    await putEach(log, 2, 4)
    await reader.gets([0, 1, 2, 3])
    expect(await read(disk)).toEqual([0, 1, 2, 3])
    expect(reader.told).toMatchObject({ gaps: [], damage: [] })
    await reader.stop()
    await log.close()
  })

  it('an incomplete last batch is the end, not damage: of a live owner, and of none', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 3)
    const last = allFrames(disk).at(-1)!
    await overwrite(disk, last.path, last.position + 100, new Uint8Array(last.bytes - 100))
    for (const limit of [2, undefined]) {
      const reader = follow(
        disk,
        of(() => limit),
      )
      await reader.gets([0, 1])
      await new Promise((resolve) => setTimeout(resolve, 200))
      expect(reader.told).toEqual({ ids: [0, 1], gaps: [], damage: [] })
      await reader.stop()
    }
    await log.close()
  })

  it('P1: without an owner it syncs before it shows: also what came after it had opened the file', async () => {
    let owner = true
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    const reader = follow(
      disk,
      of(() => (owner ? 2 : undefined)),
    )
    await reader.gets([0, 1])
    // The owner writes a batch and is killed before its sync.
    disk.onCall = (call) => (call.op === 'sync' ? 'never' : undefined)
    void put(log, record(2))
    await vi.waitFor(() => expect(allFrames(disk)).toHaveLength(3))
    disk.onCall = undefined
    owner = false
    await reader.gets([0, 1, 2])
    await reader.stop()
    const after = disk.crash()
    const again = await open(after)
    expect(await read(after, again.durableOffset)).toEqual([0, 1, 2])
    await again.close()
  })

  it('stops when it is told to, also while it waits', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 3)
    const reader = follow(
      disk,
      of(() => log.durableOffset),
    )
    await reader.gets([0, 1, 2])
    const started = performance.now()
    await reader.stop()
    expect(performance.now() - started).toBeLessThan(1000)
    const aborted = AbortSignal.abort()
    expect(await read(disk, 3, { follow: true, signal: aborted })).toEqual([])
    await log.close()
  })
})

describe('reader: while the log goes on', () => {
  it.each(['owner_silent', 'owner_recovering'])('waits while its owner cannot answer: %s', async (code) => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 3)
    // Nobody owned it at first, when everything that is whole counts; whose it is now may still refuse the last batch.
    let answer: () => number | undefined = () => undefined
    const reader = follow(disk, { offset: async () => answer() })
    await reader.gets([0, 1, 2])
    const unanswered = vi.fn<() => number>(() => {
      throw new SluicegateError(code, 'it does not answer')
    })
    answer = unanswered
    await vi.waitFor(() => expect(unanswered).toHaveBeenCalled())
    await putEach(log, 3, 5)
    await vi.waitFor(() => expect(unanswered.mock.calls.length).toBeGreaterThan(3), { timeout: 5000 })
    expect(reader.told.ids).toEqual([0, 1, 2])
    answer = () => log.durableOffset
    await reader.gets([0, 1, 2, 3, 4])
    await reader.stop()
    await log.close()
  })

  it('follows over rolls, fail-overs and new starts: everything, once, in order (P6)', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    let log = await open(disk)
    const reader = follow(
      disk,
      of(() => log.durableOffset),
    )
    const accepted: number[] = []
    let syncs = 0
    disk.onCall = (call) => (call.op === 'sync' && ++syncs % 11 === 0 ? { error: 'EIO' } : undefined)
    for (let id = 0; id < 250; id++) {
      if (id === 120) {
        await log.close()
        log = await open(disk)
      }
      await put(log, record(id, 300))!.then(
        () => accepted.push(id),
        () => {},
      )
      await idle(log)
      await vi.waitFor(() => expect(log.state).toBe('writable'), { timeout: 5000, interval: 5 })
    }
    await reader.gets(accepted)
    expect(accepted.length).toBeGreaterThan(200)
    expect(accepted.length).toBeLessThan(250)
    expect(log.status().failovers).toBeGreaterThan(3)
    expect(reader.told).toMatchObject({ gaps: [], damage: [] })
    await reader.stop()
    await log.close()
  })

  it('a segment that is removed under it: the gap is told with its offsets, nothing comes twice', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { bytesMax: 16_384, whenFull: 'drop-oldest' })
    await putEach(log, 0, 3, 1000)
    let asked = 0
    // Reads slowly: much is gone between two looks.
    const reader = follow(
      disk,
      of(() => (asked++ === 0 ? 3 : log.durableOffset)),
    )
    await reader.gets([0, 1, 2])
    await putEach(log, 3, 60, 1000)
    await vi.waitFor(() => expect(reader.told.ids.at(-1)).toBe(59), { timeout: 5000 })
    const known = [...reader.told.ids, ...reader.told.gaps.flatMap(({ from, to }) => count(from, to))]
    expect(known.toSorted((a, b) => a - b)).toEqual(count(0, 60))
    expect(reader.told.gaps.length).toBeGreaterThan(0)
    await reader.stop()
    await log.close()
  })

  it('an empty segment that is replaced while no owner is there is not mistaken for the new one', async () => {
    const disk = new MemoryDisk()
    await (await open(disk)).close()
    const owner: { log?: Log } = {}
    const reader = follow(
      disk,
      of(() => owner.log?.durableOffset),
    )
    await new Promise((resolve) => setTimeout(resolve, 30))
    const log = await open(disk)
    let first = true
    disk.onCall = (call) => {
      if (call.op !== 'sync' || !first) return undefined
      first = false
      return { error: 'EIO' }
    }
    await put(log, record(900))!.catch(() => {})
    await idle(log)
    owner.log = log
    await putEach(log, 0, 2)
    await reader.gets([0, 1])
    await reader.stop()
    await log.close()
  })

  it('a batch that was just being written when it looked is not taken for damage', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    const [, second] = allFrames(disk)
    const whole = disk.peek(second!.path)!.slice(second!.position, second!.position + second!.bytes)
    await overwrite(disk, second!.path, second!.position + 70, new Uint8Array(second!.bytes - 70))
    let looks = 0
    const seen = {
      ...wrap(disk),
      // Nobody seemed to own the log; now somebody does and writes on, between two reads.
      open: async (path: string, flags: 'r' | 'r+' | 'wx+') => {
        const file = await disk.open(path, flags)
        return Object.assign(Object.create(file) as typeof file, {
          read: async (bytes: Uint8Array, position: number) => {
            const got = await file.read(bytes, position)
            if (position >= 64 && ++looks === 1) {
              await overwrite(disk, second!.path, second!.position, whole)
              await putEach(log, 2, 4)
            }
            return got
          },
        })
      },
    }
    const damage: DamagedPlace[] = []
    const durable = of(() => undefined)
    const ids: number[] = []
    const records = readLog({
      directory: LOG,
      from: 'start',
      disk: seen,
      durable,
      onDamage: (place) => damage.push(place),
    })
    for await (const { offset } of records) ids.push(offset)
    expect(damage).toEqual([])
    expect(ids).toEqual([0, 1, 2, 3])
    expect(looks).toBeGreaterThan(1)
    await log.close()
  })
})

/** Methods live on the prototype. */
function wrap(disk: MemoryDisk) {
  return {
    mkdir: disk.mkdir.bind(disk),
    readdir: disk.readdir.bind(disk),
    rename: disk.rename.bind(disk),
    unlink: disk.unlink.bind(disk),
    syncDirectory: disk.syncDirectory.bind(disk),
    freeBytes: disk.freeBytes.bind(disk),
    stat: disk.stat.bind(disk),
  }
}

describe('P9: damage before a live owner', () => {
  it('right before a batch that is not durable yet: that batch is shown once it is', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 5)
    const frames = allFrames(disk)
    await flipBit(disk, frames[3]!.path, frames[3]!.position + 70)
    // 3 is damaged, 4 is in the file and not yet durable.
    let limit = 4
    const reader = follow(
      disk,
      of(() => limit),
    )
    await reader.gets([0, 1, 2])
    await new Promise((resolve) => setTimeout(resolve, 100))
    limit = 5
    await reader.gets([0, 1, 2, 4])
    await putEach(log, 5, 7)
    limit = 7
    await reader.gets([0, 1, 2, 4, 5, 6])
    expect(reader.told.gaps).toEqual([{ from: 3, to: 4 }])
    const place = { path: frames[3]!.path, position: frames[3]!.position, bytes: frames[3]!.bytes }
    expect(reader.told.damage).toEqual([place])
    await reader.stop()
    await log.close()
  })

  it('at the very end: told once however long it is followed, and what comes after is shown', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 4)
    const frames = allFrames(disk)
    await flipBit(disk, frames[3]!.path, frames[3]!.position + 70)
    const reader = follow(
      disk,
      of(() => log.durableOffset),
    )
    await vi.waitFor(() => expect(reader.told.gaps).toEqual([{ from: 3, to: 4 }]), { timeout: 5000 })
    await new Promise((resolve) => setTimeout(resolve, 400))
    await putEach(log, 4, 6)
    await reader.gets([0, 1, 2, 4, 5])
    expect(reader.told.gaps).toEqual([{ from: 3, to: 4 }])
    expect(reader.told.damage).toHaveLength(1)
    await reader.stop()
    await log.close()
  })
})

it('a frame of blocks that is being written while nobody owns the log is no damage', async () => {
  const disk = new MemoryDisk()
  const log = await open(disk, { segmentBytes: 64 * 1024, blockFrameBytes: 500 })
  await putEach(log, 0, 1)
  await putEach(log, 1, 2, 900)
  await log.close()
  const [small, large] = allFrames(disk)
  const { path, position } = large!
  const whole = disk.peek(path)!.slice(position, position + large!.bytes)
  await overwrite(disk, path, position, new Uint8Array(large!.bytes))
  let reads = 0
  disk.onCall = ({ op }) => {
    // The header, zeroes behind the small frame, and whether anything stands there by now.
    const node = disk.nodeAt(path)
    if (op === 'read' && ++reads === 3 && node?.kind === 'file') node.change({ write: whole, position })
    return undefined
  }
  const found: unknown[] = []
  const onDamage = (place: unknown): void => void found.push(place)
  expect(await read(disk, undefined, { onDamage })).toEqual([0, 1])
  expect([reads > 2, found, path]).toEqual([true, [], small!.path])
})
