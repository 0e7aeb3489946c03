/**
 * Which rejected records have been replayed (promise P10: never twice unless forced), on stable storage.
 *
 * A replay is written down before it starts and again when it is over. One that a crash cut short is therefore known,
 * and is not repeated by itself: its record may be in the log already.
 *
 * The file `replayed.json` lies in the writer's folder and is replaced as a whole:
 * `{"v":1,"done":[[from,to],…],"begun":[[from,to],…]}`, offsets of the log of rejects.
 */
import { join } from 'node:path'
import { SluicegateError } from '../errors.js'
import { replaceFile } from '../log/replace-file.js'
import type { Disk } from '../log/types.js'
import { OffsetRanges, type Range } from './ranges.js'

const NAME = 'replayed.json'
const FILE_BYTES_MAX = 64 * 1024 * 1024

/** `begun`: a crash cut the replay short. `running`: it is under way now. */
export type ReplayState = 'never' | 'running' | 'begun' | 'done'

export type ReplayEnding = 'kept' | 'refused' | 'uncertain'

/** Of the log of rejects, whose offsets these are. */
export interface RejectsExtent {
  readonly firstOffset: number
  readonly nextOffset: number
}

export class Replayed {
  /** Under way now; true: an earlier replay of it was cut short, so that its record may be in the log all the same. */
  private readonly running = new Map<number, boolean>()
  private written: Promise<void> = Promise.resolve()

  private constructor(
    private readonly disk: Disk,
    private readonly directory: string,
    private readonly extent: () => RejectsExtent,
    private readonly done: OffsetRanges,
    private readonly begun: OffsetRanges,
  ) {}

  /**
   * @param directory the writer's folder, which must be owned: two writers of the file would lose each other's offsets
   * @throws SluicegateError when the file was written by a newer version
   */
  static async open(disk: Disk, directory: string, extent: () => RejectsExtent): Promise<Replayed> {
    const { nextOffset } = extent()
    const text = await readText(disk, directory)
    // A file that cannot be read may have held any offset: none of them is replayed without being asked twice.
    const unreadable: Noted = { done: [], begun: nextOffset > 0 ? [[0, nextOffset - 1]] : [] }
    const noted = text === undefined ? NOTHING : (parseReplayed(text) ?? unreadable)
    const [done, begun] = [new OffsetRanges(noted.done), new OffsetRanges(noted.begun)]
    const replayed = new Replayed(disk, directory, extent, done, begun)
    // What lies beyond the end went with a crash or a wiped log: these offsets will soon mean other records.
    const isStale = [done.dropFrom(nextOffset), begun.dropFrom(nextOffset)].includes(true)
    if (isStale) await replayed.write()
    return replayed
  }

  stateOf(offset: number): ReplayState {
    if (this.running.has(offset)) return 'running'
    if (this.done.has(offset)) return 'done'
    return this.begun.has(offset) ? 'begun' : 'never'
  }

  /**
   * Takes the offsets for a replay and writes that down. From the call on, nobody else gets them.
   *
   * @throws SluicegateError when the disk refuses; then nothing has begun
   */
  async begin(offsets: readonly number[]): Promise<void> {
    const fresh = offsets.filter((offset) => !this.begun.has(offset))
    for (const offset of offsets) this.running.set(offset, this.begun.has(offset))
    for (const offset of fresh) this.begun.add(offset)
    try {
      await this.write()
    } catch (error) {
      for (const offset of fresh) this.begun.remove(offset)
      for (const offset of offsets) this.running.delete(offset)
      const reason = (error as Error).message
      throw new SluicegateError(
        'replay_unnoted',
        `nothing was replayed: it cannot be written down (${reason})`,
        {
          cause: error,
        },
      )
    }
  }

  /** The replays of these offsets are over; `kept` records are in the log, `refused` ones are not. */
  async finish(endings: ReadonlyMap<number, ReplayEnding>): Promise<void> {
    for (const [offset, ending] of endings) {
      const isClear = ending === 'kept' || (ending === 'refused' && this.running.get(offset) !== true)
      if (isClear) this.begun.remove(offset)
      if (ending === 'kept') this.done.add(offset)
    }
    try {
      await this.write()
    } finally {
      for (const offset of endings.keys()) this.running.delete(offset)
    }
  }

  /** One write after the other; each holds everything that was known when its turn came. */
  private write(): Promise<void> {
    const next = this.written.then(() => this.replace())
    this.written = next.catch(() => {})
    return next
  }

  private async replace(): Promise<void> {
    const { firstOffset } = this.extent()
    for (const ranges of [this.done, this.begun]) ranges.dropBelow(firstOffset)
    const content = { v: 1, done: this.done, begun: this.begun }
    const temporary = join(this.directory, `${NAME}.new`)
    // Left behind by a crash, if it is there.
    await this.disk.unlink(temporary).catch(() => {})
    await replaceFile(this.disk, join(this.directory, NAME), temporary, `${JSON.stringify(content)}\n`)
  }
}

interface Noted {
  readonly done: readonly Range[]
  readonly begun: readonly Range[]
}

const NOTHING: Noted = { done: [], begun: [] }

async function readText(disk: Disk, directory: string): Promise<string | undefined> {
  if (!(await disk.readdir(directory)).includes(NAME)) return undefined
  const file = await disk.open(join(directory, NAME), 'r')
  try {
    const bytes = Buffer.alloc(Math.min(await file.size(), FILE_BYTES_MAX))
    const length = await file.read(bytes, 0)
    return bytes.toString('utf8', 0, length)
  } finally {
    await file.close()
  }
}

/** The file's content; undefined when it is damaged. @throws SluicegateError for a newer format */
export function parseReplayed(text: string): Noted | undefined {
  let content: Partial<Noted> & { v?: unknown }
  try {
    content = (JSON.parse(text) ?? {}) as typeof content
  } catch {
    return undefined
  }
  const { v, done, begun } = content
  if (typeof v === 'number' && v > 1) {
    throw new SluicegateError(
      'format_newer',
      `${NAME} has format ${v}, written by a newer version; this one knows 1`,
    )
  }
  return v === 1 && areRanges(done) && areRanges(begun) ? { done, begun } : undefined
}

function areRanges(value: unknown): value is readonly Range[] {
  return Array.isArray(value) && value.every(isRange)
}

function isRange(value: unknown): value is Range {
  if (!Array.isArray(value) || value.length !== 2 || !value.every(Number.isSafeInteger)) return false
  return value[0] >= 0 && value[0] <= value[1]
}
