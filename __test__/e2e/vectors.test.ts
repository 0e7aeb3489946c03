/**
 * The golden vectors (docs/PROTOCOL.md 12) against a running server, over raw sockets: reply, headers, and what stands in
 * the log and in the log of rejects once the server has stopped. Each request carries its own User-Agent, by which its
 * records are found again, so that a record too many is noticed, too.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configWith } from '../../src/config.js'
import { exchange, type Reply } from '../support/http.js'
import { NOW_MS, type StoredRecord, startTestGate, type TestGate } from '../support/server.js'
import { describeWith } from '../support/require.js'
import { endpointOf, expectedRecords, expectedRejects } from '../vectors/expected.js'
import { bytesOf, type Case, casesOf, type SetupName } from '../vectors/golden.js'
import { judge } from '../vectors/judge.js'
import { rawRequest, send, sendPipelined } from '../vectors/send.js'
import { SETUPS } from '../vectors/setups.js'

type DecoderName = 'native' | 'reference'

/** What became of one exchange. */
interface Outcome {
  readonly reply: Reply | Error
  readonly elapsedMs: number
  readonly records: StoredRecord[]
  readonly rejects: StoredRecord[]
}

/** Of GET /status. */
interface Status {
  readonly ledger: Readonly<Record<'received' | 'accepted' | 'rejected' | 'ignored', number>>
  readonly memory: { readonly used_bytes: number }
  readonly waiting_requests: number
}

interface End {
  readonly status: Status
  readonly records: number
  readonly rejects: number
}

const ORIGIN = 'https://shop.example'
const BOMB_ID = 27
/** A gigabyte would show; a body of 10 MiB, its inflated form and a batch do not come near. */
const BOMB_BYTES_MAX = 100 * 2 ** 20

const userAgent = (name: string): string => `vector/${name.split(' ', 1)[0]!}`

/** One run of all vectors with one decoder. */
class Run {
  readonly outcomes = new Map<string, Outcome>()
  bombBytes = 0
  /** Records that belong to no exchange. */
  readonly strays: StoredRecord[] = []
  /** What each server said of itself at the end, and what was then in its logs. */
  readonly ends = new Map<SetupName, End>()
  private readonly gates = new Map<SetupName, TestGate>()

  constructor(
    private readonly decoder: DecoderName,
    /** Sent along where the vector has none. */
    private readonly origin: string | undefined,
  ) {}

  originOf({ exchange: { send: request } }: Case): string | undefined {
    return request.headers?.['Origin'] ?? this.origin
  }

  async start(): Promise<void> {
    const cases = casesOf('http')
    for (const setup of new Set(cases.map((one) => one.setup))) {
      const gate = await startTestGate({ ...SETUPS[setup], decoder: this.decoder })
      this.gates.set(setup, gate)
      if (setup === 'full') await fill(gate)
    }
    for (const one of cases) await this.run(one, cases)
    for (const [setup, gate] of this.gates) {
      const { body } = await exchange(gate.ops, { method: 'GET', target: '/status' })
      await gate.stop()
      const [records, rejects] = [await this.collect(gate, 'log'), await this.collect(gate, 'rejects')]
      this.ends.set(setup, { status: JSON.parse(body.toString()) as Status, records, rejects })
    }
  }

  async remove(): Promise<void> {
    for (const gate of this.gates.values()) await gate.remove()
  }

  private async run(one: Case, cases: readonly Case[]): Promise<void> {
    if (this.outcomes.has(one.name)) return
    const together = one.vector.pipelined ? cases.filter(({ vector }) => vector === one.vector) : [one]
    const address = this.gates.get(one.setup)!.ingest
    const requests = together.map((each) => rawRequest(each.exchange.send, this.headersFor(each)))
    const memory = one.vector.id === BOMB_ID ? new MemoryWatch() : undefined
    const started = performance.now()
    const replies = await (
      one.vector.pipelined
        ? sendPipelined(address, requests)
        : send(address, one.exchange.send, requests[0]!).then(alone)
    ).catch((error: unknown) => together.map(() => error as Error))
    let elapsedMs = performance.now() - started
    // The machine may be busy for a moment; the server must be able to.
    const { within_ms: withinMs = Infinity } = one.exchange.reply
    for (let again = 0; elapsedMs > withinMs && again < 10; again++) {
      const repeated = performance.now()
      await send(address, one.exchange.send, requests[0]!)
      elapsedMs = performance.now() - repeated
    }
    if (memory !== undefined) this.bombBytes = memory.stop()
    for (const [at, each] of together.entries()) {
      this.outcomes.set(each.name, { reply: replies[at]!, elapsedMs, records: [], rejects: [] })
    }
  }

  private headersFor(one: Case): Record<string, string> {
    const origin = this.originOf(one)
    return { 'User-Agent': userAgent(one.name), ...(origin !== undefined && { Origin: origin }) }
  }

  /** How many there are. */
  private async collect(gate: TestGate, name: 'log' | 'rejects'): Promise<number> {
    const stored = await gate.read(name)
    const owners = new Map([...this.outcomes].map(([title, outcome]) => [userAgent(title), outcome]))
    for (const record of stored) {
      const { ua } = JSON.parse(record.value) as { ua: string | null }
      if (ua === FILLER) continue
      const owner = owners.get(ua ?? '')
      if (owner === undefined) this.strays.push(record)
      else owner[name === 'log' ? 'records' : 'rejects'].push(record)
    }
    return stored.length
  }
}

/** The most memory the process has taken since, looked at every few milliseconds: inflating runs on other threads. */
class MemoryWatch {
  private readonly before = process.memoryUsage.rss()
  private most = this.before
  private readonly timer = setInterval(() => this.look(), 2)

  stop(): number {
    clearInterval(this.timer)
    this.look()
    return this.most - this.before
  }

  private look(): void {
    this.most = Math.max(this.most, process.memoryUsage.rss())
  }
}

const alone = (reply: Reply): Reply[] => [reply]
const FILLER = 'filler'

/** Sends events until the log takes no more. */
async function fill({ ingest }: TestGate): Promise<void> {
  const text = 'x'.repeat(500_000)
  const body = Buffer.from(JSON.stringify({ event: 'fill', properties: { token: 't0k', text } }))
  const headers = { 'Content-Type': 'application/json', 'User-Agent': FILLER }
  for (let sent = 0; sent < 100; sent++) {
    const { status } = await exchange(ingest, { method: 'POST', target: '/track', headers, body })
    if (status === 503) return
  }
  throw new Error('the log does not fill up')
}

function requestIdOf({ records, rejects }: Outcome): string {
  const first = records[0] ?? rejects[0]
  return first === undefined ? '' : (JSON.parse(first.value) as { request_id: string }).request_id
}

function checkStored(one: Case, outcome: Outcome): void {
  const { queue = [], rejects = [], send: request } = one.exchange
  const about = {
    receivedMs: NOW_MS,
    requestId: requestIdOf(outcome),
    ipJson: '"127.0.0.1"',
    uaJson: JSON.stringify(userAgent(one.name)),
  }
  const stored = outcome.records.map(({ key, value }) => ({ key, value }))
  expect(stored).toEqual(expectedRecords(queue, about))
  const endpoint = endpointOf(bytesOf(request.target).toString('latin1')) ?? 'track'
  expect(outcome.rejects.map(({ value }) => value)).toEqual(expectedRejects(rejects, endpoint, about))
}

function suite(decoder: DecoderName, origin: string | undefined): void {
  const run = new Run(decoder, origin)
  beforeAll(() => run.start(), 300_000)
  afterAll(() => run.remove())

  it.each(casesOf('http').map((one) => [one.name, one] as const))('%s', (name, one) => {
    const outcome = run.outcomes.get(name)!
    if (outcome.reply instanceof Error) throw outcome.reply
    judge(outcome.reply, one.exchange.reply, run.originOf(one))
    checkStored(one, outcome)
    expect(outcome.elapsedMs).toBeLessThan(one.exchange.reply.within_ms ?? Infinity)
  })

  it('P4: received = accepted + rejected + ignored, and the logs hold just as many', () => {
    for (const [setup, { status, records, rejects }] of run.ends) {
      const ignored = casesOf('http')
        .filter((one) => one.setup === setup)
        .reduce((sum, { exchange: { ignored: count = 0 } }) => sum + count, 0)
      const received = records + rejects + ignored
      expect(status.ledger, setup).toEqual({ received, accepted: records, rejected: rejects, ignored })
    }
  })

  it('P7: all memory is given back, and nobody waits', () => {
    expect(run.ends.size).toBe(Object.keys(SETUPS).length)
    for (const [setup, { status }] of run.ends) {
      const { batchBytesMax } = configWith(SETUPS[setup])
      expect(status.memory.used_bytes, setup).toBe(2 * batchBytesMax)
      expect(status.waiting_requests, setup).toBe(0)
    }
  })

  it('nothing else is in the logs', () => expect(run.strays).toEqual([]))

  it(`P7: vector ${BOMB_ID} takes no memory to speak of`, () =>
    expect(run.bombBytes).toBeLessThan(BOMB_BYTES_MAX))
}

describe('golden vectors, reference decoder', () => suite('reference', undefined))
describe('R6: golden vectors from another origin, reference decoder', () => suite('reference', ORIGIN))
describeWith('native', 'golden vectors, native decoder', () => suite('native', undefined))
describeWith('native', 'R6: golden vectors from another origin, native decoder', () =>
  suite('native', ORIGIN),
)
