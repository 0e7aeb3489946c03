/** The table of contents: every command, with `serve` as what runs when none is named. */
import type { Command } from 'commander'
import { packageVersion } from '../version.js'
import { command } from './command.js'
import { cursorsCommand } from './cursors.js'
import { doctorCommand } from './doctor.js'
import { explainCommand } from './explain.js'
import { rejectsCommand } from './rejects.js'
import { serveCommand } from './serve.js'
import { tailCommand } from './tail.js'
import { topicsCommand } from './topics.js'

const NOTES = `Without a command the server starts: sluicegate --port 8080 --data-dir ./sluicegate-data
Flags of a command: sluicegate serve --help

Exit codes: 0 fine, 1 failed while running, 2 wrong usage or configuration.`

export function buildProgram(): Command {
  const program = command(
    'sluicegate',
    "Durable ingest server for analytics events in Mixpanel's wire protocol.",
    NOTES,
  )
  program.version(packageVersion(), '-V, --version', 'show the version').helpCommand(false)
  program.addCommand(serveCommand(), { isDefault: true })
  for (const make of [
    tailCommand,
    cursorsCommand,
    rejectsCommand,
    explainCommand,
    doctorCommand,
    topicsCommand,
  ]) {
    program.addCommand(make())
  }
  return program
}
