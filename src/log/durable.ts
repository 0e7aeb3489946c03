/** How far a reader may go: a batch that is not on stable storage may still be refused, and must not be shown. */
import { basename, dirname } from 'node:path'
import { askOwner } from './lock.js'

export interface DurableSource {
  /**
   * The offset behind the last durable record, or undefined when nobody writes the log: then what is whole on disk
   * counts, once the reader itself has synced it.
   */
  offset(): Promise<number | undefined>
}

/** Asks the process that owns the directory (src/log/lock.ts). */
export function ownersOffset(directory: string): DurableSource {
  const name = basename(directory)
  return {
    offset: async () => {
      const answer = await askOwner(dirname(directory))
      if (answer === undefined) return undefined
      const offset: unknown = (JSON.parse(answer) as Record<string, unknown>)[name]
      // An owner that is still recovering has not looked yet; nothing can be said until it has.
      return typeof offset === 'number' ? offset : 0
    },
  }
}
