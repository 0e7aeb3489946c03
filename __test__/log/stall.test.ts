/** P2: a call to the disk that does not return. Who waits is told in time; what was refused never comes back once the log goes on. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ManualClock } from '../../src/clock.js'
import type { LogUnavailable } from '../../src/errors.js'
import type { LogOptions } from '../../src/log/open.js'
import { ALWAYS_PRESENT } from '../../src/log/presence.js'
import type { Log } from '../../src/log/types.js'
import { framesOf, putEach, segmentPaths } from './support/files.js'
import { type DiskCall, MemoryDisk } from './support/memory-disk.js'
import { idle, open, put, read, record } from './support/run.js'

const TIMEOUT_MS = 8000
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A disk on which the calls that `holds` picks return when `release` is called. */
class StallingDisk extends MemoryDisk {
  holds: (call: DiskCall) => boolean = () => false
  private readonly held: (() => void)[] = []

  constructor() {
    super({
      completion: (finish, call) => {
        if (this.holds(call)) this.held.push(finish)
        else queueMicrotask(finish)
      },
    })
  }

  get stalled(): number {
    return this.held.length
  }

  release(): void {
    this.holds = () => false
    for (const finish of this.held.splice(0)) finish()
  }
}

const clock = new ManualClock(1_795_500_000_000)
beforeEach(
  () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }),
)
afterEach(() => void vi.useRealTimers())

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500)
    await vi.advanceTimersByTimeAsync(500)
  }
  await settle()
}

const openStallable = (disk: StallingDisk, more: Partial<LogOptions> = {}) =>
  open(disk, { clock, commitTimeoutMs: TIMEOUT_MS, ...more })

/** The answers, in the order in which they come. */
function listen(log: Log, id: number, told: string[], bytes = 100): void {
  put(log, record(id, bytes))!.then(
    () => told.push(`${id} kept`),
    ({ code }: LogUnavailable) => told.push(`${id} ${code}`),
  )
}

const isSync = ({ op }: DiskCall): boolean => op === 'sync'

describe('P2: a sync that does not return', () => {
  it.each(['succeeds', 'fails'])(
    'is waited for only so long, in both batches and by new requests; it %s at last',
    async (how) => {
      const disk = new StallingDisk()
      const said: string[] = []
      const log = await openStallable(disk, { say: (level, message) => said.push(`${level}: ${message}`) })
      await putEach(log, 0, 3)
      disk.holds = isSync
      if (how === 'fails') disk.onCall = ({ op }) => (op === 'sync' ? { error: 'EIO' } : undefined)
      const told: string[] = []
      let rooms = 0
      log.onRoom = () => rooms++
      listen(log, 900, told)
      await settle()
      expect(disk.stalled).toBe(1)
      await pass(4000)
      listen(log, 901, told)
      await pass(3500)
      expect([told, log.state, log.isStalled]).toEqual([[], 'writable', true])

      rooms = 0
      await pass(1500)
      expect(told).toEqual(['900 log_failed', '901 log_failed'])
      expect(rooms, 'who waits for room hears of it').toBe(1)
      expect(log.status()).toMatchObject({ state: 'failed', durableOffset: 3, nextOffset: 3 })
      expect(log.status().reason).toBe('the disk has not answered for 8 s; the log goes on when it does')
      expect(() => log.open(1)).toThrow(expect.objectContaining({ reason: 'failed' }) as Error)
      await pass(60_000)
      expect(said.filter((line) => line.startsWith('error: the log is failed'))).toHaveLength(1)

      disk.onCall = undefined
      disk.release()
      await settle()
      expect(log.status()).toMatchObject({ state: 'writable', reason: '', durableOffset: 3, failovers: 1 })
      await putEach(log, 3, 5)
      expect(await read(disk, log.durableOffset)).toEqual([0, 1, 2, 3, 4])
      // Whole on disk all the same, where the sync came to its end, and nobody's.
      expect(framesOf(disk, segmentPaths(disk)[0]!)).toHaveLength(4)
      for (const after of [disk.crash(), disk.crash({ seed: 5 })]) {
        const again = await open(after)
        expect(await read(after, again.durableOffset)).toEqual([0, 1, 2, 3, 4])
        await again.close()
      }
      await log.close()
      expect(vi.getTimerCount()).toBe(0)
    },
  )

  it('and no request waits longer than that, however the time is spread over the calls before its own', async () => {
    const disk = new StallingDisk()
    const log = await openStallable(disk)
    const told: string[] = []
    disk.holds = isSync
    listen(log, 0, told)
    await settle()
    await pass(1000)
    listen(log, 1, told)
    await pass(6000)
    disk.release()
    disk.holds = isSync
    await settle()
    expect(told).toEqual(['0 kept'])
    expect(disk.stalled).toBe(1)
    await pass(3000)
    expect(told).toEqual(['0 kept', '1 log_failed'])
    disk.release()
    await settle()
    await log.close()
    expect(await read(disk)).toEqual([0])
  })

  it('is known for what it is while the server stops: nobody waits longer than is left for that', async () => {
    const disk = new StallingDisk()
    const log = await openStallable(disk)
    const told: string[] = []
    disk.holds = isSync
    listen(log, 0, told)
    await settle()
    log.hurry(1000)
    await pass(1500)
    expect(told).toEqual(['0 log_failed'])
    let closed = false
    void log.close().then(() => (closed = true))
    await pass(5000)
    expect(closed).toBe(false)
    disk.release()
    await vi.waitFor(() => expect(closed).toBe(true))
    expect(await read(disk)).toEqual([])
  })
})

it('P2: a look at the files that does not return, after the sync has: what was refused meanwhile does not count', async () => {
  const disk = new StallingDisk()
  let look = (): void => {}
  const looking = new Promise<void>((resolve) => (look = resolve))
  let asked = false
  const confirm = () => ((asked = true), looking)
  const log = await openStallable(disk, { presence: { ...ALWAYS_PRESENT, confirm } })
  const told: string[] = []
  listen(log, 0, told)
  await settle()
  expect([asked, told]).toEqual([true, []])
  await pass(TIMEOUT_MS + 1000)
  expect(told).toEqual(['0 log_failed'])
  look()
  await settle()
  expect(log.status()).toMatchObject({ state: 'writable', durableOffset: 0 })
  await putEach(log, 1, 3)
  expect(await read(disk, log.durableOffset)).toEqual([1, 2])
  await log.close()
})

it.each(['open', 'write', 'syncDirectory', 'rename', 'truncate'])(
  'P2: %s does not return while the next segment is made ready',
  async (op) => {
    const disk = new StallingDisk()
    const log = await openStallable(disk)
    await putEach(log, 0, 2)
    let rolls = false
    disk.holds = (call) => {
      if (call.path.endsWith('spare') || call.op === 'rename') rolls = true
      return rolls && call.op === op
    }
    const told: string[] = []
    for (let id = 2; disk.stalled === 0; id++) {
      listen(log, id, told, 900)
      await settle()
    }
    if (log.state === 'writable' && log.nextOffset === log.durableOffset) listen(log, 900, told)
    await pass(TIMEOUT_MS + 1000)
    expect(log.state).toBe('failed')
    expect(told.at(-1)).toMatch(/log_failed/)
    disk.release()
    await settle()
    expect(log.state).toBe('writable')
    const kept = told.filter((answer) => answer.endsWith('kept')).map((answer) => parseInt(answer, 10))
    await putEach(log, 1000, 1002)
    expect(await read(disk, log.durableOffset)).toEqual([0, 1, ...kept, 1000, 1001])
    await idle(log)
    await log.close()
  },
)

it('P2: a removal of old segments that does not return: the log goes on when it does', async () => {
  const disk = new StallingDisk()
  const cursors: number[] = []
  const log = await openStallable(disk, { retentionMs: 1000, cursors: () => Promise.resolve(cursors) })
  cursors.push(1000)
  for (let id = 0; id < 20; id++) await put(log, record(id, 900))
  await idle(log)
  disk.holds = ({ op }) => op === 'unlink'
  await pass(61_000)
  expect(disk.stalled).toBe(1)
  await pass(TIMEOUT_MS + 1000)
  expect(log.state).toBe('failed')
  disk.release()
  await settle()
  expect(log.state).toBe('writable')
  await putEach(log, 20, 21)
  await log.close()
})
