/** How a server is told to end, and how it ends when nothing else does. */
import type { Gate } from '../gate.js'
import type { Logger } from '../logger.js'

/** Of a start that a signal came into. */
const START_MS_MAX = 10_000

/**
 * The first SIGTERM or SIGINT starts the stop; a second one ends the process at once.
 *
 * @param gate undefined while it starts
 */
export function firstSignal(logger: Logger, gate: () => Gate | undefined): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let seen = false
    const onSignal = (signal: NodeJS.Signals, number: number): void => {
      if (seen) {
        logger.warn(`second ${signal}: leaving at once`)
        if (gate()?.isStalled() !== false) endNow()
        process.exit(128 + number)
      }
      seen = true
      resolve(signal)
      if (gate() === undefined) endUnlessStarted(logger, gate)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

/** A start is stopped once it stands; should the disk not answer it never does. */
function endUnlessStarted(logger: Logger, gate: () => Gate | undefined): void {
  const giveUp = (): void => {
    if (gate() !== undefined) return
    logger.error(`the start has not come to its end for ${START_MS_MAX / 1000} s: leaving at once`)
    endNow()
  }
  setTimeout(giveUp, START_MS_MAX).unref()
}

/**
 * Ends the process although a call to the disk does not return: `process.exit` would wait for the thread that made it.
 * Process 1 of a container is immune to signals of its own, and has to abort.
 */
export function endNow(): never {
  if (process.pid !== 1) process.kill(process.pid, 'SIGKILL')
  return process.abort()
}
