/** A disk with something done around each call to it. */
import type { Disk, DiskFile } from '../../../src/log/types.js'

/** `unsynced`, of a call that makes something durable: what is left of it without that. */
export type Around = <T>(call: () => Promise<T>, unsynced?: () => Promise<T>) => Promise<T>

const nothing = (): Promise<void> => Promise.resolve()

export function aroundCalls(disk: Disk, around: Around): Disk {
  const wrapped = (file: DiskFile): DiskFile => ({
    write: (bytes, position) => around(() => file.write(bytes, position)),
    writeDurably: (bytes, position) =>
      around(
        () => file.writeDurably(bytes, position),
        () => file.write(bytes, position),
      ),
    writeBlocks: (bytes, position) =>
      around(
        () => file.writeBlocks(bytes, position),
        () => file.write(bytes, position),
      ),
    read: (bytes, position) => around(() => file.read(bytes, position)),
    truncate: (length) => around(() => file.truncate(length)),
    size: () => around(() => file.size()),
    isAt: (path) => around(() => file.isAt(path)),
    close: () => around(() => file.close()),
    sync: () => around(() => file.sync(), nothing),
  })
  return {
    open: async (path, flags) => wrapped(await around(() => disk.open(path, flags))),
    mkdir: (path) => around(() => disk.mkdir(path)),
    readdir: (path) => around(() => disk.readdir(path)),
    rename: (from, to) => around(() => disk.rename(from, to)),
    unlink: (path) => around(() => disk.unlink(path)),
    freeBytes: (path) => around(() => disk.freeBytes(path)),
    stat: (path) => around(() => disk.stat(path)),
    syncDirectory: (path) => around(() => disk.syncDirectory(path), nothing),
  }
}
