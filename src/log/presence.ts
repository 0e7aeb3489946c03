/**
 * Whether the files being written are still those that their paths name. After `rm -rf` of a live server's directory, or
 * when it was moved away or mounted over, writes and syncs succeed as before, in files that nobody will find again.
 */
import type { Clock } from '../clock.js'
import { SluicegateError } from '../errors.js'

/** What a batch's acknowledgement asks; see Presence. */
export interface Confirmation {
  /** undefined: all was in its place within the last second. Else to be waited for; rejects when something is not. */
  confirm(): Promise<void> | undefined
  /** Looks now, before something is made or removed by its path. Rejects when something is not in its place. */
  look(): Promise<void>
  /** Set once something was not in its place; stays. */
  readonly lost: SluicegateError | undefined
}

/** Answers a sentence that says what is not in its place, or undefined. */
export type Check = () => Promise<string | undefined>

/** No acknowledgement is given when the files were last seen in their place longer ago than this. */
export const PRESENCE_MS = 1000

export class Presence implements Confirmation {
  lost: SluicegateError | undefined
  private readonly checks: Check[] = []
  private seenMs: number
  private looking: Promise<void> | undefined

  /** @param onLost called once */
  constructor(
    private readonly clock: Clock,
    private readonly onLost: (error: SluicegateError) => void,
  ) {
    this.seenMs = clock.monoMs()
  }

  add(check: Check): void {
    this.checks.push(check)
  }

  confirm(): Promise<void> | undefined {
    if (this.lost === undefined && this.clock.monoMs() - this.seenMs <= PRESENCE_MS) return undefined
    return this.look()
  }

  look(): Promise<void> {
    this.looking ??= this.lookNow().finally(() => (this.looking = undefined))
    return this.looking
  }

  private async lookNow(): Promise<void> {
    if (this.lost === undefined) {
      const startedMs = this.clock.monoMs()
      const missing = await this.firstMissing()
      if (missing === undefined) this.seenMs = startedMs
      else this.lose(missing)
    }
    if (this.lost !== undefined) throw this.lost
  }

  private async firstMissing(): Promise<string | undefined> {
    for (const check of this.checks) {
      const missing = await check().catch((error: unknown) => (error as Error).message)
      if (missing !== undefined) return missing
    }
    return undefined
  }

  private lose(missing: string): void {
    this.lost = new SluicegateError('data_dir_lost', missing)
    this.onLost(this.lost)
  }
}

/** For a log whose directory nobody else can reach. */
export const ALWAYS_PRESENT: Confirmation = {
  confirm: () => undefined,
  look: () => Promise.resolve(),
  lost: undefined,
}
