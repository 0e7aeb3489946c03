/** Whether a log takes records, why not, and when what keeps it from that is tried again. */
import { LogUnavailable } from '../errors.js'
import type { Say } from '../say.js'
import { isNoSpace } from './disk-errors.js'
import type { LogState } from './types.js'

/** While full the cause may go at any time: a cursor moves, files are removed. */
const FULL_RETRY_MS = 1000
const FAILED_RETRY_MS_MIN = 1000
const FAILED_RETRY_MS_MAX = 30_000

export class Availability {
  state: LogState = 'writable'
  /** A sentence; '' when it is writable. */
  reason = ''
  private retryMs = FAILED_RETRY_MS_MIN
  private timer: NodeJS.Timeout | undefined

  /**
   * @param name what is said to be full or failed
   * @param retry called after 1 s while it is full, after 1 to 30 s while it has failed
   */
  constructor(
    private readonly name: string,
    private readonly say: Say,
    private readonly retry: () => void,
  ) {}

  writable(): void {
    if (this.state !== 'writable') this.say('warn', `${this.name} was ${this.state} and is writable again`)
    this.state = 'writable'
    this.reason = ''
    this.retryMs = FAILED_RETRY_MS_MIN
    this.stop()
  }

  /** Until a retry leads to `writable`. */
  unavailable(error: unknown): void {
    this.say503(error)
    const waitMs = this.state === 'full' ? FULL_RETRY_MS : this.retryMs
    if (this.state === 'failed') this.retryMs = Math.min(FAILED_RETRY_MS_MAX, this.retryMs * 2)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.retry()
    }, waitMs).unref()
  }

  /** Until somebody else sees to it that `writable` is called. */
  suspend(error: unknown): void {
    this.stop()
    this.say503(error)
  }

  close(): void {
    this.stop()
    this.state = 'closed'
    this.reason = `${this.name} is closed`
  }

  /** What a request is told. */
  refusal(): LogUnavailable {
    const reason = this.state === 'writable' ? 'closed' : this.state
    return new LogUnavailable(reason, this.reason || `${this.name} is closing`)
  }

  private say503(error: unknown): void {
    const state = isFull(error) ? 'full' : 'failed'
    const reason = (error as Error).message
    if (state !== this.state) {
      const level = state === 'full' ? 'warn' : 'error'
      this.say(level, `${this.name} is ${state}; requests are answered 503 until that changes: ${reason}`)
    }
    this.state = state
    this.reason = reason
  }

  private stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }
}

/** On the disk, or under the log's own limit. */
export function isFull(error: unknown): boolean {
  return isNoSpace(error) || (error as { code?: string }).code === 'log_full'
}
