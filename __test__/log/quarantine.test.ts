/** P7: what crashes leave behind is kept, up to a limit. */
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { LogOptions } from '../../src/log/open.js'
import { Quarantine } from '../../src/log/quarantine.js'
import { allFrames, create, overwrite, putEach, quarantined } from './support/files.js'
import { MemoryDisk } from './support/memory-disk.js'
import { open, put, read, record, WRITER } from './support/run.js'

const DIRECTORY = join(WRITER, 'quarantine')

async function fileOf(disk: MemoryDisk, bytes: number, path = '/source') {
  await create(disk, path, new Uint8Array(bytes).fill(7))
  return disk.open(path, 'r')
}

/** Sizes by name, oldest name first. */
const kept = (disk: MemoryDisk): [string, number][] =>
  [...quarantined(disk)].map(([name, bytes]) => [name, bytes.length])

async function quarantine(disk: MemoryDisk, bytesMax: number): Promise<Quarantine> {
  const made = new Quarantine(DIRECTORY, disk, bytesMax)
  await made.prepare()
  return made
}

describe('P7: quarantine/', () => {
  it('takes no more than its limit: the oldest goes, whatever its name', async () => {
    const disk = new MemoryDisk()
    const made = await quarantine(disk, 1000)
    const file = await fileOf(disk, 5000)
    disk.onCall = () => {
      const bytes = kept(disk).reduce((sum, [, size]) => sum + size, 0)
      expect(bytes).toBeLessThanOrEqual(1000)
      return undefined
    }
    for (const [name, bytes] of [
      ['z', 400],
      ['a', 400],
      ['m', 150],
    ] as const) {
      await made.keep(file, 0, bytes, name)
    }
    expect(made.dropped).toBe(0)
    await made.keep(file, 0, 100, 'b')
    expect(kept(disk)).toEqual([
      ['a.torn', 400],
      ['b.torn', 100],
      ['m.torn', 150],
    ])
    expect(made.dropped).toBe(1)
    await made.keep(file, 10, 960, 'n')
    expect(kept(disk)).toEqual([['n.torn', 950]])
    expect(made.dropped).toBe(4)
  })

  it('keeps the beginning of what is longer than that, and nothing of anything at 0', async () => {
    const disk = new MemoryDisk()
    const file = await fileOf(disk, 5000)
    const made = await quarantine(disk, 1000)
    await made.keep(file, 100, 3000, 'a')
    expect([kept(disk), made.dropped]).toEqual([[['a.torn', 1000]], 1])
    const none = await quarantine(disk, 0)
    await none.keep(file, 100, 3000, 'b')
    expect([kept(disk), none.dropped]).toEqual([[], 2])
  })

  it('brings what earlier runs left under the limit, and leaves alone what is not a torn end', async () => {
    const disk = new MemoryDisk()
    await disk.mkdir(DIRECTORY)
    for (const name of ['b.torn', 'a.torn', 'b.torn.1', 'notes.txt', 'x.torn.bak']) {
      await create(disk, join(DIRECTORY, name), new Uint8Array(100))
    }
    const made = await quarantine(disk, 250)
    expect(kept(disk).map(([name]) => name)).toEqual(['a.torn', 'b.torn.1', 'notes.txt', 'x.torn.bak'])
    expect(made.dropped).toBe(1)
  })

  it('what cannot be removed does not keep anything from opening', async () => {
    const disk = new MemoryDisk()
    await disk.mkdir(join(DIRECTORY, 'a.torn'))
    for (const name of ['b.torn', 'c.torn']) await create(disk, join(DIRECTORY, name), new Uint8Array(100))
    disk.onCall = ({ op, path }) =>
      op === 'unlink' && basename(path) === 'b.torn' ? { error: 'EPERM' } : undefined
    const made = await quarantine(disk, 150)
    expect(kept(disk).map(([name]) => name)).toEqual(['b.torn'])
    expect(made.dropped).toBe(1)
  })

  it('leaves no half of a copy on a full disk', async () => {
    const disk = new MemoryDisk()
    const made = await quarantine(disk, 10_000)
    const file = await fileOf(disk, 5000)
    disk.limitBytes = disk.usedBytes + 1000
    await expect(made.keep(file, 0, 3000, 'a')).rejects.toThrow('ENOSPC')
    expect(kept(disk)).toEqual([])
  })
})

it('P7, P9: crash after crash, a log sets aside no more than it may, says how much went, and loses nothing', async () => {
  let disk = new MemoryDisk()
  const limits: Partial<LogOptions> = { quarantineBytesMax: 2000 }
  let dropped = 0
  for (let life = 0; life < 10; life++) {
    const log = await open(disk, limits)
    expect(log.status().damage.tornBytes > 0).toBe(life > 0)
    dropped += log.status().quarantineDropped
    await putEach(log, life * 2, life * 2 + 2)
    await put(log, record(9999, 700))
    disk = disk.crash()
    const last = allFrames(disk).at(-1)!
    await overwrite(disk, last.path, last.position + 100, new Uint8Array(20))
  }
  const bytes = kept(disk).reduce((sum, [, size]) => sum + size, 0)
  expect(bytes).toBeGreaterThan(1000)
  expect(bytes).toBeLessThanOrEqual(2000)
  expect(dropped).toBe(9 - kept(disk).length)
  const log = await open(disk, limits)
  expect(await read(disk, log.durableOffset)).toEqual(Array.from({ length: 20 }, (_, id) => id))
})
