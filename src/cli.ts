#!/usr/bin/env node
/** The program's entry: from argv to a command, and from what it throws to an exit code. */
import { exitCodeOf } from './commands/exit.js'
import { buildProgram } from './commands/program.js'

// Whoever read our output may go away at any time; Output turns that into OutputClosed.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

try {
  await buildProgram().parseAsync(process.argv)
} catch (error) {
  process.exitCode = exitCodeOf(error)
}
