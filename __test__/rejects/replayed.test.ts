import { describe, expect, it } from 'vitest'
import { parseReplayed, Replayed } from '../../src/rejects/replayed.js'
import { MemoryDisk } from '../log/support/memory-disk.js'

const DIRECTORY = '/data/0'

async function diskWithDirectory(): Promise<MemoryDisk> {
  const disk = new MemoryDisk()
  await disk.mkdir(DIRECTORY)
  for (const path of ['/', '/data']) await disk.syncDirectory(path)
  return disk
}

const open = (disk: MemoryDisk, nextOffset = 100, firstOffset = 0): Promise<Replayed> =>
  Replayed.open(disk, DIRECTORY, () => ({ firstOffset, nextOffset }))

async function put(disk: MemoryDisk, text: string): Promise<void> {
  const file = await disk.open(`${DIRECTORY}/replayed.json`, 'wx+')
  await file.write(Buffer.from(text), 0)
  await file.sync()
  await file.close()
  await disk.syncDirectory(DIRECTORY)
}

describe('Replayed (promise P10: never twice)', () => {
  it('knows after a restart what was replayed', async () => {
    const disk = await diskWithDirectory()
    const replayed = await open(disk)
    await replayed.begin([3, 4, 9])
    await replayed.finish(
      new Map([
        [3, 'kept'],
        [4, 'kept'],
        [9, 'refused'],
      ]),
    )
    const again = await open(disk)
    expect([3, 4, 9, 5].map((offset) => again.stateOf(offset))).toEqual(['done', 'done', 'never', 'never'])
  })

  it('a power loss leaves every replay known that had begun, and done what was finished', async () => {
    const disk = await diskWithDirectory()
    const replayed = await open(disk)
    await replayed.begin([3])
    await replayed.finish(new Map([[3, 'kept']]))
    await replayed.begin([7])
    const after = await open(disk.crash())
    expect([3, 7, 8].map((offset) => after.stateOf(offset))).toEqual(['done', 'begun', 'never'])
  })

  it('whatever of unsynced writes survives a power loss, a replay that had begun is known', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const disk = await diskWithDirectory()
      const replayed = await open(disk)
      await replayed.begin([7])
      void replayed.finish(new Map([[7, 'kept']]))
      const after = await open(disk.crash({ seed }))
      expect(['begun', 'done']).toContain(after.stateOf(7))
    }
  })

  it('while it runs nobody else gets it', async () => {
    const replayed = await open(await diskWithDirectory())
    const begun = replayed.begin([5])
    expect(replayed.stateOf(5)).toBe('running')
    await begun
    expect(replayed.stateOf(5)).toBe('running')
    await replayed.finish(new Map([[5, 'uncertain']]))
    expect(replayed.stateOf(5)).toBe('begun')
  })

  it('replays that overlap keep each other’s offsets', async () => {
    const disk = await diskWithDirectory()
    const replayed = await open(disk)
    await Promise.all([replayed.begin([1]), replayed.begin([2])])
    await Promise.all([replayed.finish(new Map([[1, 'kept']])), replayed.finish(new Map([[2, 'kept']]))])
    const again = await open(disk)
    expect([again.stateOf(1), again.stateOf(2)]).toEqual(['done', 'done'])
  })

  it('a forced replay that is refused leaves what was known', async () => {
    const disk = await diskWithDirectory()
    const replayed = await open(disk)
    await replayed.begin([1, 2])
    await replayed.finish(new Map([[1, 'kept']]))
    // 2 was cut short; now both are forced and refused.
    const again = await open(disk)
    await again.begin([1, 2])
    await again.finish(
      new Map([
        [1, 'refused'],
        [2, 'refused'],
      ]),
    )
    expect([again.stateOf(1), again.stateOf(2)]).toEqual(['done', 'begun'])
  })

  it('forgets offsets that retention has removed, and those beyond the end of a log that was wiped', async () => {
    const disk = await diskWithDirectory()
    await put(disk, '{"v":1,"done":[[2,5],[50,80]],"begun":[]}')
    const replayed = await open(disk, 60, 4)
    expect([59, 60].map((offset) => replayed.stateOf(offset))).toEqual(['done', 'never'])
    // On disk at once: soon these offsets mean other records.
    expect([await open(disk, 100)].map((again) => again.stateOf(70))).toEqual(['never'])
    await replayed.begin([59])
    const text = Buffer.from(disk.peek(`${DIRECTORY}/replayed.json`)!).toString()
    expect(JSON.parse(text)).toEqual({
      v: 1,
      done: [
        [4, 5],
        [50, 59],
      ],
      begun: [[59, 59]],
    })
  })

  it('a file that cannot be read stops every replay that is not forced, and not the start (promise P9)', async () => {
    const disk = await diskWithDirectory()
    await put(disk, '{"v":1,"done":[[')
    const replayed = await open(disk, 10)
    expect([0, 9, 10].map((offset) => replayed.stateOf(offset))).toEqual(['begun', 'begun', 'never'])
  })

  it('a failing disk is told, and nothing counts as begun', async () => {
    const disk = new MemoryDisk({ limitBytes: 0 })
    await disk.mkdir(DIRECTORY)
    const replayed = await open(disk)
    await expect(replayed.begin([1])).rejects.toMatchObject({ code: 'replay_unnoted' })
    expect(replayed.stateOf(1)).toBe('never')
  })
})

describe('the file', () => {
  it.each([
    '',
    'null',
    '[]',
    '{"v":1}',
    '{"v":1,"done":[[3,2]],"begun":[]}',
    '{"v":1,"done":[[0]],"begun":[]}',
  ])('%j is damaged', (text) => expect(parseReplayed(text)).toBeUndefined())

  it('of a newer version is left alone', () => {
    expect(() => parseReplayed('{"v":2}')).toThrow(/newer version/)
  })
})
