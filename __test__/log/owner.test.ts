/** P1, P9: a reader in one process, the owner of the directory in another one, on the real file system. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.js'
import { configWith } from '../../src/config.js'
import { acquireLock } from '../../src/log/lock.js'
import { nodeDisk } from '../../src/log/node-disk.js'
import { readLog, type ReadOptions } from '../../src/log/reader.js'
import { Storage } from '../../src/storage.js'
import type { Logger } from '../../src/logger.js'
import { count, create } from './support/files.js'
import { OwnerChild } from './support/owner-child.js'

const children: OwnerChild[] = []
let root: string
let dataDir: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluicegate-owner-'))
  dataDir = join(root, 'data')
})
afterEach(async () => {
  await Promise.all(children.splice(0).map((one) => one.kill()))
  rmSync(root, { recursive: true })
})

async function owner(): Promise<OwnerChild> {
  const child = await OwnerChild.start(root, dataDir)
  children.push(child)
  return child
}

/** Reads in the background; `ids` grows. */
function reading(more: Partial<ReadOptions> = {}) {
  const ids: number[] = []
  const told: unknown[] = []
  const abort = new AbortController()
  const records = readLog({
    directory: join(dataDir, '0', 'log'),
    from: 'start',
    follow: true,
    signal: abort.signal,
    onGap: (gap) => told.push(gap),
    onDamage: (place) => told.push(place),
    ...more,
  })
  const done = (async () => {
    for await (const { value } of records)
      ids.push((JSON.parse(Buffer.from(value).toString()) as { id: number }).id)
  })()
  const gets = (expected: readonly number[]): Promise<void> =>
    vi.waitFor(() => expect(ids).toEqual(expected), { timeout: 10_000, interval: 10 })
  const stop = async (): Promise<void> => {
    abort.abort()
    await done
  }
  return { ids, told, gets, stop, done }
}

describe('a reader beside an owner', () => {
  it('shows what is durable, never a batch that is written and not yet synced, over kills and new owners', async () => {
    const first = await owner()
    expect(await first.does('open')).toBe('open at 0')
    const reader = reading()
    expect(await first.does('put 5')).toBe('durable 5')
    await reader.gets(count(0, 5))
    await first.does('hold')
    await first.does('start 3')
    await sleep(500)
    expect(reader.ids).toEqual(count(0, 5))
    await first.does('release')
    await reader.gets(count(0, 8))
    // Written, and the process is killed before its sync: the reader makes it durable itself, or the next owner does.
    await first.does('hold')
    await first.does('start 2')
    await sleep(100)
    await first.kill()
    await reader.gets(count(0, 10))
    const second = await owner()
    expect(await second.does('open')).toBe('open at 10')
    expect(await second.does('put 2000')).toBe('durable 2010')
    await reader.gets(count(0, 2010))
    expect(await second.does('close')).toBe('closed')
    const third = await owner()
    expect(await third.does('open')).toBe('open at 2010')
    expect(await third.does('put 1')).toBe('durable 2011')
    await reader.gets(count(0, 2011))
    expect(reader.told).toEqual([])
    await reader.stop()
    expect(await second.end(), 'a closed storage keeps no process alive').toBe(0)
  })

  it('without following it ends at the last durable record', async () => {
    const child = await owner()
    await child.does('open')
    await child.does('put 3')
    await child.does('hold')
    await child.does('start 1')
    await sleep(100)
    const reader = reading({ follow: false })
    await reader.done
    expect(reader.ids).toEqual([0, 1, 2])
  })

  it('the end of a log whose owner has not finished its recovery is not the beginning', async () => {
    const child = await owner()
    await child.does('open')
    await child.does('put 3')
    await child.does('close')
    let answer = '{"pid":1}'
    const lock = await acquireLock(join(dataDir, '0'), () => answer)
    const reader = reading({ from: 'end', follow: false })
    await sleep(150)
    answer = '{"pid":1,"log":3}'
    await reader.done
    expect(reader.ids).toEqual([])
    await lock.release()
  })

  it('there is one owner: another start is refused, and takes over once the first is killed', async () => {
    const [first, second] = [await owner(), await owner()]
    expect(await first.does('open')).toBe('open at 0')
    expect(await second.does('open')).toBe('data_dir_locked')
    expect(await first.does('put 2')).toBe('durable 2')
    await first.kill()
    expect(await second.does('open')).toBe('open at 2')
  })
})

it('a start that fails half-way lets go of everything: the lock, the log that was open already', async () => {
  const child = await owner()
  await child.does('open')
  await child.does('put 2')
  await child.does('close')
  // Of a newer format: the log opens, the log of the rejected records must not.
  const newer = Buffer.alloc(64)
  newer.write('f8534c5345474dff', 'hex')
  newer.writeUInt16LE(2, 12)
  newer.writeUInt32LE((await import('node:zlib')).crc32(newer.subarray(12)), 8)
  const rejects = join(dataDir, '0', 'rejects', '00000000000000000007.log')
  await create(nodeDisk, rejects, newer)
  let opened = 0
  const disk = {
    ...nodeDisk,
    open: async (path: string, flags: 'r' | 'r+' | 'wx+') => {
      const file = await nodeDisk.open(path, flags)
      opened++
      const close = file.close.bind(file)
      file.close = () => (opened--, close())
      return file
    },
  }
  const say = (): void => {}
  const logger = { info: say, warn: say, error: say } as unknown as Logger
  const start = Storage.open(configWith({ dataDir, logSegmentBytes: 2 ** 20 }), {
    logger,
    clock: systemClock,
    disk,
  })
  await expect(start).rejects.toMatchObject({ code: 'log_format_newer' })
  expect(opened).toBe(0)
  await nodeDisk.unlink(rejects)
  expect(await child.does('open')).toBe('open at 2')
})
