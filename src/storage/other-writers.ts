/**
 * Folders of other writers in the same data directory, whose records somebody may be waiting for: a writer that was
 * renamed or scaled away leaves its log behind, and nothing but this says so.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Cursors } from '../log/cursor.js'
import { askForOffsets } from '../log/durable.js'
import { type Extent, extentOfLog } from '../log/extent.js'
import { inspectLog } from '../log/inspect.js'

export interface OtherWriter {
  readonly writer: string
  /** Of the process that owns the folder; null: nobody does. */
  readonly pid: number | null
  readonly first_offset: number
  readonly end_offset: number
  /** Records that the slowest of its cursors has not passed; without a cursor all of them. */
  readonly unread: number
}

/** What cannot be looked at, in a sentence. */
export interface UnknownWriter {
  readonly writer: string
  readonly error: string
}

/** Looking reads the last segment of a log that nobody owns, unless it is as it was. */
const LOOK_EVERY_MS = 60_000

export class OtherWriters {
  /** Those with records that are not read yet, and those of which it cannot be said; as the last look found them. */
  found: readonly (OtherWriter | UnknownWriter)[] = []
  private looking: Promise<void> | undefined
  private readonly ends = new Map<string, { mark: string; endOffset: number }>()
  private readonly timer: NodeJS.Timeout

  constructor(
    private readonly dataDir: string,
    private readonly own: string,
  ) {
    this.timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref()
    void this.look()
  }

  stop(): void {
    clearInterval(this.timer)
  }

  /** Never rejects. */
  look(): Promise<void> {
    this.looking ??= this.lookNow().finally(() => (this.looking = undefined))
    return this.looking
  }

  private async lookNow(): Promise<void> {
    const found: (OtherWriter | UnknownWriter)[] = []
    for (const writer of await this.others()) {
      const one = await this.lookAt(writer).catch((error: Error) => ({ writer, error: error.message }))
      if ('error' in one || one.unread > 0) found.push(one)
    }
    this.found = found
  }

  private async others(): Promise<readonly string[]> {
    const names = await readdir(this.dataDir).catch(() => [])
    const holdLog = await Promise.all(names.map((name) => isDirectory(join(this.dataDir, name, 'log'))))
    return names.filter((name, at) => name !== this.own && holdLog[at] === true).toSorted()
  }

  private async lookAt(writer: string): Promise<OtherWriter> {
    const path = join(this.dataDir, writer)
    const owner = await askForOffsets(path, ['log'])
    const { firstOffset, endOffset } = await this.extentOf(join(path, 'log'), owner?.['log'] as number)
    const cursors = (await new Cursors(path).list()).map(({ offset }) => offset)
    const readTo = Math.max(firstOffset, cursors.length === 0 ? firstOffset : Math.min(...cursors))
    const pid = (owner?.['pid'] as number | undefined) ?? null
    const unread = Math.max(0, endOffset - readTo)
    return { writer, pid, first_offset: firstOffset, end_offset: endOffset, unread }
  }

  /** Whoever owns a log knows its end. Otherwise it is read again only when its last segment has changed. */
  private async extentOf(log: string, ownersEnd: number | undefined): Promise<Extent> {
    if (ownersEnd !== undefined) return extentOfLog(log, ownersEnd)
    const { segments, firstOffset } = await inspectLog(log)
    const name = segments.at(-1)?.name ?? ''
    const { size, mtimeMs } = await stat(join(log, name))
    const mark = `${name} ${size} ${mtimeMs}`
    const known = this.ends.get(log)
    if (known?.mark === mark) return { firstOffset, endOffset: known.endOffset }
    const extent = await extentOfLog(log)
    this.ends.set(log, { mark, endOffset: extent.endOffset })
    return extent
  }
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
