/** What the tests of the listener share: a server on a free port, requests over raw sockets, replies taken apart. */
import { connect, type Socket } from 'node:net'
import { Budget } from '../../src/budget.js'
import { type Clock, ManualClock } from '../../src/clock.js'
import { type Config, configWith } from '../../src/config.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import type { DecoderOptions } from '../../src/decode/decoder.js'
import { LogUnavailable } from '../../src/errors.js'
import { createIngest, type IngestListener } from '../../src/http/app.js'
import { Intake, type IngestRequest, type Receipt } from '../../src/intake.js'
import { Ledger } from '../../src/ledger.js'
import type { CommittedBatch, Log, LogState, LogStatus, OpenBatch } from '../../src/log/types.js'
import type { Logger } from '../../src/logger.js'
import { RECORD_HEADER_BYTES } from '../../src/record.js'
import { Rejects } from '../../src/rejects.js'
import { RequestIds } from '../../src/request-id.js'
import { NOW_MS, OPTIONS } from '../decode/harness.js'
import { sharedBytes } from '../../src/shared-bytes.js'

/** A log in memory. Commits are durable at once, or when `release` is called while `held`. */
export class MemoryLog implements Log {
  state: LogState = 'writable'
  held = false
  onRoom: () => void = () => {}
  readonly values: string[] = []
  /** Of the records that were committed. */
  bytes = 0
  private readonly batch = { bytes: sharedBytes(40 * 2 ** 20), position: 0, end: 40 * 2 ** 20, records: 0 }
  private readonly waiting: (() => void)[] = []

  get nextOffset(): number {
    return this.values.length
  }
  get durableOffset(): number {
    return this.values.length
  }

  open(bytes: number): OpenBatch | undefined {
    this.refuseUnlessWritable()
    if (bytes > this.batch.end) throw new LogUnavailable('full', 'more than a batch')
    return this.batch
  }

  commit(end: number, records: number): Promise<CommittedBatch> {
    const firstOffset = this.values.length
    const bytes = Buffer.from(this.batch.bytes.subarray(0, end))
    for (let at = 0, record = 0; record < records; record++) {
      const length = bytes.readUInt32LE(at)
      const keyLength = bytes.readUInt32LE(at + 16)
      this.bytes += length
      this.values.push(bytes.toString('utf8', at + RECORD_HEADER_BYTES + keyLength, at + length))
      at += length
    }
    if (!this.held) return Promise.resolve({ firstOffset })
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        try {
          this.refuseUnlessWritable()
          resolve({ firstOffset })
        } catch (error) {
          reject(error as Error)
        }
      })
    })
  }

  /** Ends the sync that everybody waits for: well, or with what `state` says. */
  release(): void {
    this.held = false
    for (const settle of this.waiting.splice(0)) settle()
  }

  get waitingCommits(): number {
    return this.waiting.length
  }

  /** The envelopes kept, parsed. */
  get envelopes(): Record<string, unknown>[] {
    return this.values.map((value) => JSON.parse(value) as Record<string, unknown>)
  }

  status(): LogStatus {
    throw new Error('not asked for here')
  }
  close(): Promise<void> {
    return Promise.resolve()
  }

  private refuseUnlessWritable(): void {
    if (this.state !== 'writable') throw new LogUnavailable(this.state, `the log is ${this.state}`)
  }
}

/** Lines of the program's log, as [level, text]. */
export class LineLogger {
  readonly lines: [string, unknown, string][] = []
  readonly logger: Logger

  constructor() {
    const take = (level: string) => (fields: unknown, text: string) =>
      void this.lines.push([level, fields, text])
    this.logger = { error: take('error'), warn: take('warn'), info: take('info') } as unknown as Logger
  }
}

export interface Harness {
  readonly ingest: IngestListener
  readonly port: number
  readonly log: MemoryLog
  readonly rejectLog: MemoryLog
  readonly ledger: Ledger
  readonly budget: Budget
  readonly lines: LineLogger['lines']
  readonly clock: Clock
  close(): Promise<void>
}

export interface HarnessOptions {
  readonly config?: Partial<Config>
  /** In place of the real intake. */
  readonly take?: (request: IngestRequest) => Promise<Receipt>
  readonly clock?: Clock
  readonly budgetBytes?: number
  readonly closeMsMax?: number
  readonly decoder?: Partial<DecoderOptions>
}

const MiB = 2 ** 20

/** The listener over the real intake and the reference decoder, on a free port of 127.0.0.1. */
export async function startIngest(options: HarnessOptions = {}): Promise<Harness> {
  const config = configWith({ port: 0, ...options.config })
  const clock = options.clock ?? new ManualClock(NOW_MS)
  const log = new MemoryLog()
  const rejectLog = new MemoryLog()
  const ledger = new Ledger()
  const budget = new Budget(options.budgetBytes ?? 256 * MiB)
  const { logger, lines } = new LineLogger()
  const tokensAllowed = config.auth === 'tokens' ? config.tokens?.map(({ token }) => token) : undefined
  const decoder = createReferenceDecoder({
    ...OPTIONS,
    tokensAllowed,
    dropLate: config.late === 'drop',
    ...options.decoder,
  })
  const rejects = new Rejects(rejectLog, decoder.tokens, clock)
  const requestIds = new RequestIds(new Uint8Array(8))
  const intake = new Intake({ decoder, log, rejects, ledger, clock, requestIds })
  const { take } = options
  const submit: Intake['submit'] = (request, sink) => {
    if (take === undefined) intake.submit(request, sink)
    else
      take(request).then(
        (receipt) => sink.issued(receipt),
        (error: unknown) => sink.failed(error),
      )
  }
  const refuse: Intake['refuse'] = (...given) => intake.refuse(...given)
  const ingest = createIngest({
    config,
    intake: { submit, refuse },
    budget,
    logger,
    clock,
    ...(options.closeMsMax !== undefined && { closeMsMax: options.closeMsMax }),
  })
  const address = await ingest.listen()
  const port = Number(new URL(address).port)
  const close = (): Promise<void> => ingest.close()
  return { ingest, port, log, rejectLog, ledger, budget, lines, clock, close }
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly bytes: Buffer
}

/** A raw connection: what is written to it goes out as it is, replies come back taken apart. */
export class Client {
  private received = Buffer.alloc(0)
  private wake: () => void = () => {}
  ended = false
  error: NodeJS.ErrnoException | undefined

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
      this.wake()
    })
    socket.on('error', (error) => (this.error = error))
    socket.on('close', () => {
      this.ended = true
      this.wake()
    })
  }

  /** @param allowHalfOpen the client's side stays open when the server has shut its own */
  static open(port: number, allowHalfOpen = false): Promise<Client> {
    return new Promise((resolve, reject) => {
      const options = { port, host: '127.0.0.1', allowHalfOpen }
      const socket = connect(options, () => resolve(new Client(socket)))
      socket.setNoDelay(true).once('error', reject)
    })
  }

  write(...parts: (string | Uint8Array)[]): void {
    this.socket.write(Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))))
  }

  /** The next reply; rejects when the connection ends before it is whole. */
  async reply(method = 'POST'): Promise<Reply> {
    for (;;) {
      const reply = this.takeReply(method)
      if (reply !== undefined) return reply
      if (this.ended)
        throw new Error(`closed (${this.error?.code ?? 'end'}) after ${JSON.stringify(this.text)}`)
      await this.more()
    }
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    while (!this.ended) await this.more()
  }

  /** What came and was not taken. */
  get text(): string {
    return this.received.toString('latin1')
  }

  destroy(): void {
    this.socket.destroy()
  }

  private more(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve))
  }

  private takeReply(method: string): Reply | undefined {
    const headEnd = this.received.indexOf('\r\n\r\n')
    if (headEnd < 0) return undefined
    const [statusLine = '', ...lines] = this.received.toString('latin1', 0, headEnd).split('\r\n')
    const headers = Object.fromEntries(
      lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    )
    const length = method === 'HEAD' ? 0 : Number(headers['content-length'] ?? 0)
    const end = headEnd + 4 + length
    if (this.received.length < end) return undefined
    const bytes = this.received.subarray(headEnd + 4, end)
    this.received = this.received.subarray(end)
    return { status: Number(statusLine.split(' ')[1]), headers, body: bytes.toString('utf8'), bytes }
  }
}

export interface Sent {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** A request as bytes. A body gets its Content-Length unless the headers say otherwise. */
export function requestBytes(target: string, { method, headers = {}, body }: Sent = {}): Buffer {
  const bytes = Buffer.from((body ?? '') as Uint8Array)
  const all: Record<string, string> = { Host: 'test', ...headers }
  const framed = 'Transfer-Encoding' in all || 'Content-Length' in all
  if (body !== undefined && !framed) all['Content-Length'] = String(bytes.length)
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const verb = method ?? (body === undefined ? 'GET' : 'POST')
  return Buffer.concat([Buffer.from(`${verb} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), bytes])
}

/** Sends one request on a connection of its own. */
export async function send(port: number, target: string, sent: Sent = {}): Promise<Reply> {
  const client = await Client.open(port)
  try {
    client.write(requestBytes(target, sent))
    return await client.reply(sent.method)
  } finally {
    client.destroy()
  }
}

export const JSON_BODY = { 'Content-Type': 'application/json' }
export const FORM_BODY = { 'Content-Type': 'application/x-www-form-urlencoded' }
export const ORIGIN = { Origin: 'https://a.example' }
export const JSON_ORIGIN = { ...JSON_BODY, ...ORIGIN }
export const GZIP = { ...JSON_ORIGIN, 'Content-Encoding': 'gzip' }
export const CHUNKED = { ...JSON_ORIGIN, 'Transfer-Encoding': 'chunked' }

/** A piece of a chunked body; that of '' ends it. */
export const chunk = (data: string): string => `${Buffer.byteLength(data).toString(16)}\r\n${data}\r\n`

/** Waits until something holds, for what only the server sees. */
export async function until(holds: () => boolean, msMax = 5000): Promise<void> {
  for (let waitedMs = 0; !holds(); waitedMs += 5) {
    if (waitedMs > msMax) throw new Error('it never came to hold')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
