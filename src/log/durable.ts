/** How far a reader may go: a batch that is not on stable storage may still be refused, and must not be shown. */
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { askOwner } from './lock.js'

export interface DurableSource {
  /**
   * The offset behind the last durable record, or undefined when nobody writes the log: then what is whole on disk
   * counts, once the reader itself has synced it.
   */
  offset(): Promise<number | undefined>
}

/** An owner that is still recovering its log is asked again after this, this often: a start takes seconds at most. */
const ASK_AGAIN_MS = 50
const ASK_TIMES_MAX = 200

/** Asks the process that owns the directory (src/log/lock.ts). */
export function ownersOffset(directory: string): DurableSource {
  const name = basename(directory)
  return {
    offset: async () => {
      for (let asked = 1; ; asked++) {
        const answer = await askOwner(dirname(directory))
        if (answer === undefined) return undefined
        const offset: unknown = (JSON.parse(answer) as Record<string, unknown>)[name]
        if (typeof offset === 'number') return offset
        // It has not looked yet, and nothing can be said until it has.
        if (asked === ASK_TIMES_MAX) return 0
        await sleep(ASK_AGAIN_MS)
      }
    },
  }
}
