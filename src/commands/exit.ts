/** From what a command throws to a line on stderr and an exit code. */
import { CommanderError } from 'commander'
import { SluicegateError, UsageError } from '../errors.js'
import { OutputClosed } from './output.js'

/** 0 fine, 1 failed while running, 2 wrong usage or configuration. */
export function exitCodeOf(error: unknown): number {
  // Commander has said already what is wrong.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof OutputClosed) return 0
  process.stderr.write(`sluicegate: ${textOf(error)}\n`)
  return error instanceof UsageError ? 2 : 1
}

/** What the operating system refuses is told in a line; what we did not foresee with its stack. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const isExpected = error instanceof SluicegateError || 'syscall' in error
  return isExpected ? error.message : (error.stack ?? error.message)
}
