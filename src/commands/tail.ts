/** `sluicegate tail`: prints what the log holds, one JSON object a line, also while a server writes it. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { systemClock } from '../clock.js'
import type { Config } from '../config.js'
import { SluicegateError, UsageError } from '../errors.js'
import { Cursors } from '../log/cursor.js'
import { readLog } from '../log/reader.js'
import type { LogRecord } from '../log/types.js'
import { ENDPOINTS, KINDS, type Kind } from '../record.js'
import { addSettings, command, configOf, count, DATA_KEYS } from './command.js'
import { extentOf, ownerOf, requireLog, type WriterDirectory } from './directory.js'
import { Output, Progress, warnDamage } from './output.js'

const NOTES = `Examples:
  sluicegate tail --follow | jq .record.event
  sluicegate tail --cursor warehouse --limit 10000 > part.ndjson   # goes on where it stopped
  sluicegate tail --kind rejected                                  # what was refused, and why`

export interface TailOptions {
  readonly from: 'start' | 'end' | number
  readonly follow: boolean
  readonly cursor: string | undefined
  readonly kinds: ReadonlySet<number>
  readonly rejected: boolean
  readonly token: string | undefined
  readonly limit: number
  readonly meta: boolean
}

export function tailCommand(): Command {
  const tail = command(
    'tail',
    'Prints the envelopes in the log, oldest first, one JSON object a line.',
    NOTES,
  )
  return addSettings(tail, DATA_KEYS)
    .addOption(
      new Option('--from <POSITION>', 'start, end or an offset; a cursor that exists wins [start]').argParser(
        position,
      ),
    )
    .option('--follow', 'go on when the end is reached, until interrupted')
    .option('--cursor <NAME>', 'go on from this cursor, and move it behind what was printed')
    .addOption(
      new Option('--kind <LIST>', `only these: ${KINDS.join(', ')} [all but rejected]`).argParser(kinds),
    )
    .option('--token <TOKEN>', 'only records of this project')
    .addOption(new Option('--limit <N>', 'stop after N lines').argParser(count))
    .option('--meta', "put each record's offset and partition key first")
    .action(async (options: Record<string, unknown>) => {
      const { config } = configOf(options, DATA_KEYS)
      await tailAction(config, optionsOf(options))
    })
}

function position(text: string): TailOptions['from'] {
  if (text === 'start' || text === 'end') return text
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be start, end or an offset.')
  return Number(text)
}

/** `--kind track,engage --kind import`. */
function kinds(text: string, before: readonly Kind[] = []): readonly Kind[] {
  const named = text.split(',').map((name) => KINDS.find((kind) => kind === name.trim()))
  if (!named.every((kind) => kind !== undefined)) {
    throw new InvalidArgumentError(`It must be a list of ${KINDS.join(', ')}.`)
  }
  return [...before, ...named]
}

function optionsOf(flags: Record<string, unknown>): TailOptions {
  const wanted = (flags['kind'] as readonly Kind[] | undefined) ?? ENDPOINTS
  const rejected = wanted.includes('rejected')
  if (rejected && wanted.length > 1) {
    throw new UsageError('--kind rejected stands alone: rejected records have a log and offsets of their own')
  }
  if (rejected && flags['cursor'] !== undefined) {
    throw new UsageError('--cursor is for the log of accepted records, not for --kind rejected')
  }
  return {
    from: (flags['from'] as TailOptions['from'] | undefined) ?? 'start',
    follow: flags['follow'] === true,
    cursor: flags['cursor'] as string | undefined,
    kinds: new Set(wanted.map((kind) => KINDS.indexOf(kind))),
    rejected,
    token: flags['token'] as string | undefined,
    limit: (flags['limit'] as number | undefined) ?? Infinity,
    meta: flags['meta'] === true,
  }
}

async function tailAction(config: Config, options: TailOptions): Promise<void> {
  const directory = requireLog(config)
  const cursors = new Cursors(directory.path)
  const saved = options.cursor === undefined ? undefined : await cursors.get(options.cursor)
  const from = saved ?? (await startOf(directory, cursors, options))
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const records = readLog({
    directory: options.rejected ? directory.rejects : directory.log,
    from,
    follow: options.follow,
    signal: stop.signal,
    onGap: warnGap,
    onDamage: warnDamage,
  })
  const output = new Output(process.stdout)
  const commit = options.cursor === undefined ? undefined : committer(cursors, options.cursor, output)
  const print = new Printer(output, options, stop, commit)
  await print.all(records)
  if (saved !== undefined && !print.hasRead) await refuseLostCursor(directory, options.cursor!, saved)
}

/** A new cursor at the end stands there before anything is read: the next run must not begin at another end. */
async function startOf(
  directory: WriterDirectory,
  cursors: Cursors,
  { from, cursor }: TailOptions,
): Promise<TailOptions['from']> {
  if (cursor === undefined || from !== 'end') return from
  const { endOffset } = await extentOf(directory, 'log', await ownerOf(directory))
  await cursors.set(cursor, endOffset)
  return endOffset
}

/** A cursor that is ahead of the log would silently print nothing for ever. */
async function refuseLostCursor(directory: WriterDirectory, name: string, offset: number): Promise<void> {
  const { endOffset } = await extentOf(directory, 'log', await ownerOf(directory))
  if (offset <= endOffset) return
  throw new SluicegateError(
    'cursor_ahead',
    `cursor ${name} is at ${offset}, but the log ends at ${endOffset}: it was wiped or restored; "cursors set" moves it`,
  )
}

function warnGap({ from, to }: { from: number; to: number }): void {
  const records = `${to - from} records (offsets ${from} to ${to - 1})`
  process.stderr.write(`sluicegate: ${records} are not in the log any more\n`)
}

/**
 * Moves the cursor, at most once a second unless it has to be now: each move costs a sync. The lines first: the cursor
 * survives a power loss, and what lies before it is never printed again.
 */
function committer(
  cursors: Cursors,
  name: string,
  output: Output,
): (offset: number, now: boolean) => Promise<void> {
  let doneMs = systemClock.monoMs()
  let at = -1
  return async (offset, now) => {
    const dueMs = doneMs + 1000
    if (offset === at || (!now && systemClock.monoMs() < dueMs)) return
    await output.sync()
    await cursors.set(name, offset)
    at = offset
    doneMs = systemClock.monoMs()
  }
}

/** How long lines may wait for company while following. */
const FOLLOW_FLUSH_MS = 20

/** Turns records into lines; the cursor follows what is out. */
class Printer {
  private printed = 0
  private readonly token: Buffer | undefined
  private readonly progress = new Progress(progressStream(), () => systemClock.monoMs())
  private failure: unknown
  private timer: NodeJS.Timeout | undefined
  private next = -1

  constructor(
    private readonly output: Output,
    private readonly options: TailOptions,
    private readonly stop: AbortController,
    private readonly commit: ((offset: number, now: boolean) => Promise<void>) | undefined,
  ) {
    this.token = options.token === undefined ? undefined : Buffer.from(options.token)
  }

  /** Whether there was any record, printed or not. */
  get hasRead(): boolean {
    return this.next >= 0
  }

  async all(records: AsyncIterable<LogRecord>): Promise<void> {
    try {
      if (this.options.limit > 0) await this.each(records)
    } finally {
      clearTimeout(this.timer)
      this.progress.end()
    }
    if (this.failure !== undefined) throw this.failure
    await this.flush(true)
  }

  private async each(records: AsyncIterable<LogRecord>): Promise<void> {
    for await (const record of records) {
      if (this.failure !== undefined) throw this.failure
      if (this.wanted(record)) await this.line(record)
      this.next = record.offset + 1
      if (this.printed >= this.options.limit) return
      if (this.options.follow) this.flushSoon()
    }
  }

  private wanted(record: LogRecord): boolean {
    if (!this.options.kinds.has(record.kind)) return false
    return this.token === undefined || this.token.equals(record.key.subarray(0, record.tokenLength))
  }

  private async line(record: LogRecord): Promise<void> {
    const { value } = record
    const head = this.options.meta ? metaOf(record) : ''
    const place = await this.output.room(Buffer.byteLength(head) + value.length + (head === '' ? 1 : 0))
    // With --meta the envelope's own bracket is left out: the head has brought one.
    const at = place.write(head)
    place.set(head === '' ? value : value.subarray(1), at)
    place[place.length - 1] = 0x0a
    this.printed++
    if (this.output.pending > 200_000) await this.flush(false)
    this.progress.show(() => `${this.printed.toLocaleString('en')} records`)
  }

  /** While following nobody knows when the next record comes: what is there goes out after a moment. */
  private flushSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.flush(false).catch((error: unknown) => {
        this.failure = error
        // There may be no further record to notice it at.
        this.stop.abort()
      })
    }, FOLLOW_FLUSH_MS)
  }

  private async flush(last: boolean): Promise<void> {
    const out = this.next
    await this.output.flush()
    if (out >= 0) await this.commit?.(out, last)
  }
}

function metaOf(record: LogRecord): string {
  return `{"offset":${record.offset},"key":${JSON.stringify(Buffer.from(record.key).toString())},`
}

/** Progress is for people whose lines go into a file. */
function progressStream(): NodeJS.WriteStream {
  return process.stdout.isTTY ? ({ isTTY: false } as NodeJS.WriteStream) : process.stderr
}
