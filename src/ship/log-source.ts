/** The log as the shipper's thread reads it: the files of the directory, as far as the writing thread says. */
import { readBatches } from '../log/reader.js'
import type { LogRecord } from '../log/types.js'
import type { Say } from '../say.js'
import type { LogSource } from './feeder.js'
import type { SharedOffset } from './messages.js'

/** Looked again after this whatever happens; the writer wakes us long before. */
const SLEEP_MS = 1000

export class FileLogSource implements LogSource {
  private wakeSleeper: () => void = () => {}

  /**
   * @param directory `DIR/<writer>/log`
   * @param pauseMs after new records have come: some more are read with them
   */
  constructor(
    private readonly directory: string,
    private readonly shared: SharedOffset,
    private readonly pauseMs: () => number,
    private readonly say: Say,
  ) {}

  get durableOffset(): number {
    return this.shared.offset
  }

  read(from: number, signal: AbortSignal): AsyncGenerator<Iterable<LogRecord>> {
    return readBatches({
      directory: this.directory,
      from,
      follow: true,
      signal,
      durable: { offset: () => Promise.resolve(this.durableOffset) },
      wait: (limit) => this.wait(limit, signal),
      onGap: (gap) =>
        this.say('error', 'records are gone from the log before they were published', { ...gap }),
      onDamage: ({ path, position, bytes }) => {
        this.say('error', 'a damaged place in the log is passed over', { path, position, bytes })
      },
    })
  }

  /** The writer has more. */
  wake(): void {
    this.wakeSleeper()
  }

  private async wait(limit: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.durableOffset <= limit) await this.sleep(limit, signal)
    const pauseMs = this.pauseMs()
    if (!signal.aborted && pauseMs > 0) await pause(pauseMs)
  }

  private sleep(limit: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, SLEEP_MS)
      signal.addEventListener('abort', done)
      this.wakeSleeper = done
      this.shared.wantsWaking()
      if (this.durableOffset > limit) done()
    })
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
