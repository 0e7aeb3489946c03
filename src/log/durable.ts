/** How far a reader may go: a batch that is not on stable storage may still be refused, and must not be shown. */
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SluicegateError } from '../errors.js'
import { askOwner } from './lock.js'

export interface DurableSource {
  /**
   * The offset behind the last durable record, or undefined when nobody writes the log: then what is whole on disk
   * counts, once the reader itself has synced it.
   */
  offset(): Promise<number | undefined>
}

/** An owner that is still recovering its logs is asked again after this, this often: a start takes seconds at most. */
const ASK_AGAIN_MS = 50
const ASK_TIMES_MAX = 200

/**
 * Asks the process that owns a writer's folder (src/log/lock.ts) until it knows the durable offsets of these logs.
 *
 * @returns the JSON that it answers; undefined when nobody owns the folder
 * @throws SluicegateError `owner_recovering`: it did not know them in time, and nothing can be said until it does;
 *   `owner_unintelligible`
 */
export async function askForOffsets(
  directory: string,
  logs: readonly string[],
  timesMax = ASK_TIMES_MAX,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  for (let asked = 1; ; asked++) {
    const answer = await askOwner(directory)
    if (answer === undefined) return undefined
    const said = parse(answer, directory)
    if (logs.every((name) => typeof said[name] === 'number')) return said
    if (asked === timesMax) break
    await sleep(ASK_AGAIN_MS)
  }
  const seconds = (timesMax * ASK_AGAIN_MS) / 1000
  throw new SluicegateError(
    'owner_recovering',
    `the server on ${directory} has been recovering its logs for more than ${seconds} s: try again once it is ready`,
  )
}

export function ownersOffset(directory: string): DurableSource {
  const name = basename(directory)
  return {
    offset: async () => (await askForOffsets(dirname(directory), [name]))?.[name] as number | undefined,
  }
}

function parse(answer: string, directory: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(answer) as Readonly<Record<string, unknown>>
  } catch (cause) {
    const message = `${directory}: its owner answers in a way this version does not know`
    throw new SluicegateError('owner_unintelligible', message, { cause })
  }
}
