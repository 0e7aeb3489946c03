/** The `kafka` cursor: never ahead of the state on disk, because what that may send again must stay in the log. */
import type { Say } from '../say.js'
import { cursorOf, type ShipState } from './state.js'

export interface CursorFile {
  get(): Promise<number | undefined>
  /** Resolves when it is on stable storage. */
  set(offset: number): Promise<void>
}

/** How often it is written: each time costs two syncs and only retention reads it. */
export const CURSOR_MS = 1000

export class ShipCursor {
  private offset = -1
  private movedMs = -Infinity
  private isMoving = false

  constructor(
    private readonly file: CursorFile,
    private readonly say: Say,
  ) {}

  /** Moves it if it is time to. Never rejects. */
  async follow(saved: ShipState | undefined, nowMs: number): Promise<void> {
    if (saved === undefined || this.isMoving || nowMs - this.movedMs < CURSOR_MS) return
    if (cursorOf(saved) === this.offset) return
    this.movedMs = nowMs
    this.isMoving = true
    await this.set(saved)
    this.isMoving = false
  }

  async set(saved: ShipState): Promise<void> {
    const offset = cursorOf(saved)
    try {
      await this.file.set(offset)
      this.offset = offset
    } catch (error) {
      this.say('warn', `the kafka cursor cannot be written: ${(error as Error).message}`)
    }
  }
}
