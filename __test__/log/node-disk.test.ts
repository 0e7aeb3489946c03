import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { nodeDisk } from '../../src/log/node-disk.js'
import { diskCases, text, write } from './disk.cases.js'

/** The most that one call to the kernel moves; undefined: as it likes. */
const kernel = vi.hoisted(() => ({
  bytesMax: undefined as number | undefined,
  order: [] as string[],
  syncDelayMs: 0,
}))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>()
  const short =
    (call: (...args: unknown[]) => void) =>
    (fd: number, bytes: Uint8Array, offset: number, length: number, position: number, done: unknown) =>
      call(fd, bytes, offset, Math.min(length, kernel.bytesMax ?? length), position, done)
  return {
    ...real,
    write: short(real.write as never),
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
