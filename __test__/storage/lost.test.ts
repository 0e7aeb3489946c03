/** P1, P2: the directory of a live server is removed, moved or replaced. It is noticed within a second, and never written to by two. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Clock, ManualClock, systemClock } from '../../src/clock.js'
import { configWith } from '../../src/config.js'
import { LogUnavailable } from '../../src/errors.js'
import { nodeDisk } from '../../src/log/node-disk.js'
import { readLog } from '../../src/log/reader.js'
import type { Disk, Log } from '../../src/log/types.js'
import type { Logger } from '../../src/logger.js'
import { Storage } from '../../src/storage.js'
import { put, record } from '../log/support/run.js'

const PRESENCE_MS = 1000
let root: string
let dataDir: string
let said: string[]
const started: Storage[] = []
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluicegate-lost-'))
  dataDir = join(root, 'data')
  said = []
})
afterEach(async () => {
  await Promise.all(started.splice(0).map((storage) => storage.close()))
  rmSync(root, { recursive: true })
})

async function open(
  parts: { clock?: Clock; disk?: Disk } = {},
  settings: { dataDir?: string } = {},
): Promise<Storage> {
  const say = (level: string) => (_fields: object, message: string) => void said.push(`${level}: ${message}`)
  const logger = { info: say('info'), warn: say('warn'), error: say('error') } as unknown as Logger
  const config = configWith({ dataDir, logSegmentBytes: 2 ** 20, ...settings })
  const storage = new Storage(config, { logger, clock: systemClock, disk: nodeDisk, ...parts })
  await storage.start()
  started.push(storage)
  return storage
}

/** Whether the record is acknowledged. */
async function send(log: Log, id: number, bytes = 100): Promise<boolean> {
  try {
    const committed = put(log, record(id, bytes))
    if (committed === undefined) return false
    await committed
    return true
  } catch (error) {
    if (error instanceof LogUnavailable) return false
    throw error
  }
}

async function idsIn(directory: string): Promise<number[]> {
  const ids: number[] = []
  for await (const { value } of readLog({ directory: join(directory, '0/log'), from: 'start' })) {
    ids.push((JSON.parse(Buffer.from(value).toString()) as { id: number }).id)
  }
  return ids
}

const writable = (storage: Storage): Promise<void> =>
  vi.waitFor(() => expect(storage.log.status().state).toBe('writable'), { timeout: 8000 })

/** Every file below, with what it holds. */
const contents = (directory: string): Map<string, string> =>
  new Map(
    readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(directory, name)).isFile())
      .map((name) => [name, readFileSync(join(directory, name)).toString('latin1')]),
  )

const newestSegment = (): string =>
  join(
    dataDir,
    '0/log',
    readdirSync(join(dataDir, '0/log'))
      .filter((name) => name.endsWith('.log'))
      .toSorted()
      .at(-1)!,
  )

const REMOVALS: readonly [string, () => void][] = [
  ['the data directory', () => rmSync(dataDir, { recursive: true })],
  ["the writer's folder", () => rmSync(join(dataDir, '0'), { recursive: true })],
  ["the log's folder", () => rmSync(join(dataDir, '0/log'), { recursive: true })],
  ['the segment', () => rmSync(newestSegment())],
  ['the log of rejects', () => rmSync(join(dataDir, '0/rejects'), { recursive: true })],
  [
    'the lock',
    () =>
      rmSync(
        join(
          dataDir,
          '0',
          readdirSync(join(dataDir, '0')).find((name) => name.startsWith('lock.'))!,
        ),
      ),
  ],
]

describe.each(REMOVALS)('P1: rm -rf of %s under a live server', (_, remove) => {
  it(
    'is noticed within a second: what is acknowledged later is on disk, under offsets never used before',
    { timeout: 20_000 },
    async () => {
      const storage = await open()
      for (let id = 0; id < 10; id++) expect(await send(storage.log, id)).toBe(true)
      const { writerId } = storage.log.status()
      remove()
      const removedMs = performance.now()
      const late: number[] = []
      for (let id = 100; late.length < 10 && performance.now() - removedMs < 8 * PRESENCE_MS; id++) {
        const begunMs = performance.now()
        if ((await send(storage.log, id)) && begunMs - removedMs > PRESENCE_MS) late.push(id)
        await sleep(10)
      }
      await writable(storage)
      expect(late).toHaveLength(10)
      expect(
        said.filter((line) => /^error: the data directory is failed; .*was removed or replaced/.test(line)),
      ).toHaveLength(1)
      expect(said.at(-1)).toMatch(/^warn: the data directory was failed and is writable again/)
      const status = storage.log.status()
      expect(status).toMatchObject({ reopened: 1, state: 'writable', reason: '' })
      expect(status.durableOffset).toBeGreaterThanOrEqual(10 + late.length)
      const kept = await idsIn(dataDir)
      expect(late.filter((id) => !kept.includes(id))).toEqual([])
      if (kept[0] !== 0) expect(status.writerId).not.toBe(writerId)
      // The next start finds what it needs.
      await storage.close()
      const again = await open()
      expect(again.log.durableOffset).toBe(status.durableOffset)
      expect(await send(again.log, 5000)).toBe(true)
      expect((await idsIn(dataDir)).at(-1)).toBe(5000)
    },
  )
})

it('P1: the first commit after a long sleep looks itself: nothing is acknowledged into a file that is gone', async () => {
  const clock = new ManualClock(1_795_500_000_000)
  const storage = await open({ clock })
  expect(await send(storage.log, 0)).toBe(true)
  rmSync(dataDir, { recursive: true })
  clock.advance(PRESENCE_MS + 1)
  expect(await send(storage.log, 1)).toBe(false)
  await writable(storage)
  expect(await send(storage.log, 2)).toBe(true)
  expect(await idsIn(dataDir)).toEqual([2])
})

it('P2: requests that wait for room when it is noticed are refused, and new ones until it is open again', async () => {
  const storage = await open({ clock: new ManualClock(1_795_500_000_000) })
  const told: unknown[] = []
  storage.log.onRoom = () => told.push(storage.log.state)
  rmSync(dataDir, { recursive: true })
  await vi.waitFor(() => expect(told[0]).toBe('failed'), { interval: 1, timeout: 3000 })
  await writable(storage)
  expect(told.at(-1)).toBe('writable')
})

describe('never two writers', () => {
  it('moved away, and another server started in its place: the first lets go, and touches neither', async () => {
    const [moved, theirs] = [join(root, 'moved'), join(root, 'theirs')]
    mkdirSync(moved)
    symlinkSync(moved, dataDir)
    const first = await open()
    for (let id = 0; id < 5; id++) await send(first.log, id)
    const second = await open({}, { dataDir: theirs })
    for (let id = 100; id < 103; id++) expect(await send(second.log, id)).toBe(true)
    // In one step: a busy machine may take longer to start the second than the first takes to notice.
    symlinkSync(theirs, `${dataDir}.new`)
    renameSync(`${dataDir}.new`, dataDir)
    const before = contents(join(dataDir, '0'))
    // Not noticed yet: a roll to a next segment would take the other one's files by their paths.
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => send(first.log, 1000 + n, 60_000)))
    expect(answers).toContain(false)
    await vi.waitFor(() => expect(first.log.status().reason).toMatch(/belongs to another sluicegate/), {
      timeout: 5000,
    })
    expect(first.log.status()).toMatchObject({ state: 'failed' })
    expect(contents(join(dataDir, '0'))).toEqual(before)
    expect(await send(first.log, 2000)).toBe(false)

    // What was acknowledged before it was noticed went with the directory, which anybody may own now.
    const third = await open({}, { dataDir: moved })
    const acknowledged = [0, 1, 2, 3, 4, ...answers.flatMap((kept, n) => (kept ? [1000 + n] : []))]
    const there = await idsIn(moved)
    expect(acknowledged.filter((id) => !there.includes(id))).toEqual([])
    await third.close()

    // And once the other one has ended, the first goes on behind what both have given out.
    const end = Math.max(first.log.durableOffset, second.log.durableOffset)
    await second.close()
    await writable(first)
    expect(first.log.durableOffset).toBe(end)
    expect(await send(first.log, 3000)).toBe(true)
    expect(await idsIn(dataDir)).toEqual([100, 101, 102, 3000])
  }, 20_000)

  it('the directory is on another file system: failed with the reason, until it is the old one again', async () => {
    let device: string | undefined
    const stat: Disk['stat'] = async (path) => ({
      ...(await nodeDisk.stat(path)),
      ...(device !== undefined && { device }),
    })
    const storage = await open({ disk: { ...nodeDisk, stat } })
    const aside = join(root, 'aside')
    await send(storage.log, 0)
    device = 'another'
    renameSync(dataDir, aside)
    await vi.waitFor(() => expect(storage.log.status().reason).toMatch(/on another file system now/), {
      timeout: 5000,
    })
    await sleep(1200)
    expect(readdirSync(root), 'nothing is made below the mount point').toEqual(['aside'])
    device = undefined
    renameSync(aside, dataDir)
    await writable(storage)
    expect(await send(storage.log, 1)).toBe(true)
    expect(await idsIn(dataDir)).toEqual([0, 1])
    expect(storage.log.status()).toMatchObject({ reopened: 1, newIds: 0 })
  }, 20_000)
})
