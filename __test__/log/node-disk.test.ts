import * as fs from 'node:fs'
import type * as os from 'node:os'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { importAddon } from '../../src/addon-file.js'
import { memoryOfBlocks } from '../../src/log/block-memory.js'
import { BLOCK_BYTES } from '../../src/log/format.js'
import { nodeDisk, syncsLengthOfDirectWrites } from '../../src/log/node-disk.js'
import type { DiskFile } from '../../src/log/types.js'
import { diskCases, text, write } from './disk.cases.js'

const hasAddon = await importAddon().then(
  () => true,
  () => false,
)

/** The most that one call to the kernel moves; undefined: as it likes. */
const kernel = vi.hoisted(() => ({
  bytesMax: undefined as number | undefined,
  order: [] as string[],
  syncDelayMs: 0,
  /** What statfs says of every file system; undefined: the truth. */
  type: undefined as number | undefined,
  reopenError: undefined as Error | undefined,
  /** What the kernel says that it is; undefined: the truth. */
  release: undefined as string | undefined,
  /** Descriptors that were opened with O_DSYNC, and with O_DIRECT. */
  synced: new Set<number>(),
  direct: new Set<number>(),
}))

vi.mock('node:os', async (original) => {
  const real = await original<typeof os>()
  return { ...real, release: () => kernel.release ?? real.release() }
})

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>()
  const short =
    (call: (...args: unknown[]) => void) =>
    (fd: number, bytes: Uint8Array, offset: number, length: number, position: number, done: unknown) =>
      call(fd, bytes, offset, Math.min(length, kernel.bytesMax ?? length), position, done)
  const shortWrite = short(real.write as never)
  return {
    ...real,
    promises: {
      ...real.promises,
      statfs: async (path: string) => {
        const told = await real.promises.statfs(path)
        return Object.assign(told, { type: kernel.type ?? told.type })
      },
    },
    open: (path: string, flags: string | number, ...rest: unknown[]) => {
      const done = rest.pop() as (error: Error | null, fd?: number) => void
      const has = (flag: number): boolean => typeof flags === 'number' && (flags & flag) !== 0
      const withSync = has(real.constants.O_DSYNC)
      const withDirect = has(real.constants.O_DIRECT)
      if (withSync && kernel.reopenError !== undefined) return done(kernel.reopenError)
      const note = (error: Error | null, fd: number): void => {
        if (withSync) kernel.synced.add(fd)
        else kernel.synced.delete(fd)
        if (withDirect) kernel.direct.add(fd)
        else kernel.direct.delete(fd)
        done(error, fd)
      }
      Reflect.apply(real.open, real, [path, flags, ...rest, note])
    },
    write: (...call: Parameters<ReturnType<typeof short>>) => {
      const name = kernel.direct.has(call[0]) ? 'direct write' : 'synced write'
      kernel.order.push(kernel.synced.has(call[0]) ? name : 'write')
      shortWrite(...call)
    },
    read: short(real.read as never),
    fdatasync: (fd: number, done: (error: Error | null) => void) =>
      setTimeout(() => {
        kernel.order.push('sync')
        real.fdatasync(fd, done)
      }, kernel.syncDelayMs),
    close: (fd: number, done: (error: Error | null) => void) => {
      kernel.order.push('close')
      real.close(fd, done)
    },
  }
})

const root = fs.mkdtempSync(join(tmpdir(), 'sluicegate-disk-'))
afterAll(() => fs.rmSync(root, { recursive: true }))
afterEach(() => {
  kernel.bytesMax = undefined
  kernel.syncDelayMs = 0
  kernel.type = undefined
  kernel.release = undefined
  kernel.reopenError = undefined
})

diskCases('real', () => ({ disk: nodeDisk, directory: fs.mkdtempSync(join(root, 'case-')) }))

it('goes on after short writes and short reads until all is done', async () => {
  kernel.bytesMax = 7
  const path = join(root, 'short')
  const value = 'The quick brown fox jumps over the lazy dog'
  await write(nodeDisk, path, value)
  expect(fs.readFileSync(path, 'latin1')).toBe(value)
  expect(await text(nodeDisk, path)).toBe(value)
})

it('a write that moves nothing is an error, not an endless loop', async () => {
  kernel.bytesMax = 0
  const path = join(root, 'nothing')
  await expect(write(nodeDisk, path, 'abc')).rejects.toMatchObject({ code: 'EIO', path })
})

it('a descriptor is not closed, and so not handed out again, while a call runs on it', async () => {
  kernel.syncDelayMs = 20
  const file = await nodeDisk.open(join(root, 'busy'), 'wx+')
  kernel.order.length = 0
  await Promise.all([file.sync(), file.close()])
  expect(kernel.order).toEqual(['sync', 'close'])
})

const EXT4 = 0xef53
const XFS = 0x58465342
const FUSE = 0x65735546

describe('a durable write', () => {
  /** The calls that writing `value` durably makes, the second time: the first one looks what the file system is. */
  async function callsOf(value: string): Promise<string[]> {
    const path = join(fs.mkdtempSync(join(root, 'durable-')), 'file')
    const file = await nodeDisk.open(path, 'wx+')
    await file.writeDurably(Buffer.from('...'), 0)
    // Segments get their name later.
    await nodeDisk.rename(path, `${path}.log`)
    kernel.order.length = 0
    await file.writeDurably(Buffer.from(value), 1)
    const calls = [...kernel.order]
    expect(await text(nodeDisk, `${path}.log`)).toBe(`.${value}`)
    await file.close()
    return calls
  }

  it.runIf(process.platform === 'linux')(
    'is one call where that is as good as write and fdatasync',
    async () => {
      kernel.type = EXT4
      expect(await callsOf('abcdef')).toEqual(['synced write'])
    },
  )

  it.runIf(process.platform === 'linux')('syncs the rest of a short write too', async () => {
    kernel.type = EXT4
    kernel.bytesMax = 4
    expect(await callsOf('abcdef')).toEqual(['synced write', 'synced write'])
  })

  it('is write and fdatasync on any other file system', async () => {
    kernel.type = FUSE
    expect(await callsOf('abcdef')).toEqual(['write', 'sync'])
  })

  it('is write and fdatasync where no second descriptor is to be had', async () => {
    kernel.type = EXT4
    kernel.reopenError = Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
    expect(await callsOf('abcdef')).toEqual(['write', 'sync'])
  })

  it.each([EXT4, FUSE])('is not done when the kernel fails: file system %i', async (type) => {
    kernel.type = type
    const path = join(root, `fails-${type}`)
    const file = await nodeDisk.open(path, 'wx+')
    await file.writeDurably(Buffer.from('abc'), 0)
    kernel.bytesMax = 0
    await expect(file.writeDurably(Buffer.from('abc'), 0)).rejects.toMatchObject({ code: 'EIO', path })
    kernel.bytesMax = undefined
    await file.close()
  })

  it.runIf(process.platform === 'linux')('leaves no descriptor behind', async () => {
    kernel.type = EXT4
    const open = (): number => fs.readdirSync('/proc/self/fd').length
    const before = open()
    for (let times = 0; times < 20; times++) await callsOf('abc')
    await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(before))
  })
})

const isDirect =
  process.platform === 'linux' && [EXT4, XFS].includes(fs.statfsSync(tmpdir()).type) && hasAddon

describe('whole blocks', () => {
  async function opened(): Promise<DiskFile> {
    return nodeDisk.open(join(fs.mkdtempSync(join(root, 'blocks-')), 'file'), 'wx+')
  }

  /** The calls that writing `blocks` makes. */
  async function callsOf(file: DiskFile, blocks: Uint8Array, position: number): Promise<string[]> {
    kernel.order.length = 0
    await file.writeBlocks(blocks, position)
    return [...kernel.order]
  }

  it.runIf(isDirect)('go to the drive in one call, which tells the length since Linux 6.7', async () => {
    kernel.release = '6.7.0-amd64'
    const file = await opened()
    const blocks = memoryOfBlocks(4 * BLOCK_BYTES)
    expect(await callsOf(file, blocks, 0), 'others may have written before').toEqual(['direct write', 'sync'])
    expect(await callsOf(file, blocks, 4 * BLOCK_BYTES)).toEqual(['direct write'])
    expect(await callsOf(file, blocks, BLOCK_BYTES)).toEqual(['direct write'])
    await file.truncate(0)
    expect(await callsOf(file, blocks, 0)).toEqual(['direct write', 'sync'])
    await file.close()
  })

  it.each([
    ['6.7.0', true],
    ['6.18.44', true],
    ['6.10-rc1', true],
    ['7.0.1-generic', true],
    ['10.2', true],
    ['6.6.99', false],
    ['5.15.0-1064-aws', false],
    ['4.4.0', false],
    ['unknown', false],
  ])('on Linux %s the length of a file that grows is synced with them: %s', (kernelRelease, syncs) => {
    expect(syncsLengthOfDirectWrites(kernelRelease)).toBe(syncs)
  })

  it.runIf(isDirect)('before, in two where the file becomes longer', async () => {
    kernel.release = '6.6.99'
    const file = await opened()
    const blocks = memoryOfBlocks(4 * BLOCK_BYTES)
    expect(await callsOf(file, blocks, 0)).toEqual(['direct write', 'sync'])
    expect(await callsOf(file, blocks, 0)).toEqual(['direct write'])
    expect(await callsOf(file, blocks, BLOCK_BYTES)).toEqual(['direct write', 'sync'])
    expect(await callsOf(file, blocks, BLOCK_BYTES)).toEqual(['direct write'])
    await file.truncate(3 * BLOCK_BYTES)
    expect(await callsOf(file, blocks, 0), 'its length was cut').toEqual(['direct write', 'sync'])
    await file.close()
  })

  it.runIf(isDirect)('a length that was there before counts once it has been synced', async () => {
    const file = await opened()
    await file.write(new Uint8Array(20 * BLOCK_BYTES), 0)
    const blocks = memoryOfBlocks(BLOCK_BYTES)
    expect(await callsOf(file, blocks, 0)).toEqual(['direct write', 'sync'])
    expect(await callsOf(file, blocks, 19 * BLOCK_BYTES)).toEqual(['direct write'])
    await file.close()
  })

  it.runIf(isDirect)('go through the cache when the drive cannot read from this memory', async () => {
    const file = await opened()
    const blocks = memoryOfBlocks(2 * BLOCK_BYTES).subarray(1, 1 + BLOCK_BYTES)
    expect(await callsOf(file, blocks, 0)).toEqual(['direct write', 'synced write'])
    await file.close()
  })

  it.runIf(isDirect)('and when the kernel leaves off in the middle of a block', async () => {
    const file = await opened()
    kernel.bytesMax = BLOCK_BYTES + 100
    const blocks = memoryOfBlocks(2 * BLOCK_BYTES).fill(97)
    expect((await callsOf(file, blocks, 0)).slice(0, 2)).toEqual(['direct write', 'synced write'])
    kernel.bytesMax = undefined
    const room = Buffer.alloc(3 * BLOCK_BYTES)
    expect(await file.read(room, 0)).toBe(2 * BLOCK_BYTES)
    expect(room.subarray(0, 2 * BLOCK_BYTES).every((byte) => byte === 97)).toBe(true)
    await file.close()
  })

  it('are a durable write like any other on other file systems', async () => {
    kernel.type = FUSE
    const file = await opened()
    expect(await callsOf(file, memoryOfBlocks(BLOCK_BYTES), 0)).toEqual(['write', 'sync'])
    await file.close()
  })

  it.runIf(isDirect)('are not there when the kernel fails', async () => {
    const file = await opened()
    await file.writeBlocks(memoryOfBlocks(1), 0)
    kernel.bytesMax = 0
    await expect(file.writeBlocks(memoryOfBlocks(1), 0)).rejects.toMatchObject({ code: 'EIO' })
    kernel.bytesMax = undefined
    await file.close()
  })

  it.runIf(process.platform === 'linux')('leave no descriptor behind', async () => {
    const open = (): number => fs.readdirSync('/proc/self/fd').length
    const before = open()
    for (let times = 0; times < 20; times++) {
      const file = await opened()
      await file.writeBlocks(memoryOfBlocks(1), 0)
      await file.close()
    }
    await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(before))
  })
})

it('files and directories are closed to others', async () => {
  const path = join(root, 'deep', 'deeper', 'file')
  await nodeDisk.mkdir(join(root, 'deep', 'deeper'))
  await write(nodeDisk, path, 'abc')
  expect(fs.statSync(path).mode & 0o027).toBe(0)
  for (const one of ['deep', 'deep/deeper']) expect(fs.statSync(join(root, one)).mode & 0o027).toBe(0)
})

it('a failed call names the file', async () => {
  const path = join(root, 'named')
  const file = await nodeDisk.open(path, 'wx+')
  await file.close()
  await expect(file.sync()).rejects.toThrow(`EBADF: the file is closed, fdatasync '${path}'`)
})
