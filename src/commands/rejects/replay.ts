/** `sluicegate rejects replay`: sends mended records through the running server and shows what became of each. */
import { systemClock } from '../../clock.js'
import type { Config } from '../../config.js'
import { UsageError } from '../../errors.js'
import type { ReplayResult } from '../../replay.js'
import { requireLog, type WriterDirectory } from '../directory.js'
import { opsAddress, postReplay } from '../ops-client.js'
import { Output, Progress } from '../output.js'
import { fromFile, fromLog, fromText, type Item } from './replay-source.js'
import { detailOf, isIn } from './replay-text.js'

export interface ReplayFlags {
  readonly code?: readonly string[]
  readonly offset?: number
  readonly endpoint?: string
  readonly token?: string
  readonly strict?: true
  readonly force?: true
  readonly json?: true
  readonly ops?: string
}

/** Each request is one batch of the log, and what an interruption may leave uncertain. */
const REQUEST_RECORDS_MAX = 200
const REQUEST_BYTES_MAX = 2 * 1024 * 1024

export async function replayAction(
  config: Config,
  file: string | undefined,
  flags: ReplayFlags,
): Promise<void> {
  refuseContradictions(file, flags)
  const directory = (): WriterDirectory => requireLog(config)
  const address = await opsAddress(flags.ops, directory)
  const replay = new Replay(address, flags, new Output(process.stdout))
  await replay.all(itemsOf(directory, file, flags))
}

function refuseContradictions(file: string | undefined, flags: ReplayFlags): void {
  const { code, offset, endpoint, token } = flags
  if ((file === undefined) === (code === undefined)) {
    throw new UsageError('give either FILE or --code: what is to be sent again?')
  }
  const about = { '--offset': offset, '--endpoint': endpoint, '--token': token }
  const given = Object.entries(about).find(([, value]) => value !== undefined)?.[0]
  if (code !== undefined && given !== undefined) throw new UsageError(`${given} is for FILE, not for --code`)
  if (offset !== undefined && endpoint !== undefined) {
    throw new UsageError('--offset names a record, and with it the endpoint: leave --endpoint out')
  }
  if (token !== undefined && offset === undefined && endpoint !== 'import') {
    throw new UsageError('--token is for --endpoint import; elsewhere the record itself names its token')
  }
}

function itemsOf(
  directory: () => WriterDirectory,
  file: string | undefined,
  flags: ReplayFlags,
): AsyncIterable<Item> {
  if (flags.code !== undefined) return fromLog(directory(), flags.code, flags.force === true)
  const { offset, endpoint, token, force } = flags
  if (offset !== undefined || endpoint !== undefined) {
    return fromText(file!, { offset, endpoint, token, directory })
  }
  // A directory on this machine need not be that of the server that --ops names.
  return fromFile(file!, flags.ops === undefined ? directory() : undefined, force === true)
}

class Replay {
  private readonly counts = new Map<string, number>()
  private readonly progress = new Progress(process.stderr, () => systemClock.monoMs())
  private allIn = true
  private stopped = false

  constructor(
    private readonly address: string,
    private readonly flags: ReplayFlags,
    private readonly output: Output,
  ) {}

  async all(items: AsyncIterable<Item>): Promise<void> {
    let batch: Item[] = []
    let bytes = 0
    try {
      for await (const item of items) {
        if (batch.length >= REQUEST_RECORDS_MAX || bytes + item.bytes > REQUEST_BYTES_MAX) {
          await this.send(batch)
          if (this.stopped) return
          batch = []
          bytes = 0
        }
        batch.push(item)
        bytes += item.bytes
      }
      await this.send(batch)
      if (this.counts.size === 0) process.stderr.write('nothing to send\n')
    } finally {
      this.progress.end()
      await this.output.flush()
      this.summary()
    }
  }

  private async send(items: readonly Item[]): Promise<void> {
    const records = items.flatMap((item) => (item.record === undefined ? [] : [item.record]))
    const { force, strict } = this.flags
    const request = { records, ...(force && { force }), ...(strict && { strict }) }
    const answers = records.length === 0 ? [] : await postReplay(this.address, request)
    let next = 0
    for (const { record, skipped } of items) {
      await this.show(record === undefined ? skipped : answers[next++]!)
    }
    this.progress.show(() => `${[...this.counts.values()].reduce((sum, one) => sum + one, 0)} records`)
  }

  private async show(result: ReplayResult | Item['skipped']): Promise<void> {
    const { outcome, offset } = result!
    this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + 1)
    if (!isIn(outcome)) this.allIn = false
    // Once the log is full, all that follow would fare alike.
    if (outcome === 'unavailable') this.stopped = true
    const text = `${offset ?? '-'}\t${detailOf(result!)}`
    await this.output.text(this.flags.json === true ? `${JSON.stringify(result)}\n` : `${text}\n`)
  }

  private summary(): void {
    const parts = [...this.counts].map(([outcome, count]) => `${count} ${outcome.replaceAll('_', ' ')}`)
    if (parts.length > 0) process.stderr.write(`${parts.join(', ')}\n`)
    if (this.stopped) process.stderr.write('stopped: the server cannot keep anything now, try again later\n')
    if (!this.allIn) process.exitCode = 1
  }
}
