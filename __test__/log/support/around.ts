/** A disk with something done around each call to it. */
import type { Disk, DiskFile } from '../../../src/log/types.js'

export type Around = <T>(call: () => Promise<T>, isSync: boolean) => Promise<T>

export function aroundCalls(disk: Disk, around: Around): Disk {
  const wrapped = (file: DiskFile): DiskFile => ({
    write: (bytes, position) => around(() => file.write(bytes, position), false),
    read: (bytes, position) => around(() => file.read(bytes, position), false),
    truncate: (length) => around(() => file.truncate(length), false),
    size: () => around(() => file.size(), false),
    isAt: (path) => around(() => file.isAt(path), false),
    close: () => around(() => file.close(), false),
    sync: () => around(() => file.sync(), true),
  })
  return {
    open: async (path, flags) => wrapped(await around(() => disk.open(path, flags), false)),
    mkdir: (path) => around(() => disk.mkdir(path), false),
    readdir: (path) => around(() => disk.readdir(path), false),
    rename: (from, to) => around(() => disk.rename(from, to), false),
    unlink: (path) => around(() => disk.unlink(path), false),
    freeBytes: (path) => around(() => disk.freeBytes(path), false),
    stat: (path) => around(() => disk.stat(path), false),
    syncDirectory: (path) => around(() => disk.syncDirectory(path), true),
  }
}
