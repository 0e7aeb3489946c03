/**
 * Named cursors: how far somebody has read a log. Retention removes what all of them have passed, so a cursor is never
 * guessed: a crash leaves the old or the new one, and a damaged file is an error, never offset 0.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Clock, systemClock } from '../clock.js'
import { SluicegateError, UsageError } from '../errors.js'
import { unlessMissing } from './disk-errors.js'
import { nodeDisk } from './node-disk.js'
import { replaceFile } from './replace-file.js'
import type { Disk } from './types.js'

export interface Cursor {
  readonly name: string
  /** Offset of the next record to read: everything before it is done with. */
  readonly offset: number
  /** When it was set, ms since 1970. */
  readonly updatedMs: number
}

const VERSION = 1
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const SUFFIX = '.json'
/** Time and randomness are in the name, because two processes may set the same cursor. Never ends like a cursor. */
const TEMPORARY = /\.tmp-(\d{1,16})-[0-9a-f]{16}$/
/** A temporary file this old is nobody's any more: writing one takes milliseconds. */
const TEMPORARY_MS_MAX = 60_000
/** A cursor file is about 100 bytes. */
const FILE_BYTES_MAX = 4096

/** The cursors of one writer, in `<writerDirectory>/cursors/NAME.json`. */
export class Cursors {
  private readonly directory: string
  /** Changes run one after the other, so that of two calls the later one wins. */
  private last: Promise<unknown> = Promise.resolve()
  private directoryDurable = false

  constructor(
    private readonly writerDirectory: string,
    private readonly disk: Disk = nodeDisk,
    private readonly clock: Clock = systemClock,
  ) {
    this.directory = join(writerDirectory, 'cursors')
  }

  /** All cursors by name. Throws SluicegateError `cursor_damaged` if one of them cannot be understood. */
  async list(): Promise<Cursor[]> {
    const files = (await unlessMissing(this.disk.readdir(this.directory))) ?? []
    const names = files.filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length))
    const cursors = await Promise.all(names.filter((name) => NAME.test(name)).map((name) => this.load(name)))
    return cursors.filter((cursor) => cursor !== undefined).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * The cursor's offset; undefined when there is no such cursor. Throws UsageError for a name that cannot be one,
   * SluicegateError `cursor_damaged` for a file that cannot be understood.
   */
  async get(name: string): Promise<number | undefined> {
    return (await this.load(checked(name)))?.offset
  }

  /** Resolves when the cursor is on stable storage. Throws UsageError for an impossible name or offset. */
  async set(name: string, offset: number): Promise<void> {
    checked(name)
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new UsageError(`${offset} is no offset: it must be a whole number from 0 on`)
    }
    return this.inTurn(() => this.store(name, offset))
  }

  /** False when there was no such cursor. Also removes a damaged one. */
  async delete(name: string): Promise<boolean> {
    const path = this.path(checked(name))
    return this.inTurn(async () => {
      const there = await unlessMissing(this.disk.unlink(path).then(() => true))
      if (there === true) await this.disk.syncDirectory(this.directory)
      return there ?? false
    })
  }

  private inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.last.then(change)
    this.last = done.catch(() => undefined)
    return done
  }

  private async store(name: string, offset: number): Promise<void> {
    await this.makeDirectory()
    await this.clean()
    const updatedMs = this.clock.nowMs()
    const text = JSON.stringify({ v: VERSION, name, offset, updated_ms: updatedMs })
    const random = randomBytes(8).toString('hex')
    const temporary = `${this.path(name)}.tmp-${updatedMs}-${random}`
    try {
      await replaceFile(this.disk, this.path(name), temporary, `${text}\n`)
    } catch (error) {
      await this.disk.unlink(temporary).catch(() => undefined)
      throw error
    }
  }

  /** Once per instance and not only when it is missing: who made it may have crashed before the sync. */
  private async makeDirectory(): Promise<void> {
    if (this.directoryDurable) return
    await this.disk.mkdir(this.directory)
    await this.disk.syncDirectory(this.writerDirectory)
    this.directoryDurable = true
  }

  /** Removes what crashed processes left; the young ones may be another process's, just being written. */
  private async clean(): Promise<void> {
    const nowMs = this.clock.nowMs()
    for (const file of await this.disk.readdir(this.directory)) {
      const madeMs = TEMPORARY.exec(file)?.[1]
      // From the future: the clock was set back since.
      if (madeMs === undefined || Math.abs(nowMs - Number(madeMs)) <= TEMPORARY_MS_MAX) continue
      await this.disk.unlink(join(this.directory, file)).catch(() => undefined)
    }
  }

  private async load(name: string): Promise<Cursor | undefined> {
    const path = this.path(name)
    const file = await unlessMissing(this.disk.open(path, 'r'))
    if (file === undefined) return undefined
    try {
      const bytes = Buffer.alloc(FILE_BYTES_MAX)
      const length = await file.read(bytes, 0)
      return parse(bytes.toString('utf8', 0, length), name, path)
    } finally {
      await file.close()
    }
  }

  private path(name: string): string {
    return join(this.directory, name + SUFFIX)
  }
}

function checked(name: string): string {
  if (NAME.test(name)) return name
  throw new UsageError(
    `${JSON.stringify(name)} is no cursor name: 1 to 64 letters, digits, "_", "." or "-", the first a letter or digit`,
  )
}

function parse(text: string, name: string, path: string): Cursor {
  const damaged = (why: string) =>
    new SluicegateError(
      'cursor_damaged',
      `the cursor ${name} cannot be read from ${path}: ${why}; set it with "sluicegate cursors set ${name} OFFSET" or delete it`,
    )
  const content = parseObject(text)
  if (content === undefined) throw damaged('it is no JSON object')
  const { v, offset, updated_ms: updatedMs } = content
  if (typeof v === 'number' && v > VERSION) throw damaged(`a newer sluicegate wrote it (version ${v})`)
  if (v !== VERSION) throw damaged('it has no version')
  // On a file system that takes upper and lower case for the same, one cursor must not be taken for another.
  if (content['name'] !== name) throw damaged('it is the file of another cursor')
  if (!isCount(offset)) throw damaged('it has no offset')
  if (!isCount(updatedMs)) throw damaged('it has no time')
  return { name, offset, updatedMs }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
