/**
 * `quarantine/`: torn ends that recovery cut off. They were never acknowledged; somebody may want to look at them all the
 * same, and so they are kept, up to a limit (promise P7).
 */
import { join } from 'node:path'
import type { Disk, DiskFile } from './types.js'

const COPY_BYTES = 1024 * 1024
const TORN = /\.torn(?:\.\d+)?$/

interface Kept {
  readonly path: string
  readonly bytes: number
  readonly modifiedMs: number
}

export class Quarantine {
  /** Torn ends removed to make room for newer ones, or kept in part or not at all. */
  dropped = 0

  /** @param bytesMax of all torn ends together; 0: none is kept */
  constructor(
    private readonly directory: string,
    private readonly disk: Disk,
    private readonly bytesMax: number,
  ) {}

  /** Makes the directory, and brings what earlier runs left in it under the limit. */
  async prepare(): Promise<void> {
    await this.disk.mkdir(this.directory)
    await this.makeRoom(0)
  }

  /**
   * Copies bytes of `file` that are about to be cut to `NAME.torn`, durably. The same place may have been torn before: the
   * newest copy gets a number. What is longer than the limit is kept up to that.
   */
  async keep(file: DiskFile, from: number, to: number, name: string): Promise<void> {
    const end = Math.min(to, from + this.bytesMax)
    if (end < to) this.dropped++
    if (end === from) return
    await this.makeRoom(end - from)
    const { copy, path } = await this.openNew(join(this.directory, `${name}.torn`))
    try {
      await copyBytes(file, from, end, copy)
      await copy.sync()
    } catch (error) {
      // It takes space that there is not, and the next start makes another one.
      await this.disk.unlink(path).catch(() => undefined)
      throw error
    } finally {
      await copy.close()
    }
    await this.disk.syncDirectory(this.directory)
  }

  /** Removes the oldest until `bytes` more are within the limit. What cannot be removed must not keep the log from opening. */
  private async makeRoom(bytes: number): Promise<void> {
    const kept = await this.list()
    let excess = kept.reduce((sum, one) => sum + one.bytes, bytes) - this.bytesMax
    for (const one of kept) {
      if (excess <= 0) return
      const isGone = await this.disk.unlink(one.path).then(
        () => true,
        () => false,
      )
      if (!isGone) continue
      excess -= one.bytes
      this.dropped++
    }
  }

  /** Oldest first. */
  private async list(): Promise<readonly Kept[]> {
    const names = (await this.disk.readdir(this.directory)).filter((name) => TORN.test(name))
    const kept: Kept[] = []
    for (const name of names) {
      const path = join(this.directory, name)
      kept.push({ path, ...(await this.disk.stat(path)) })
    }
    return kept.toSorted((a, b) => a.modifiedMs - b.modifiedMs || (a.path < b.path ? -1 : 1))
  }

  private async openNew(first: string): Promise<{ copy: DiskFile; path: string }> {
    for (let number = 0; ; number++) {
      const path = number === 0 ? first : `${first}.${number}`
      try {
        return { copy: await this.disk.open(path, 'wx+'), path }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    }
  }
}

async function copyBytes(file: DiskFile, from: number, to: number, copy: DiskFile): Promise<void> {
  const bytes = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, to - from))
  for (let at = from; at < to;) {
    const read = await file.read(bytes.subarray(0, Math.min(bytes.length, to - at)), at)
    if (read === 0) break
    await copy.write(bytes.subarray(0, read), at - from)
    at += read
  }
}
