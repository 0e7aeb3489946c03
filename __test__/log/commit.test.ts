/** Group commit: who shares a batch, who waits, in which order, and how it all ends. */
import { spawnSync } from 'node:child_process'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ManualClock } from '../../src/clock.js'
import { Content } from '../../src/decode/decoder.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { LogUnavailable } from '../../src/errors.js'
import { Intake, type IngestRequest } from '../../src/intake.js'
import { Ledger } from '../../src/ledger.js'
import { readLog } from '../../src/log/reader.js'
import type { Log } from '../../src/log/types.js'
import { Rejects } from '../../src/rejects.js'
import { RequestIds } from '../../src/request-id.js'
import { OPTIONS } from '../decode/harness.js'
import { allFrames, count, framesOf, putEach, segmentPaths } from './support/files.js'
import { type DiskCall, MemoryDisk } from './support/memory-disk.js'
import { idle, LOG, open, options, put, read, record } from './support/run.js'

afterEach(() => void vi.useRealTimers())

/** A disk whose syncs of batches end when told to. */
class HeldDisk extends MemoryDisk {
  held = false
  readonly finishes: (() => void)[] = []

  constructor() {
    super({
      completion: (finish: () => void, call: DiskCall) => {
        if (this.held && call.op === 'sync') this.finishes.push(finish)
        else queueMicrotask(finish)
      },
    })
  }

  /** Resolves when a sync waits. */
  syncing = (): Promise<void> => vi.waitFor(() => expect(this.finishes).toHaveLength(1), { interval: 1 })

  release(): void {
    this.finishes.splice(0).forEach((finish) => finish())
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('group commit', () => {
  it('while a batch is on its way the next one takes a megabyte, and more when the disk is slow', async () => {
    const disk = new HeldDisk()
    const clock = new ManualClock(0)
    const large = { batchBytesMax: 2 ** 23, segmentBytes: 2 ** 24, bytesMax: 2 ** 30 }
    const log = await open(disk, { ...large, clock, nextBatchBytes: 2 ** 20 })
    let rooms = 0
    log.onRoom = () => rooms++
    disk.held = true
    const first = [0, 1, 2].map((id) => put(log, record(id, 600_000))!)
    expect(log.nextOffset, 'as much as comes at once while nothing is written').toBe(3)
    await disk.syncing()
    const second = [put(log, record(3, 600_000))!, put(log, record(4, 600_000))!]
    expect(put(log, record(5))).toBeUndefined()
    clock.advance(19)
    expect(put(log, record(5))).toBeUndefined()
    clock.advance(21)
    await vi.waitFor(() => expect(rooms, 'whoever waits hears of it without asking').toBeGreaterThan(0))
    second.push(put(log, record(5))!)
    disk.release()
    await Promise.all(first)
    await disk.syncing()
    const third = put(log, record(6))!
    disk.held = false
    disk.release()
    await Promise.all([...second, third])
    expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3, 4, 5, 6])
    await log.close()
  })

  it('frames of many commits carry the checksum that readers expect, whatever a failed batch left behind', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { batchBytesMax: 200_000, segmentBytes: 1_000_000, bytesMax: 100_000_000 })
    const batch = (from: number): Promise<unknown>[] =>
      Array.from({ length: 13 }, (_, index) => put(log, record(from + index, 5000 + index))!)
    await Promise.all(batch(0))
    disk.onCall = ({ op, path }) => (op === 'write' && path.startsWith(LOG) ? { error: 'EIO' } : undefined)
    const [failed, ...others] = batch(100)
    await expect(failed).rejects.toThrow('EIO')
    await Promise.allSettled(others)
    disk.onCall = undefined
    await vi.waitFor(() => expect(log.state).toBe('writable'))
    await Promise.all(batch(13))
    await log.close()
    expect(await read(disk)).toEqual(Array.from({ length: 26 }, (_, index) => index))
  })
  it('requests of one event-loop turn share a batch; those that come during its sync share the next one', async () => {
    const disk = new HeldDisk()
    const log = await open(disk)
    disk.held = true
    const first = [0, 1, 2].map((id) => put(log, record(id))!)
    await disk.syncing()
    const second: Promise<unknown>[] = []
    for (let id = 3; id < 8; id++) {
      second.push(put(log, record(id))!)
      await turn()
    }
    expect(disk.finishes, 'one sync at a time').toHaveLength(1)
    expect(log).toMatchObject({ durableOffset: 0, nextOffset: 8 })
    disk.release()
    expect(await Promise.all(first)).toEqual([0, 0, 0].map((firstOffset) => ({ firstOffset })))
    expect(log.durableOffset).toBe(3)
    await disk.syncing()
    disk.release()
    expect(await Promise.all(second)).toEqual([3, 3, 3, 3, 3].map((firstOffset) => ({ firstOffset })))
    expect(allFrames(disk).map(({ firstOffset, records }) => [firstOffset, records])).toEqual([
      [0, 3],
      [3, 5],
    ])
    expect(log.status()).toMatchObject({ batches: 2, records: 8 })
    disk.held = false
    await log.close()
  })

  it('P1: nobody is answered before the sync has ended, and at most one write and sync is in flight', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk)
    let inFlight = 0
    disk.onCall = (call) => {
      if (call.op !== 'write' && call.op !== 'sync') return undefined
      inFlight = disk.calls.filter(
        ({ op, state }) => ['write', 'sync'].includes(op) && state === 'running',
      ).length
      expect(inFlight).toBe(1)
      return undefined
    }
    const answers: Promise<void>[] = []
    for (let id = 0; id < 200; id++) {
      const synced = (): number =>
        disk.calls.filter(({ op, state }) => op === 'sync' && state === 'done').length
      const before = synced()
      const answer = put(log, record(id))
      if (answer === undefined) break
      answers.push(answer.then(() => expect(synced()).toBeGreaterThan(before)))
      if (id % 3 === 0) await turn()
    }
    await Promise.all(answers)
    expect(answers.length).toBeGreaterThan(50)
    await log.close()
  })

  it('the room may be full to the last byte; one byte more waits, and is told when there is room', async () => {
    const disk = new HeldDisk()
    const log = await open(disk, { batchBytesMax: 4000, segmentBytes: 64 * 1024 })
    const piece = record(0, 400)
    const rest = (room: number): Buffer => Buffer.from(record(9, 100 + room - record(9, 100).length))
    disk.held = true
    const sent = put(log, piece)!
    await disk.syncing()
    const inBatch: Promise<unknown>[] = []
    let left = 4000
    while (left >= 2 * piece.length) {
      inBatch.push(put(log, record(inBatch.length + 1, 400))!)
      left -= piece.length
    }
    expect(log.open(left + 1)).toBeUndefined()
    const last = rest(left)
    expect(last).toHaveLength(left)
    inBatch.push(put(log, last)!)
    expect(log.open(1)).toBeUndefined()
    expect(log.open(0)).toBeDefined()
    let told = 0
    log.onRoom = () => told++
    disk.release()
    await sent
    expect(told).toBe(0)
    await disk.syncing()
    expect(told, 'the next batch can be filled while this one is synced').toBeGreaterThan(0)
    told = 0
    expect(log.open(4000)).toBeDefined()
    disk.release()
    await Promise.all(inBatch)
    await idle(log)
    expect(told).toBe(1)
    expect(allFrames(disk).map(({ bytes }) => bytes)).toEqual([64 + piece.length, 64 + 4000])
    disk.held = false
    await log.close()
  })

  it('a small batch that follows another waits for those who ask again once they are answered', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk)
    const waiting: (() => void)[] = []
    // Of what comes in a turn of the event loop intake may have decoded nothing yet: it does so when told of room.
    log.onRoom = () => waiting.splice(0).forEach((one) => one())
    const askAgain = async (id: number): Promise<void> => {
      await put(log, record(id))
      setImmediate(() => waiting.push(() => void put(log, record(id + 100))))
    }
    const first = [0, 1, 2].map(askAgain)
    await turn()
    const second = [3, 4, 5].map((id) => put(log, record(id)))
    await Promise.all([...first, ...second])
    await log.close()
    expect(allFrames(disk).map(({ records }) => records)).toEqual([3, 6])
  })

  it('what is refused while it waits for those is not written', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk)
    const first = put(log, record(0))!
    await turn()
    const second = put(log, record(1))!.catch((error: unknown) => error)
    await first
    const error = new LogUnavailable('failed', 'gone')
    await log.abandon(error)
    expect(await second).toBe(error)
    expect(allFrames(disk).map(({ records }) => records)).toEqual([1])
    expect(disk.calls.filter(({ length }) => length === 64 + record(0).length)).toHaveLength(1)
    expect(log.status()).toMatchObject({ state: 'closed', reason: 'the log is closed' })
  })

  it('a large one does not', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk, { batchBytesMax: 2 ** 17, segmentBytes: 2 ** 20, bytesMax: 2 ** 24 })
    const first = put(log, record(0))!.then(() => setImmediate(() => void put(log, record(2))))
    await turn()
    await Promise.all([first, put(log, record(1, 70_000))])
    await log.close()
    expect(allFrames(disk).map(({ records }) => records)).toEqual([1, 1, 1])
  })

  it('an idle log whose batch lacks room writes it at once instead of making anybody wait', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { batchBytesMax: 1000 })
    const first = put(log, record(0, 800))!
    const second = put(log, record(1, 800))!
    expect(await Promise.all([first, second])).toEqual([{ firstOffset: 0 }, { firstOffset: 1 }])
    expect(await read(disk, 2)).toEqual([0, 1])
    await log.close()
  })

  it('asking for more than a batch holds is a mistake of the caller', async () => {
    const log = await open(new MemoryDisk(), { batchBytesMax: 1000 })
    expect(log.open(1000)).toBeDefined()
    expect(() => log.open(1001)).toThrow(RangeError)
    await log.close()
  })

  it('a batch larger than a segment gets one of its own, and what is around it stays in order', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk)
    await putEach(log, 0, 2)
    await putEach(log, 2, 4, 7000)
    await putEach(log, 4, 6)
    const frames = segmentPaths(disk).map((path) =>
      framesOf(disk, path).map(({ firstOffset }) => firstOffset),
    )
    expect(frames).toEqual([[0, 1], [2], [3], [4, 5]])
    expect(await read(disk, 6)).toEqual(count(0, 6))
    await log.close()
    const again = await open(disk.crash())
    expect(again.status()).toMatchObject({ durableOffset: 6, damage: { tornBytes: 0, quarantinedBytes: 0 } })
    await again.close()
  })

  it('a callback for room that throws does not stop the log', async () => {
    const disk = new MemoryDisk()
    const said: string[] = []
    const log = await open(disk, { say: (_, message) => said.push(message) })
    log.onRoom = () => {
      throw new Error('oh')
    }
    await putEach(log, 0, 5)
    await Promise.all(count(5, 40).map((id) => put(log, record(id))))
    expect(said).toContain('a waiting request failed: oh')
    await log.close()
    expect(log.state).toBe('closed')
  })

  it('a callback for room that fills the batch again and again keeps the order (re-entrancy)', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { batchBytesMax: 1000, segmentBytes: 8192, bytesMax: 10 ** 7 })
    let next = 0
    const answers: Promise<unknown>[] = []
    const pour = (): void => {
      while (next < 300) {
        const answer = put(log, record(next, 300))
        if (answer === undefined) return
        answers.push(answer)
        next++
      }
    }
    log.onRoom = pour
    pour()
    await vi.waitFor(() => expect(answers).toHaveLength(300))
    await Promise.all(answers)
    expect(await read(disk, log.durableOffset)).toEqual(count(0, 300))
    await log.close()
  })
})

/** The real intake over the reference decoder. */
function intakeOf(log: Log, rejectsLog: Log): Intake {
  const clock = new ManualClock(1_795_500_000_000)
  const decoder = createReferenceDecoder({ ...OPTIONS, outputBytesMax: 8192 })
  const rejects = new Rejects(rejectsLog, decoder.tokens, clock)
  return new Intake({
    decoder,
    log,
    rejects,
    ledger: new Ledger(),
    clock,
    requestIds: new RequestIds(new Uint8Array(8)),
  })
}

function request(events: readonly string[], pad = 0): IngestRequest {
  const body = events.map((event) => ({
    event,
    properties: { token: 'T', distinct_id: 'u', pad: 'x'.repeat(pad) },
  }))
  return {
    endpoint: 'track',
    content: Content.json,
    body: Buffer.from(JSON.stringify(body)),
    query: '',
    peer: { ipJson: 'null', uaJson: 'null' },
    authToken: '',
    projectId: null,
  }
}

async function eventsOf(disk: MemoryDisk, limit: number): Promise<string[]> {
  const found: string[] = []
  const durable = { offset: () => Promise.resolve(limit) }
  for await (const { value } of readLog({ directory: LOG, from: 'start', disk, durable })) {
    found.push((JSON.parse(Buffer.from(value).toString()) as { record: { event: string } }).record.event)
  }
  return found
}

describe('with the real intake', () => {
  it('P6: requests that wait are taken first in, first out, and each lies in exactly one batch', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk, { segmentBytes: 32_768, bytesMax: 10 ** 8 })
    const intake = intakeOf(log, await open(new MemoryDisk()))
    const names = count(0, 300).map((request_) =>
      count(0, 1 + (request_ % 4)).map((event) => `${request_}.${event}`),
    )
    let waited = 0
    const receipts = names.map((of, index) => {
      const receipt = intake.take(request(of, 300 * (index % 5)))
      waited = Math.max(waited, intake.waiting)
      return receipt
    })
    const accepted = await Promise.all(receipts)
    expect(accepted.map((receipt) => receipt.accepted)).toEqual(names.map((of) => of.length))
    expect(waited).toBeGreaterThan(200)
    expect(intake.waiting).toBe(0)
    expect(await eventsOf(disk, log.durableOffset)).toEqual(names.flat())
    const starts = new Set(allFrames(disk).map(({ firstOffset }) => firstOffset))
    expect(starts.size).toBeGreaterThan(20)
    let offset = 0
    for (const of of names) {
      for (let inside = offset + 1; inside < offset + of.length; inside++)
        expect(starts.has(inside)).toBe(false)
      offset += of.length
    }
    await log.close()
  })

  it('P2: a failed sync refuses its batch; those who wait are taken into the next segment, in order', async () => {
    const disk = new MemoryDisk({ completion: 'macrotask' })
    const log = await open(disk, { bytesMax: 10 ** 8, segmentBytes: 32_768 })
    const intake = intakeOf(log, await open(new MemoryDisk()))
    let syncs = 0
    disk.onCall = (call) => (call.op === 'sync' && ++syncs % 4 === 0 ? { error: 'EIO' } : undefined)
    const accepted: string[] = []
    const errors: unknown[] = []
    await Promise.all(
      count(0, 200).map((index) =>
        intake.take(request([String(index)], 1500)).then(
          () => accepted.push(String(index)),
          (error: unknown) => errors.push(error),
        ),
      ),
    )
    expect(errors.length).toBeGreaterThan(3)
    expect(accepted.length).toBeGreaterThan(50)
    expect(errors.every((error) => error instanceof LogUnavailable)).toBe(true)
    await idle(log)
    expect(await eventsOf(disk, log.durableOffset)).toEqual(accepted)
    disk.onCall = undefined
    await log.close()
  })

  it('P2: closing keeps what is in batches and refuses who still waits; nobody hangs', async () => {
    const disk = new HeldDisk()
    const log = await open(disk, { bytesMax: 10 ** 8, segmentBytes: 32_768 })
    const intake = intakeOf(log, await open(new MemoryDisk()))
    disk.held = true
    const accepted: string[] = []
    const reasons: string[] = []
    const take = (index: number): Promise<unknown> =>
      intake.take(request([String(index)], 1500)).then(
        () => accepted.push(String(index)),
        (error: LogUnavailable) => reasons.push(error.reason),
      )
    const all = [take(0)]
    await disk.syncing()
    for (let index = 1; index < 12; index++) all.push(take(index))
    expect(intake.waiting).toBeGreaterThan(3)
    const closed = log.close()
    expect(log.close(), 'closing twice is closing once').toBe(closed)
    disk.held = false
    disk.release()
    await Promise.all(all)
    await closed
    expect(accepted.length).toBeGreaterThan(3)
    expect(new Set(reasons)).toEqual(new Set(['closed']))
    expect(accepted.length + reasons.length).toBe(12)
    expect(log.state).toBe('closed')
    await expect(intake.take(request(['late']))).rejects.toMatchObject({ reason: 'closed' })
    const again = await open(disk)
    expect(await eventsOf(disk, again.durableOffset)).toEqual(accepted)
    await again.close()
  })
})

describe('close', () => {
  it('leaves no timer and no open file, whatever the log was doing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    for (const trouble of ['none', 'failed', 'full', 'waiting'] as const) {
      const disk = new MemoryDisk()
      const log = await open(disk, trouble === 'waiting' ? { syncIntervalMs: 1000 } : {})
      await putEach(log, 0, trouble === 'waiting' ? 0 : 3)
      if (trouble === 'failed')
        disk.onCall = ({ op }) => (['write', 'open'].includes(op) ? { error: 'EIO' } : undefined)
      if (trouble === 'full')
        disk.onCall = ({ op }) => (['write', 'open'].includes(op) ? { error: 'ENOSPC' } : undefined)
      const last = put(log, record(3))!.then(
        () => 'kept',
        () => 'refused',
      )
      if (trouble === 'failed' || trouble === 'full') {
        await last
        await idle(log)
        expect(log.state).toBe(trouble)
      }
      await log.close()
      expect(await last).toBe(trouble === 'none' || trouble === 'waiting' ? 'kept' : 'refused')
      expect(vi.getTimerCount(), trouble).toBe(0)
      const opened = disk.calls.filter(({ op, state }) => op === 'open' && state === 'done').length
      const closed = disk.calls.filter(({ op, state }) => op === 'close' && state === 'done').length
      expect(closed, trouble).toBe(opened)
      expect(() => log.open(1)).toThrow(expect.objectContaining({ reason: 'closed' }) as Error)
    }
  })

  it('waits for commits that are on their way, also when they fail', async () => {
    for (const fault of [undefined, { error: 'EIO' }]) {
      const disk = new HeldDisk()
      const log = await open(disk)
      disk.held = true
      if (fault !== undefined) disk.onCall = (call) => (call.op === 'sync' ? fault : undefined)
      const first = put(log, record(0))!
      await disk.syncing()
      const second = put(log, record(1))!
      let isClosed = false
      const closed = log.close().then(() => (isClosed = true))
      await turn()
      expect(isClosed).toBe(false)
      disk.held = false
      disk.release()
      const answers = await Promise.allSettled([first, second])
      await closed
      const status = fault === undefined ? 'fulfilled' : 'rejected'
      expect(answers.map((answer) => answer.status)).toEqual([status, status])
    }
  })
})

describe('P10: a log like that of the rejected records, synced at most once a second', () => {
  const SLOW = { syncIntervalMs: 1000, whenFull: 'drop-oldest' } as const

  it('gathers what comes within a second into one batch', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const disk = new MemoryDisk()
    const clock = new ManualClock(1_795_500_000_000)
    const log = await open(disk, { ...SLOW, clock, batchBytesMax: 64 * 1024, segmentBytes: 64 * 1024 })
    const step = async (ms: number): Promise<void> => {
      clock.advance(ms)
      await vi.advanceTimersByTimeAsync(ms)
      await turn()
    }
    const answers: Promise<unknown>[] = []
    for (let tenth = 0; tenth < 100; tenth++) {
      answers.push(put(log, record(tenth))!)
      await step(100)
    }
    const { batches, durableOffset } = log.status()
    expect(batches).toBeGreaterThanOrEqual(9)
    expect(batches).toBeLessThanOrEqual(11)
    expect(durableOffset).toBeGreaterThan(85)
    const times = allFrames(disk).map(({ firstOffset }) => firstOffset)
    expect(
      times
        .slice(1)
        .map((offset, index) => offset - times[index]!)
        .slice(1),
    ).toEqual(times.slice(2).map(() => 10))
    // Quiet for long: the first one after it goes at once.
    await step(1000)
    await step(10_000)
    const before = log.status().batches
    answers.push(put(log, record(100))!)
    await step(1)
    expect(log.status().batches).toBe(before + 1)
    answers.push(put(log, record(101))!)
    await step(998)
    expect(log.status().batches).toBe(before + 1)
    await log.close()
    expect(log.status().batches, 'closing does not wait for the second to pass').toBe(before + 2)
    await Promise.all(answers)
    expect(await read(disk, 102)).toEqual(count(0, 102))
    expect(vi.getTimerCount()).toBe(0)
  })

  it('and drops its oldest, not its newest', async () => {
    const disk = new MemoryDisk()
    const log = await open(disk, { ...SLOW, syncIntervalMs: 0, bytesMax: 20_000 })
    await putEach(log, 0, 80, 900)
    expect((await read(disk, 80)).at(-1)).toBe(79)
    expect(log.status()).toMatchObject({ state: 'writable', durableOffset: 80 })
    expect(log.status().dropped).toBe(log.status().firstOffset)
    await log.close()
  })
})

it('a process that has closed its log ends by itself', () => {
  const { disk: _, ...rest } = options(new MemoryDisk())
  const { segmentBytes, batchBytesMax, bytesMax } = rest
  const module = (name: string): string => JSON.stringify(new URL(`../../dist/${name}`, import.meta.url).href)
  const script = `
    import { mkdtempSync, rmSync } from 'node:fs'
    import { tmpdir } from 'node:os'
    import { join } from 'node:path'
    import { openLog } from ${module('log/open.js')}
    import { nodeDisk } from ${module('log/node-disk.js')}
    import { systemClock } from ${module('clock.js')}
    const directory = mkdtempSync(join(tmpdir(), 'sluicegate-close-'))
    const log = await openLog({ writerDirectory: join(directory, '0'), name: 'log', disk: nodeDisk, clock: systemClock,
      say: () => {}, segmentBytes: ${segmentBytes}, batchBytesMax: ${batchBytesMax}, bytesMax: ${bytesMax},
      whenFull: 'refuse', retentionMs: 1000, syncIntervalMs: 1000, cursors: async () => [] })
    const room = log.open(20)
    room.bytes.fill(0, room.position, room.position + 20)
    room.bytes[room.position] = 20
    const committed = log.commit(room.position + 20, 1)
    await log.close()
    console.log(JSON.stringify(await committed))
    rmSync(directory, { recursive: true })
  `
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
    encoding: 'utf8',
  })
  expect(done).toMatchObject({ status: 0, stdout: '{"firstOffset":0}\n', stderr: '' })
})

it('a log that nobody waits for takes all that comes meanwhile', async () => {
  const disk = new HeldDisk()
  const log = await open(disk, { batchBytesMax: 2 ** 23, segmentBytes: 2 ** 24, bytesMax: 2 ** 30 })
  disk.held = true
  const first = put(log, record(0))!
  await disk.syncing()
  const second = count(1, 12).map((id) => put(log, record(id, 600_000)))
  expect(second).not.toContain(undefined)
  disk.held = false
  disk.release()
  await Promise.all([first, ...second])
  await log.close()
})
