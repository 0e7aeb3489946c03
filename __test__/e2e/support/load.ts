/**
 * Clients that send events with known ids and never repeat one: whatever is not answered may be in the log once or not
 * at all, whatever is answered must be there exactly once, in the order of its connection.
 */
import { RawConnection, type RawRequest, requestBytes } from '../../support/http.js'
import { event, get, post, postForm, postGzip, postJson } from './events.js'
import type { Line } from './tail.js'

export interface Sent {
  /** Sequence numbers of its events, ascending. */
  readonly first: number
  readonly count: number
  status: number | 'unanswered'
  /** `Connection: close` stood on its reply. */
  closing: boolean
}

export interface LoadOptions {
  /** Prefix of every client's distinct_id, its partition key. */
  readonly name: string
  readonly connections: number
  readonly random: () => number
  /** Requests on their way at once on a connection. */
  readonly pipelined?: number
  readonly eventsMax?: number
  /** Opens a new connection when the server has closed the old one in peace. */
  readonly reconnects?: boolean
}

export class Load {
  readonly clients: readonly Client[]
  private running: Promise<unknown> = Promise.resolve()

  constructor(ingest: string, options: LoadOptions) {
    const { name, connections } = options
    this.clients = Array.from(
      { length: connections },
      (_, at) => new Client(ingest, `${name}-${at}`, options),
    )
  }

  start(): void {
    this.running = Promise.all(this.clients.map((client) => client.run()))
  }

  /** No further requests; resolves when all that were sent are answered, or their connections are gone. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.stop()
    await this.running
  }

  /** Resolves when every connection is gone, as after a kill. */
  async broken(): Promise<void> {
    await this.running
  }

  get sent(): readonly Sent[] {
    return this.clients.flatMap((client) => client.sent)
  }

  /** Events in requests with this answer. */
  events(status: Sent['status']): number {
    return this.sent.reduce((sum, sent) => sum + (sent.status === status ? sent.count : 0), 0)
  }
}

export class Client {
  readonly sent: Sent[] = []
  private next = 0
  private stopped = false

  constructor(
    private readonly ingest: string,
    /** Its distinct_id. */
    readonly name: string,
    private readonly options: LoadOptions,
  ) {}

  stop(): void {
    this.stopped = true
  }

  async run(): Promise<void> {
    do {
      const connection = await RawConnection.open(this.ingest).catch(() => undefined)
      if (connection === undefined) return
      const isPeaceful = await this.converse(connection)
      connection.destroy()
      if (!isPeaceful) return
    } while (!this.stopped && this.options.reconnects === true)
  }

  /** true: nothing that was sent remained unanswered. */
  private async converse(connection: RawConnection): Promise<boolean> {
    const waiting: Promise<boolean>[] = []
    for (let isOpen = true; isOpen && !this.stopped;) {
      waiting.push(this.request(connection))
      if (waiting.length >= (this.options.pipelined ?? 1)) isOpen = await waiting.shift()!
    }
    await Promise.all(waiting)
    return this.sent.at(-1)?.status !== 'unanswered'
  }

  /** Sends the next events; false: this was the last answer of the connection. */
  private async request(connection: RawConnection): Promise<boolean> {
    const { random, eventsMax = 20 } = this.options
    const count = random() < 0.5 ? 1 : 1 + Math.floor(random() * eventsMax)
    const sent: Sent = { first: this.next, count, status: 'unanswered', closing: false }
    this.next += count
    this.sent.push(sent)
    connection.write(requestBytes(this.shape(sent)))
    try {
      const { status, headers, body } = await connection.reply()
      sent.closing = headers.get('connection') === 'close'
      sent.status = status === 200 && body.toString() !== '1' ? -1 : status
      return !sent.closing
    } catch {
      return false
    }
  }

  /** In one of the forms that clients use. */
  private shape({ first, count }: Sent): RawRequest {
    const { random } = this.options
    const pad = 'x'.repeat(Math.floor(random() * 400))
    const events = Array.from({ length: count }, (_, at) =>
      event('load', { distinct_id: this.name, n: first + at, pad }),
    )
    const form = Math.floor(random() * 4)
    if (form === 0) return postForm('/track', events)
    if (form === 1) return postGzip('/track', JSON.stringify(events))
    if (form === 2 && count <= 5) return get('/track', events)
    if (form === 3) return post('/track', events.map((one) => JSON.stringify(one)).join('\n'), NDJSON)
    return postJson('/track', events)
  }
}

const NDJSON = { 'Content-Type': 'application/x-ndjson' }

export interface Verdict {
  /** Events whose request was answered `1`. */
  readonly acknowledged: number
  readonly unanswered: number
  /** Acknowledged and not in the log. */
  readonly lost: number
  /** Records beyond the first of one id. */
  readonly doubled: number
  /** Of unanswered requests, in the log all the same: allowed. */
  readonly keptUnanswered: number
  /** Requests of which some events are in the log and some are not. */
  readonly split: number
  /** Records that stand before one that was sent earlier on the same connection. */
  readonly disordered: number
}

/** Holds what clients were told against what the log has. */
export function judge(load: Load, lines: readonly Pick<Line, 'distinct_id' | 'record'>[]): Verdict {
  const found = new Map<string, number[]>()
  for (const { distinct_id: id, record } of lines) {
    const seen = found.get(id!) ?? []
    seen.push(record.properties!['n'] as number)
    found.set(id!, seen)
  }
  return load.clients
    .map((client) => judgeClient(client, found.get(client.name) ?? []))
    .reduce((sum, one) => addVerdicts(sum, one))
}

export function addVerdicts(one: Verdict, other: Verdict): Verdict {
  const names = Object.keys(one) as (keyof Verdict)[]
  return Object.fromEntries(names.map((name) => [name, one[name] + other[name]])) as unknown as Verdict
}

function judgeClient({ sent }: Client, found: readonly number[]): Verdict {
  const present = new Set(found)
  const verdict = { acknowledged: 0, unanswered: 0, lost: 0, keptUnanswered: 0, split: 0 }
  for (const { first, count, status } of sent) {
    let kept = 0
    for (let n = first; n < first + count; n++) if (present.has(n)) kept++
    if (kept > 0 && kept < count) verdict.split++
    if (status === 200) {
      verdict.acknowledged += count
      verdict.lost += count - kept
    } else if (status === 'unanswered') {
      verdict.unanswered += count
      verdict.keptUnanswered += kept
    }
  }
  const disordered = found.filter((n, at) => at > 0 && n < found[at - 1]!).length
  return { ...verdict, doubled: found.length - present.size, disordered }
}
