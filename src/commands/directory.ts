/** Finds a writer's folder in a data directory, and what can be said of its logs from outside. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.js'
import { UsageError } from '../errors.js'
import { askForOffsets } from '../log/durable.js'
import { type Extent, extentOfLog } from '../log/extent.js'

export interface WriterDirectory {
  readonly name: string
  readonly path: string
  /** The logs' folders. */
  readonly log: string
  readonly rejects: string
}

/**
 * The writer's folder of the configuration.
 * @throws UsageError when there is none, with what is there instead
 */
export function requireLog({ dataDir, writer }: Pick<Config, 'dataDir' | 'writer'>): WriterDirectory {
  if (!isDirectory(dataDir)) {
    throw new UsageError(`${dataDir}: there is no such data directory; name another with --data-dir`)
  }
  const found = writerDirectory(dataDir, writer)
  if (isDirectory(found.log)) return found
  const writers = writersIn(dataDir)
  if (writers.length === 0) throw new UsageError(`${dataDir}: no server has written here yet`)
  const plural = writers.length === 1 ? 'the writer' : 'the writers'
  throw new UsageError(
    `${dataDir}: there is no writer ${writer}, only ${plural} ${writers.join(', ')}; name one with --writer`,
  )
}

/** Names of the folders in a data directory that hold a log, in order. */
export function writersIn(dataDir: string): readonly string[] {
  return readdirSync(dataDir)
    .filter((name) => isDirectory(join(dataDir, name, 'log')))
    .toSorted()
}

export function writerDirectory(dataDir: string, name: string): WriterDirectory {
  const path = join(dataDir, name)
  return { name, path, log: join(path, 'log'), rejects: join(path, 'rejects') }
}

export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** What the live owner of a writer's folder says. */
export interface Owner {
  readonly pid: number
  /** Durable offsets: what lies before them is on stable storage. */
  readonly log: number
  readonly rejects: number
  /** Address of the ops listener. */
  readonly ops: string | null
}

/**
 * Waits for an owner that is recovering its logs. undefined: nobody owns the folder now.
 * @throws SluicegateError `owner_recovering` when that takes too long
 */
export async function ownerOf({ path }: WriterDirectory): Promise<Owner | undefined> {
  return (await askForOffsets(path, ['log', 'rejects'])) as Owner | undefined
}

/** Which offsets a log holds; without an owner the last segment is read for it. */
export function extentOf(
  directory: WriterDirectory,
  which: 'log' | 'rejects',
  owner?: Owner,
): Promise<Extent> {
  return extentOfLog(directory[which], owner?.[which])
}
