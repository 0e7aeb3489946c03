#!/usr/bin/env node
/** The program's entry: from argv to a command, and from what it throws to an exit code. */
import { CommanderError } from 'commander'
import { OutputClosed } from './commands/output.js'
import { buildProgram } from './commands/program.js'
import { SluicegateError, UsageError } from './errors.js'

/** 0 fine, 1 failed while running, 2 wrong usage or configuration. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof OutputClosed) return 0
  const text = error instanceof SluicegateError ? error.message : ((error as Error).stack ?? String(error))
  process.stderr.write(`sluicegate: ${text}\n`)
  return error instanceof UsageError ? 2 : 1
}

// Whoever read our output may go away at any time; Output turns that into OutputClosed.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

try {
  await buildProgram().parseAsync(process.argv)
} catch (error) {
  process.exitCode = exitCodeOf(error)
}
