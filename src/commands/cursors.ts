/** `sluicegate cursors`: how far each consumer of the log has come. */
import type { Command } from 'commander'
import { systemClock } from '../clock.js'
import { UsageError } from '../errors.js'
import { Cursors } from '../log/cursor.js'
import type { Extent } from '../log/extent.js'
import { addSettings, command, configOf, count, DATA_KEYS } from './command.js'
import { extentOf, ownerOf, requireLog, type WriterDirectory } from './directory.js'
import { shownAge, table } from './output.js'

const NOTES = `"sluicegate tail --cursor NAME" makes a cursor; it holds the offset that comes next for it. Segments
that some cursor has not passed are not removed, so delete those that nobody uses any more.

Examples:
  sluicegate cursors list
  sluicegate cursors set warehouse 0        # once more, from the start
  sluicegate cursors delete warehouse`

export function cursorsCommand(): Command {
  const made = command(
    'cursors',
    'Shows, moves and deletes the places up to which the log has been read.',
    NOTES,
  )
  const list = command('list', 'Shows all cursors and how far each lies behind the end of the log.')
    .option('--json', 'one JSON object a line')
    .action(async (flags: Record<string, unknown>) => listAction(directoryOf(flags), flags['json'] === true))
  const set = command('set', 'Moves a cursor to an offset, or makes it.')
    .argument('NAME', 'the cursor')
    .argument('OFFSET', 'of the record that comes next for it', count)
    .action(async (name: string, offset: number, flags) => setAction(directoryOf(flags), name, offset))
  const remove = command('delete', 'Deletes a cursor: the log no longer waits for it.')
    .argument('NAME', 'the cursor')
    .action(async (name: string, flags) => deleteAction(directoryOf(flags), name))
  for (const one of [list, set, remove]) made.addCommand(addSettings(one, DATA_KEYS))
  return made
}

function directoryOf(flags: Readonly<Record<string, unknown>>): WriterDirectory {
  return requireLog(configOf(flags, DATA_KEYS).config)
}

const extentNow = async (directory: WriterDirectory): Promise<Extent> =>
  extentOf(directory, 'log', await ownerOf(directory))

async function listAction(directory: WriterDirectory, json: boolean): Promise<void> {
  const found = await new Cursors(directory.path).list()
  const { endOffset } = await extentNow(directory)
  const rows = found
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, offset, updatedMs }) => ({ name, offset, lag: endOffset - offset, updatedMs }))
  if (json) {
    for (const { name, offset, lag, updatedMs } of rows) {
      process.stdout.write(`${JSON.stringify({ name, offset, lag, updated_ms: updatedMs })}\n`)
    }
    return
  }
  if (rows.length === 0) return void process.stderr.write('there are no cursors\n')
  const nowMs = systemClock.nowMs()
  const cells = rows.map((row) => [row.name, `${row.offset}`, `${row.lag}`, shownAge(nowMs - row.updatedMs)])
  process.stdout.write(table(['cursor', 'offset', 'behind', 'moved'], cells))
}

async function setAction(directory: WriterDirectory, name: string, offset: number): Promise<void> {
  const { firstOffset, endOffset } = await extentNow(directory)
  if (offset > endOffset) {
    throw new UsageError(`OFFSET ${offset} is beyond the end of the log, which is ${endOffset}`)
  }
  const cursors = new Cursors(directory.path)
  const before = await cursors.get(name)
  await cursors.set(name, offset)
  const from = before === undefined ? 'made' : `moved from ${before}`
  process.stdout.write(`${name}: ${from}, now at ${offset}; ${endOffset - offset} records are to come\n`)
  if (offset < firstOffset) {
    process.stderr.write(`sluicegate: the log starts at ${firstOffset}, what was before is gone\n`)
  }
}

async function deleteAction(directory: WriterDirectory, name: string): Promise<void> {
  const cursors = new Cursors(directory.path)
  if (!(await cursors.delete(name))) {
    const names = (await cursors.list()).map((one) => one.name)
    const known = names.length === 0 ? 'there are none' : `there are ${names.join(', ')}`
    throw new UsageError(`there is no cursor ${name}; ${known}`)
  }
  process.stdout.write(`${name}: deleted\n`)
}
