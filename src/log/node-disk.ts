/**
 * The real file system. The log writes through raw descriptors: one promise a call, none a step, since a durable write
 * stands between every request and its answer.
 */
import * as fs from 'node:fs'
import { release } from 'node:os'
import { unlessMissing } from './disk-errors.js'
import type { Disk, DiskFile } from './types.js'

/** Events are other people's data: nobody outside the group reads them. The umask may take more away. */
const FILE_MODE = 0o640
const DIRECTORY_MODE = 0o750
/** What opening or syncing a directory answers on Windows, where directories need no sync. */
const NO_DIRECTORY_SYNC = ['EISDIR', 'EPERM']
/** File systems, by the numbers that statfs(2) gives them, whose ways with O_DSYNC and O_DIRECT are known (`openAgain`). */
const EXT = 0xef53
const XFS = 0x58465342
const NOTHING = Promise.resolve(undefined)
/** O_DIRECT is Linux's alone, as are the file systems that it is used on. */
const { O_DSYNC = 0, O_DIRECT = 0 } = fs.constants

export const nodeDisk: Disk = {
  open(path, flags) {
    return new Promise((resolve, reject) => {
      fs.open(path, flags, FILE_MODE, (error, fd) =>
        error ? reject(error) : resolve(new NodeFile(fd, path, flags !== 'r')),
      )
    })
  },
  async mkdir(path) {
    await fs.promises.mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
  },
  readdir(path) {
    return fs.promises.readdir(path)
  },
  rename(from, to) {
    return fs.promises.rename(from, to)
  },
  unlink(path) {
    return fs.promises.unlink(path)
  },
  async syncDirectory(path) {
    try {
      const directory = await fs.promises.open(path, 'r')
      await directory.sync().finally(() => directory.close())
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (process.platform !== 'win32' || !NO_DIRECTORY_SYNC.includes(code)) throw error
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await fs.promises.statfs(path)
    return bavail * bsize
  },
  async stat(path) {
    const { dev, size, mtimeMs } = await fs.promises.stat(path)
    return { device: String(dev), bytes: size, modifiedMs: mtimeMs }
  },
}

/**
 * A raw descriptor is only a number, which the kernel hands out again as soon as it is closed. So `close` waits for
 * what is running, and what comes later is refused: a late write must never land in another file.
 */
class NodeFile implements DiskFile {
  private running = 0
  private closing = false
  private onIdle: (() => void) | undefined
  /** The same file opened with O_DSYNC, and with O_DIRECT, once the first write has asked for it. */
  private synced: Promise<number | undefined> | undefined
  private direct: Promise<number | undefined> | undefined
  /** The file is at least so long; and so long, it will be after a power loss. */
  private length = 0
  private lengthSynced = 0
  private syncsLength = false

  constructor(
    private readonly fd: number,
    private readonly path: string,
    private readonly isWritable: boolean,
  ) {}

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.run<void>('write', (resolve, reject) => {
      writeAll(this.fd, bytes, position, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** One call to the kernel, and so one way to the thread pool and back, where `openAgain` has found that it suffices. */
  writeDurably(bytes: Uint8Array, position: number): Promise<void> {
    return this.run<void>('write', (resolve, reject) => {
      this.writeAndSync(bytes, position, (error) => (error ? reject(error) : resolve()))
    })
  }

  writeBlocks(bytes: Uint8Array, position: number): Promise<void> {
    return this.run<void>('write', (resolve, reject) => {
      const settle: fs.NoParamCallback = (error) => (error ? reject(error) : resolve())
      const end = position + bytes.length
      this.direct ??= this.isWritable ? this.openDirect() : NOTHING
      const start = (direct: number | undefined): void => {
        if (direct === undefined) return this.writeAndSync(bytes, position, settle)
        writeAll(direct, bytes, position, (error) => {
          // The drive cannot read from this memory, or write to this file, or what a short write left is no block.
          if (error?.code === 'EINVAL') return this.writeAndSync(bytes, position, settle)
          if (error || end <= this.lengthSynced) return settle(error)
          // A first sync is for what has been written by other ways before.
          if (this.syncsLength && this.lengthSynced > 0) {
            this.lengthSynced = end
            return settle(null)
          }
          fs.fdatasync(this.fd, (failed) => {
            if (!failed) this.lengthSynced = Math.max(end, this.length)
            settle(failed)
          })
        })
      }
      void this.direct.then(start).catch(reject)
    })
  }

  /** Fewer bytes than asked for means the end of the file: a read that the kernel cuts short goes on. */
  read(bytes: Uint8Array, position: number): Promise<number> {
    return this.run<number>('read', (resolve, reject) => {
      let done = 0
      const step = (error: NodeJS.ErrnoException | null, read: number) => {
        if (error) return reject(error)
        done += read
        if (read === 0 || done === bytes.length) return resolve(done)
        fs.read(this.fd, bytes, done, bytes.length - done, position + done, step)
      }
      fs.read(this.fd, bytes, 0, bytes.length, position, step)
    })
  }

  sync(): Promise<void> {
    return this.run<void>('fdatasync', (resolve, reject) => {
      fs.fdatasync(this.fd, (error) => (error ? reject(error) : resolve()))
    })
  }

  truncate(length: number): Promise<void> {
    return this.run<void>('ftruncate', (resolve, reject) => {
      this.length = Math.min(this.length, length)
      this.lengthSynced = Math.min(this.lengthSynced, length)
      fs.ftruncate(this.fd, length, (error) => (error ? reject(error) : resolve()))
    })
  }

  size(): Promise<number> {
    return this.run<number>('fstat', (resolve, reject) => {
      fs.fstat(this.fd, (error, stats) => (error ? reject(error) : resolve(stats.size)))
    })
  }

  async isAt(path: string): Promise<boolean> {
    const own = await this.run<fs.BigIntStats>('fstat', (resolve, reject) => {
      fs.fstat(this.fd, { bigint: true }, (error, stats) => (error ? reject(error) : resolve(stats)))
    })
    const named = await unlessMissing(fs.promises.stat(path, { bigint: true }))
    return named !== undefined && named.dev === own.dev && named.ino === own.ino
  }

  async close(): Promise<void> {
    if (this.closing) throw this.named(errno('EBADF', 'the file is closed', 'close'))
    this.closing = true
    if (this.running > 0) await new Promise<void>((resolve) => (this.onIdle = resolve))
    for (const again of [await this.synced, await this.direct]) {
      if (again !== undefined) fs.close(again, () => {})
    }
    await new Promise<void>((resolve, reject) => {
      fs.close(this.fd, (error) => (error ? reject(this.named(error)) : resolve()))
    })
  }

  private async openDirect(): Promise<number | undefined> {
    const direct = await openAgain(this.fd, O_DIRECT | O_DSYNC)
    if (direct === undefined) return undefined
    this.syncsLength = syncsLengthOfDirectWrites(release())
    await new Promise<void>((resolve) => {
      fs.fstat(this.fd, (error, stats) => {
        if (error === null) this.length = stats.size
        resolve()
      })
    })
    return direct
  }

  private writeAndSync(bytes: Uint8Array, position: number, settle: fs.NoParamCallback): void {
    this.synced ??= this.isWritable ? openAgain(this.fd, O_DSYNC) : NOTHING
    const start = (synced: number | undefined): void => {
      if (synced !== undefined) return writeAll(synced, bytes, position, settle)
      const sync: fs.NoParamCallback = (error) => (error ? settle(error) : fs.fdatasync(this.fd, settle))
      writeAll(this.fd, bytes, position, sync)
    }
    void this.synced.then(start).catch(settle)
  }

  private run<T>(
    syscall: string,
    work: (resolve: (value: T) => void, reject: (error: NodeJS.ErrnoException) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.closing) return reject(this.named(errno('EBADF', 'the file is closed', syscall)))
      this.running++
      work(
        (value) => {
          this.ended()
          resolve(value)
        },
        (error) => {
          this.ended()
          reject(this.named(error))
        },
      )
    })
  }

  private ended(): void {
    this.running--
    if (this.running === 0) this.onIdle?.()
  }

  /** Calls on a descriptor fail without saying which file it was. */
  private named(error: NodeJS.ErrnoException): NodeJS.ErrnoException {
    error.message += ` '${this.path}'`
    return Object.assign(error, { path: this.path })
  }
}

/**
 * Does O_DSYNC with O_DIRECT leave the file's new length on stable storage, too? Before Linux 6.7 ext4 set it only after
 * O_DSYNC had done its part (commit 91562895f8, "ext4: properly sync file size update after O_SYNC direct IO").
 */
export function syncsLengthOfDirectWrites(kernelRelease: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(kernelRelease) ?? []
  return Number(major) > 6 || (Number(major) === 6 && Number(minor) >= 7)
}

function errno(code: string, text: string, syscall: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, syscall })
}

function writeAll(fd: number, bytes: Uint8Array, position: number, callback: fs.NoParamCallback): void {
  let done = 0
  const step = (error: NodeJS.ErrnoException | null, written: number): void => {
    if (error) return callback(error)
    done += written
    if (done === bytes.length) return callback(null)
    // Written nothing, and no error: going on could turn for ever.
    if (written === 0) return callback(errno('EIO', 'nothing was written', 'write'))
    fs.write(fd, bytes, done, bytes.length - done, position + done, step)
  }
  if (bytes.length === 0) return callback(null)
  fs.write(fd, bytes, 0, bytes.length, position, step)
}

/**
 * The file behind `fd` opened once more, on ext4 and XFS; undefined elsewhere. Opened through /proc, it is the same file
 * under whatever name, or none.
 *
 * O_DSYNC: one write through that is worth a write and an fdatasync. The kernel ends such a write with the very function
 * that fdatasync calls (generic_write_sync and fdatasync both come to vfs_fsync_range with datasync set), for the bytes
 * just written. So it waits for the same things, the flush of the drive's cache among them, a length that has grown
 * included; and it reports the same errors, also those of pages that were written back before. A short write has synced
 * what it wrote. Elsewhere fdatasync stays: macOS flushes the drive's cache only when told to, as fdatasync of libuv does,
 * and a file system in user space may be left to heed the flag by itself. A descriptor of its own, since Linux takes
 * O_DSYNC at opening alone and zeroes are written ahead without it.
 *
 * O_DIRECT: what is written does not go through the kernel's cache of files. Copying it there costs the thread, and the
 * one beside it whose caches it takes, several times what the drive costs; on a machine of which only a part is in use
 * (a virtual one whose host has taken back the rest) each new page of that cache costs more still. Who reads such bytes
 * through the cache sees them: the kernel drops what it has of them, before and after.
 */
async function openAgain(fd: number, flags: number): Promise<number | undefined> {
  const self = `/proc/self/fd/${fd}`
  try {
    const { type } = await fs.promises.statfs(self)
    if (type !== EXT && type !== XFS) return undefined
    return await new Promise<number>((resolve, reject) => {
      fs.open(self, fs.constants.O_WRONLY | flags, (error, again) => (error ? reject(error) : resolve(again)))
    })
  } catch {
    return undefined
  }
}
