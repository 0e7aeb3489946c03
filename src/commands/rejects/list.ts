/** `sluicegate rejects list`. */
import { systemClock } from '../../clock.js'
import { rawOf } from '../../rejects/envelope.js'
import type { WriterDirectory } from '../directory.js'
import { Output, Progress, table } from '../output.js'
import { readRejected, replayedIn, type RejectedRecord } from './read.js'

export interface ListFlags {
  readonly code?: readonly string[]
  readonly limit?: number
  readonly json?: true
}

const ROWS_DEFAULT = 100
const HEADER = ['offset', 'time', 'endpoint', 'code', 'message', 'bytes', 'replayed']

export async function listAction(directory: WriterDirectory, flags: ListFlags): Promise<void> {
  const output = new Output(process.stdout)
  if (flags.json === true && flags.limit === undefined) {
    for await (const { line } of wanted(directory, flags)) await output.text(line)
    return output.flush()
  }
  const { newest, left } = await newestOf(wanted(directory, flags), flags.limit ?? ROWS_DEFAULT)
  if (flags.json === true) {
    for (const { line } of newest) await output.text(line)
    return output.flush()
  }
  if (newest.length === 0) return void process.stderr.write('there are no such rejected records\n')
  const replayed = replayedIn(directory)
  await output.text(
    table(
      HEADER,
      newest.map((record) => [...cellsOf(record), replayed(record.offset)]),
    ),
  )
  await output.flush()
  if (left > 0) process.stderr.write(`${left} older ones are not shown (--limit)\n`)
}

async function* wanted(directory: WriterDirectory, { code }: ListFlags): AsyncGenerator<RejectedRecord> {
  const progress = new Progress(process.stderr, () => systemClock.monoMs())
  let seen = 0
  try {
    for await (const record of readRejected(directory)) {
      progress.show(() => `${(++seen).toLocaleString('en')} records read`)
      if (code === undefined || code.includes(record.envelope.problem.code)) yield record
    }
  } finally {
    progress.end()
  }
}

/** The last `limit` of all, oldest first, and how many came before them. */
async function newestOf(
  records: AsyncIterable<RejectedRecord>,
  limit: number,
): Promise<{ newest: readonly RejectedRecord[]; left: number }> {
  const ring: RejectedRecord[] = []
  let total = 0
  for await (const record of records) {
    if (limit > 0) ring[total % limit] = record
    total++
  }
  const start = total > limit && limit > 0 ? total % limit : 0
  return { newest: [...ring.slice(start), ...ring.slice(0, start)], left: total - ring.length }
}

function cellsOf({ offset, envelope }: RejectedRecord): readonly string[] {
  const { received_ms: receivedMs, endpoint, problem, truncated } = envelope
  const time = new Date(receivedMs).toISOString()
  const bytes = `${rawOf(envelope).length}${truncated === true ? '+' : ''}`
  return [`${offset}`, time, endpoint, problem.code, problem.message, bytes]
}
