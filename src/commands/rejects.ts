/** `sluicegate rejects`: what was refused and why, and how it comes back once mended (promise P10). */
import { type Command, InvalidArgumentError } from 'commander'
import { suggest } from '../config/suggest.js'
import { PROBLEMS } from '../decode/problems.js'
import { rawOf } from '../rejects/envelope.js'
import { KAFKA_REFUSED } from '../ship/refused.js'
import { addSettings, command, configOf, count, DATA_KEYS } from './command.js'
import { requireLog, type WriterDirectory } from './directory.js'
import { listAction, type ListFlags } from './rejects/list.js'
import { findRejected } from './rejects/read.js'
import { replayAction, type ReplayFlags } from './rejects/replay.js'

const NOTES = `Rejected records lie in a log of their own, which drops its oldest (--reject-bytes-max).

To mend one in an editor:
  sluicegate rejects list --code event_missing
  sluicegate rejects show 17 > 17.json && $EDITOR 17.json
  sluicegate explain 17.json
  sluicegate rejects replay 17.json --offset 17
To mend many with a program:
  sluicegate rejects list --json | ./mend | sluicegate rejects replay -`

const REPLAY_NOTES = `FILE holds lines as "rejects list --json" or "tail --kind rejected" print them, with "raw" mended;
or one raw text, with --offset of the record that it was, or --endpoint. What comes back keeps
endpoint, token and receipt time, has the flag "replayed", and comes back once: what has been
replayed before is refused.

Exit code 1 when a record is not in the log afterwards.`

export function rejectsCommand(): Command {
  const made = command('rejects', 'Shows rejected records and sends them again once they are mended.', NOTES)
  for (const one of [listCommand(), showCommand(), replayCommand()]) {
    made.addCommand(addSettings(one, DATA_KEYS))
  }
  return made
}

function listCommand(): Command {
  return command('list', 'Lists rejected records, newest last.')
    .option('--code <LIST>', 'only these problem codes (docs/ERRORS.md)', codes)
    .option('--limit <N>', 'the newest N [100, with --json all]', count)
    .option('--json', 'print the records themselves, one JSON object a line')
    .action((flags: ListFlags) => listAction(directoryOf(flags), flags))
}

function showCommand(): Command {
  return command('show', 'Prints the raw text of a rejected record.')
    .argument('OFFSET', 'of the record, as "rejects list" shows it', count)
    .option('--json', 'print the record itself, as "rejects list --json" does')
    .action((offset: number, flags: ListFlags) => showAction(directoryOf(flags), offset, flags.json === true))
}

function replayCommand(): Command {
  return command('replay', 'Sends rejected records again, through the running server.', REPLAY_NOTES)
    .argument('[FILE]', 'mended records, or - for standard input')
    .option('--code <LIST>', 'instead of FILE: all with these problem codes, as they are', codes)
    .option('--offset <N>', 'FILE is the raw text of this record', count)
    .option('--endpoint <NAME>', 'FILE is a raw text for track, engage, groups or import')
    .option('--token <TOKEN>', 'its project, on import (elsewhere the text names it)')
    .option('--strict', 'judge by the rules of strict=1')
    .option('--force', 'also what has been replayed before')
    .option('--json', 'print what became of each as JSON lines')
    .option('--ops <URL>', "the server's ops listener [that of the data directory's owner]")
    .action((file: string | undefined, flags: ReplayFlags) =>
      replayAction(configOf({ ...flags }, DATA_KEYS).config, file, flags),
    )
}

const CODES: readonly string[] = [...Array.from(PROBLEMS.values(), ({ code }) => code), KAFKA_REFUSED]

/** `--code event_missing,json_invalid --code kafka_refused`. A mistyped one would look like good news. */
function codes(text: string, before: readonly string[] = []): readonly string[] {
  const named = text.split(',').map((word) => word.trim())
  const unknown = named.find((code) => !CODES.includes(code))
  if (unknown === undefined) return [...before, ...named]
  throw new InvalidArgumentError(`There is no code '${unknown}' in docs/ERRORS.md${suggest(unknown, CODES)}`)
}

function directoryOf(flags: object): WriterDirectory {
  return requireLog(configOf({ ...flags }, DATA_KEYS).config)
}

async function showAction(directory: WriterDirectory, offset: number, json: boolean): Promise<void> {
  const record = await findRejected(directory, offset)
  const { endpoint, problem, truncated } = record.envelope
  if (json) return void process.stdout.write(record.line)
  process.stdout.write(rawOf(record.envelope))
  if (process.stdout.isTTY) process.stdout.write('\n')
  process.stderr.write(`${endpoint}, ${problem.code}: ${problem.message}\n`)
  if (truncated === true) process.stderr.write('only its start was kept\n')
}
