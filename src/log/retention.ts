/** Which segments may go: those that every cursor has passed, by age or when space is needed (docs/LOG_FORMAT.md 6). */
import { join } from 'node:path'
import type { Confirmation } from './presence.js'
import type { Disk } from './types.js'

export interface KeptSegment {
  readonly name: string
  readonly firstOffset: number
  readonly createdMs: number
  bytes: number
}

export interface RetentionOptions {
  readonly directory: string
  readonly disk: Disk
  readonly whenFull: 'refuse' | 'drop-oldest'
  /** Segments that all cursors have passed go after this; 0: only when their space is needed. */
  readonly retentionMs: number
  /** Offsets of all cursors. Rejects when one cannot be read: then nothing is removed on its word. */
  readonly cursors: () => Promise<readonly number[]>
  readonly presence: Confirmation
}

export class Retention {
  /** Records that went with segments that no cursor had passed. */
  dropped = 0

  constructor(private readonly options: RetentionOptions) {}

  /**
   * Removes the oldest segments until `bytes` are free or none may go. The last one, being written, always stays.
   *
   * @returns the bytes freed
   */
  async makeRoom(segments: KeptSegment[], bytes: number): Promise<number> {
    const passed = await this.passedOffset()
    let freed = 0
    while (freed < bytes && segments.length > 1) {
      const next = segments[1]!
      const isPassed = next.firstOffset <= passed
      if (!isPassed && this.options.whenFull === 'refuse') break
      const lost = isPassed ? 0 : next.firstOffset - Math.max(segments[0]!.firstOffset, passed)
      freed += await this.remove(segments)
      this.dropped += lost
    }
    return freed
  }

  /** Removes what is passed and too old. */
  async expire(segments: KeptSegment[], nowMs: number): Promise<number> {
    const { retentionMs } = this.options
    if (retentionMs === 0 || segments.length < 2) return 0
    const passed = await this.passedOffset()
    let freed = 0
    // A segment's youngest record is as old as the next segment.
    while (
      segments.length > 1 &&
      segments[1]!.firstOffset <= passed &&
      segments[1]!.createdMs <= nowMs - retentionMs
    ) {
      freed += await this.remove(segments)
    }
    return freed
  }

  /** The offset that every cursor has reached; -1 without any, and when one cannot be read. */
  private async passedOffset(): Promise<number> {
    try {
      const offsets = await this.options.cursors()
      return offsets.length === 0 ? -1 : Math.min(...offsets)
    } catch {
      return -1
    }
  }

  private async remove(segments: KeptSegment[]): Promise<number> {
    const { disk, directory, presence } = this.options
    await presence.look()
    const oldest = segments[0]!
    await disk.unlink(join(directory, oldest.name)).catch((error: NodeJS.ErrnoException) => {
      // Somebody who needed space was here before. To fail over it would fail for ever.
      if (error.code !== 'ENOENT') throw error
    })
    segments.shift()
    await disk.syncDirectory(directory)
    return oldest.bytes
  }
}
