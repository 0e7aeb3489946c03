/** What every `Disk` must do, the real one and the simulated one. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { memoryOfBlocks } from '../../src/log/block-memory.js'
import { BLOCK_BYTES } from '../../src/log/format.js'
import type { Disk, DiskFile } from '../../src/log/types.js'

const bytes = (value: string) => Buffer.from(value)

async function content(file: DiskFile): Promise<string> {
  const room = Buffer.alloc((await file.size()) + 10)
  return room.toString('latin1', 0, await file.read(room, 0))
}

/** `make` answers a disk and an existing, empty directory on it. */
export function diskCases(name: string, make: () => { disk: Disk; directory: string }): void {
  describe(`disk: ${name}`, () => {
    let disk: Disk
    let directory: string
    let path: string
    beforeEach(() => {
      ;({ disk, directory } = make())
      path = join(directory, 'file')
    })

    it('reads what was written, anywhere in the file', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('world'), 6)
      await file.write(bytes('hello '), 0)
      expect(await content(file)).toBe('hello world')
      const part = Buffer.alloc(3)
      expect(await file.read(part, 4)).toBe(3)
      expect(part.toString()).toBe('o w')
      await file.close()
    })

    it('reads less at the end, and nothing behind it', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('abc'), 0)
      expect(await file.read(Buffer.alloc(10), 1)).toBe(2)
      expect(await file.read(Buffer.alloc(10), 3)).toBe(0)
      expect(await file.read(Buffer.alloc(10), 1000)).toBe(0)
      expect(await file.read(Buffer.alloc(0), 0)).toBe(0)
      await file.close()
    })

    it('fills a gap with zeros', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('x'), 3)
      expect(await content(file)).toBe('\0\0\0x')
      await file.close()
    })

    it('writes views and nothing for no bytes', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(new Uint8Array(bytes('abcdef').buffer.slice(0), 0, 0), 5)
      expect(await file.size()).toBe(0)
      await file.write(Uint8Array.from([1, 2, 3, 4, 5]).subarray(1, 4), 0)
      expect(await content(file)).toBe('\x02\x03\x04')
      await file.close()
    })

    it('cuts and lengthens; what was cut off does not come back', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('abcdef'), 0)
      await file.truncate(2)
      expect(await file.size()).toBe(2)
      await file.truncate(4)
      expect(await content(file)).toBe('ab\0\0')
      await file.close()
    })

    it('syncs files and directories', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('abc'), 0)
      await expect(file.sync()).resolves.toBeUndefined()
      await expect(disk.syncDirectory(directory)).resolves.toBeUndefined()
      await expect(disk.syncDirectory(join(directory, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' })
      await file.close()
    })

    it('writes durably, over what is there and behind the end, and nothing for no bytes', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('abcdef'), 0)
      await file.writeDurably(bytes('XY'), 2)
      await Promise.all([file.writeDurably(bytes('gh'), 6), file.writeDurably(bytes('ij'), 8)])
      await file.writeDurably(Buffer.alloc(0), 20)
      expect(await content(file)).toBe('abXYefghij')
      await file.close()
    })

    it.each([0, 1, 512])('writes whole blocks, from memory %i bytes behind a boundary', async (shift) => {
      const memory = memoryOfBlocks(4 * BLOCK_BYTES)
      const blocks = memory.subarray(shift, shift + 2 * BLOCK_BYTES)
      const file = await disk.open(path, 'wx+')
      const reading = await disk.open(path, 'r')
      await file.write(Buffer.alloc(5000, 'a'), 0)
      const before = await content(reading)
      blocks.fill('b'.charCodeAt(0))
      await file.writeBlocks(blocks, BLOCK_BYTES)
      expect(await content(reading)).toBe(before.slice(0, BLOCK_BYTES) + 'b'.repeat(2 * BLOCK_BYTES))
      await file.writeDurably(bytes('cc'), BLOCK_BYTES + 10)
      blocks.fill('d'.charCodeAt(0))
      await file.writeBlocks(blocks.subarray(0, BLOCK_BYTES), 2 * BLOCK_BYTES)
      await file.writeBlocks(blocks, 6 * BLOCK_BYTES)
      const whole = await content(reading)
      expect(whole.slice(BLOCK_BYTES, 2 * BLOCK_BYTES)).toBe(
        `${'b'.repeat(10)}cc${'b'.repeat(BLOCK_BYTES - 12)}`,
      )
      expect(whole.slice(2 * BLOCK_BYTES)).toBe(
        'd'.repeat(BLOCK_BYTES) + '\0'.repeat(3 * BLOCK_BYTES) + 'd'.repeat(2 * BLOCK_BYTES),
      )
      await file.truncate(7 * BLOCK_BYTES)
      await file.writeBlocks(blocks, 7 * BLOCK_BYTES)
      expect((await content(reading)).slice(-3 * BLOCK_BYTES)).toBe('d'.repeat(3 * BLOCK_BYTES))
      await Promise.all([file.close(), reading.close()])
    })

    it('makes a new file only where none is', async () => {
      const made = await Promise.allSettled([1, 2, 3].map(() => disk.open(path, 'wx+')))
      expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      expect(made.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'EEXIST' } })
      for (const one of made) if (one.status === 'fulfilled') await one.value.close()
    })

    it('opens an existing file only where one is', async () => {
      await expect(disk.open(path, 'r')).rejects.toMatchObject({ code: 'ENOENT', path })
      await expect(disk.open(path, 'r+')).rejects.toMatchObject({ code: 'ENOENT', path })
      await expect(disk.open(join(path, 'below'), 'wx+')).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(disk.open(directory, 'r+')).rejects.toMatchObject({ code: 'EISDIR' })
    })

    it('r+ changes and keeps the rest; r changes nothing', async () => {
      await write(disk, path, 'abcdef')
      const both = await disk.open(path, 'r+')
      await both.write(bytes('XY'), 2)
      expect(await content(both)).toBe('abXYef')
      await both.close()
      const reading = await disk.open(path, 'r')
      await expect(reading.write(bytes('no'), 0)).rejects.toMatchObject({ code: 'EBADF', path })
      await expect(reading.writeDurably(bytes('no'), 0)).rejects.toMatchObject({ code: 'EBADF', path })
      await expect(reading.writeBlocks(memoryOfBlocks(1), 0)).rejects.toMatchObject({ code: 'EBADF', path })
      await expect(reading.truncate(0)).rejects.toMatchObject({ path })
      expect(await content(reading)).toBe('abXYef')
      await reading.close()
    })

    it('two handles see one file', async () => {
      const writing = await disk.open(path, 'wx+')
      const reading = await disk.open(path, 'r')
      await writing.write(bytes('abc'), 0)
      expect(await content(reading)).toBe('abc')
      await writing.close()
      await reading.close()
    })

    it('refuses everything on a closed file', async () => {
      const file = await disk.open(path, 'wx+')
      await file.close()
      const late = [file.write(bytes('a'), 0), file.read(bytes('a'), 0), file.sync(), file.truncate(0)]
      const synced = [file.writeDurably(bytes('a'), 0), file.writeBlocks(memoryOfBlocks(1), 0)]
      for (const call of [...late, ...synced, file.size(), file.close()]) {
        await expect(call).rejects.toMatchObject({ code: 'EBADF', path })
      }
    })

    it.each(['write', 'writeDurably'] as const)('close waits for what is running: %s', async (how) => {
      const file = await disk.open(path, 'wx+')
      const written = [0, 1, 2, 3].map((at) => file[how](bytes('abcd'.slice(at, at + 1)), at))
      await file.close()
      await Promise.all(written)
      const again = await disk.open(path, 'r')
      expect(await content(again)).toBe('abcd')
      await again.close()
    })

    it('close waits for blocks that are being written', async () => {
      const file = await disk.open(path, 'wx+')
      const written = [0, 1, 2, 3].map((at) =>
        file.writeBlocks(memoryOfBlocks(1).fill(97 + at), at * BLOCK_BYTES),
      )
      await file.close()
      await Promise.all(written)
      const again = await disk.open(path, 'r')
      expect(await content(again)).toBe([...'abcd'].map((one) => one.repeat(BLOCK_BYTES)).join(''))
      await again.close()
    })

    it('makes directories with their parents, and again without complaint', async () => {
      const deep = join(directory, 'a', 'b', 'c')
      await disk.mkdir(deep)
      await disk.mkdir(deep)
      expect(await disk.readdir(join(directory, 'a', 'b'))).toEqual(['c'])
      await write(disk, path, '')
      await expect(disk.mkdir(path)).rejects.toMatchObject({ code: 'EEXIST' })
      await expect(disk.mkdir(join(path, 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    })

    it('lists names', async () => {
      for (const one of ['b', 'a', '.c']) await write(disk, join(directory, one), one)
      expect((await disk.readdir(directory)).toSorted()).toEqual(['.c', 'a', 'b'])
      await expect(disk.readdir(join(directory, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(disk.readdir(join(directory, 'a'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    })

    it('renames, over an existing file too, and open handles follow', async () => {
      const [from, to] = [join(directory, 'from'), join(directory, 'to')]
      await write(disk, to, 'old')
      const file = await disk.open(from, 'wx+')
      await disk.rename(from, to)
      await file.write(bytes('new'), 0)
      await file.close()
      expect(await disk.readdir(directory)).toEqual(['to'])
      expect(await text(disk, to)).toBe('new')
      await expect(disk.rename(from, to)).rejects.toMatchObject({ code: 'ENOENT' })
      await disk.rename(to, to)
      expect(await text(disk, to)).toBe('new')
    })

    it('renames into another directory, and directories', async () => {
      const [one, two] = [join(directory, 'one'), join(directory, 'two')]
      await disk.mkdir(one)
      await disk.mkdir(join(two, 'full'))
      await write(disk, path, 'abc')
      await disk.rename(path, join(one, 'file'))
      await expect(disk.rename(join(one, 'file'), two)).rejects.toMatchObject({ code: 'EISDIR' })
      await expect(disk.rename(one, two)).rejects.toMatchObject({ code: 'ENOTEMPTY' })
      await disk.rename(one, join(directory, 'three'))
      expect(await text(disk, join(directory, 'three', 'file'))).toBe('abc')
    })

    it('removes a name; an open handle keeps the file', async () => {
      const file = await disk.open(path, 'wx+')
      await file.write(bytes('abc'), 0)
      await disk.unlink(path)
      expect(await disk.readdir(directory)).toEqual([])
      expect(await content(file)).toBe('abc')
      await file.close()
      await expect(disk.unlink(path)).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(disk.unlink(directory)).rejects.toThrow(/EISDIR|EPERM/)
    })

    it('knows whether a path still names an open file', async () => {
      const aside = join(directory, 'aside')
      const file = await disk.open(path, 'wx+')
      expect(await file.isAt(path)).toBe(true)
      await disk.rename(path, aside)
      expect([await file.isAt(path), await file.isAt(aside)]).toEqual([false, true])
      await write(disk, path, 'another')
      expect(await file.isAt(path)).toBe(false)
      await disk.unlink(aside)
      expect(await file.isAt(aside)).toBe(false)
      await file.close()
      await expect(file.isAt(path)).rejects.toMatchObject({ code: 'EBADF' })
    })

    it('tells the size of a file, and which file system holds it', async () => {
      await write(disk, path, 'abc')
      const [file, folder] = [await disk.stat(path), await disk.stat(directory)]
      expect(file).toMatchObject({ bytes: 3, device: folder.device })
      await sleep(15)
      await write(disk, join(directory, 'later'), 'x')
      expect((await disk.stat(join(directory, 'later'))).modifiedMs).toBeGreaterThan(file.modifiedMs)
      await expect(disk.stat(join(directory, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' })
    })

    it('tells the free bytes', async () => {
      expect(await disk.freeBytes(directory)).toBeGreaterThan(0)
      await expect(disk.freeBytes(join(directory, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' })
    })
  })
}

export async function write(disk: Disk, path: string, value: string): Promise<void> {
  const file = await disk.open(path, 'wx+')
  await file.write(bytes(value), 0)
  await file.close()
}

export async function text(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path, 'r')
  return content(file).finally(() => file.close())
}
