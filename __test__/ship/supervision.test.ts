/** The main thread's side of shipping, beside a thread that does what the test says. */
import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { configWith } from '../../src/config.js'
import { ReopenableLog } from '../../src/log/reopenable.js'
import type { SegmentLog } from '../../src/log/log.js'
import { createLogger } from '../../src/logger.js'
import {
  type FromShipper,
  SharedOffset,
  type ShipWorkerData,
  type ToShipper,
} from '../../src/ship/messages.js'
import { Shipping, type ShipThread } from '../../src/ship/shipping.js'
import type { ShipStatus } from '../../src/ship/status.js'
import { logStatus } from '../support/status-parts.js'

class FakeThread extends EventEmitter implements ShipThread {
  readonly received: ToShipper[] = []
  terminated = 0

  constructor(readonly data: ShipWorkerData) {
    super()
  }

  send(message: ToShipper): void {
    this.received.push(message)
    if (message.type === 'stop') queueMicrotask(() => this.emit('exit', 0))
  }

  terminate(): Promise<void> {
    this.terminated++
    queueMicrotask(() => this.emit('exit', 1))
    return Promise.resolve()
  }

  says(message: FromShipper): void {
    this.emit('message', message)
  }

  dies(message: string): void {
    this.emit('error', Object.assign(new Error(message), { code: 'ERR_X' }))
    this.emit('exit', 1)
  }
}

const STATUS: ShipStatus = {
  state: 'shipping',
  cause: undefined,
  exactlyOnce: true,
  cursor: 40,
  head: 90,
  pending: 7,
  lagRecords: 7,
  lagMs: 1500,
  records: 83,
  batches: 9,
  failed: 0,
  refused: 0,
  possibleDuplicates: 0,
  memoryBytes: 0,
  topics: [],
}

/** A log of which only its offsets are real. */
function logAt(durableOffset: number): SegmentLog {
  const status = () => logStatus({ durableOffset, writerId: 'ab'.repeat(16), epoch: 4 })
  return {
    durableOffset,
    nextOffset: durableOffset,
    state: 'writable',
    status,
    onRoom() {},
    onDurable() {},
  } as unknown as SegmentLog
}

interface Bench {
  readonly shipping: Shipping
  readonly threads: FakeThread[]
  readonly log: ReopenableLog
  readonly inner: SegmentLog
  readonly kept: Uint8Array[]
  readonly lines: string[]
}

function bench(settings: Parameters<typeof configWith>[0] = {}): Bench {
  const threads: FakeThread[] = []
  const log = new ReopenableLog()
  const inner = logAt(100)
  log.attach(inner, false)
  const kept: Uint8Array[] = []
  const lines: string[] = []
  const shipping = new Shipping(configWith({ kafka: ['127.0.0.1:9092'], ...settings }), {
    log,
    directory: '/data/0',
    logger: createLogger({ logLevel: 'info', logFormat: 'json' }, { write: (line) => void lines.push(line) }),
    clock: { nowMs: () => Date.now(), monoMs: () => Date.now() },
    random: () => 0,
    keepRejected: async (record) => void kept.push(record),
    spawn: (data) => {
      const thread = new FakeThread(data)
      threads.push(thread)
      return thread
    },
  })
  return { shipping, threads, log, inner, kept, lines }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

it('starts the thread with what it needs, and shows what it says', async () => {
  const { shipping, threads } = bench({ kafkaLingerMs: 7 })
  await shipping.start()
  const { data } = threads[0]!
  expect(data).toMatchObject({
    directory: '/data/0',
    writerId: 'ab'.repeat(16),
    epoch: 4,
    tellsAcknowledged: false,
  })
  expect(data.settings.kafkaLingerMs).toBe(7)
  expect(data.routes).toEqual({ prefix: 'sluicegate.', tokens: {} })
  expect(shipping.status().state).toBe('starting')
  threads[0]!.says({ type: 'status', status: STATUS })
  // What became durable since the thread last spoke is behind, too.
  expect(shipping.status()).toMatchObject({ state: 'shipping', cursor: 40, lagRecords: 17, restarts: 0 })
})

it('wakes a thread that sleeps, once, and no other', async () => {
  const { shipping, threads, inner } = bench()
  await shipping.start()
  const shared = new SharedOffset(threads[0]!.data.shared)
  expect(shared.offset).toBe(100)
  inner.onDurable(101)
  expect(threads[0]!.received).toEqual([])
  shared.wantsWaking()
  inner.onDurable(105)
  inner.onDurable(106)
  expect(shared.offset).toBe(106)
  expect(threads[0]!.received).toEqual([{ type: 'wake' }])
})

it('starts it again when it dies, later and later, and says why', async () => {
  const { shipping, threads, lines } = bench()
  await shipping.start()
  const gaps: number[] = []
  for (let death = 1; death <= 9; death++) {
    threads.at(-1)!.dies(`death ${death}`)
    expect(shipping.status()).toMatchObject({
      state: 'restarting',
      restarts: death,
      cause: { code: 'ERR_X', message: `death ${death}` },
    })
    const before = Date.now()
    while (threads.length === death) await pass(50)
    gaps.push(Date.now() - before)
  }
  expect(gaps[0]).toBeLessThanOrEqual(500)
  expect(gaps.at(-1)).toBeGreaterThan(10_000)
  expect(gaps.at(-1)).toBeLessThanOrEqual(30_100)
  expect(lines.filter((line) => line.includes('starts again: death 3'))).toHaveLength(1)
  threads.at(-1)!.says({ type: 'status', status: STATUS })
  expect(shipping.status()).toMatchObject({ state: 'shipping', restarts: 9 })
})

it('a good while makes up for earlier deaths', async () => {
  const { shipping, threads } = bench()
  await shipping.start()
  for (let death = 1; death <= 6; death++) {
    threads.at(-1)!.dies('x')
    while (threads.length === death) await pass(50)
  }
  await pass(61_000)
  threads.at(-1)!.dies('x')
  await pass(500)
  expect(threads).toHaveLength(8)
})

it('stops it, and waits for what it has to finish', async () => {
  const { shipping, threads } = bench()
  await shipping.start()
  await shipping.stop()
  expect(threads[0]!.received).toEqual([{ type: 'stop' }])
  expect(threads[0]!.terminated).toBe(0)
  await pass(60_000)
  expect(threads).toHaveLength(1)
})

it('ends one that does not stop', async () => {
  const { shipping, threads } = bench()
  await shipping.start()
  threads[0]!.send = () => {}
  const stopped = shipping.stop()
  await pass(8000)
  await stopped
  expect(threads[0]!.terminated).toBe(1)
})

it('begins anew with another log, and rests while there is none', async () => {
  const { shipping, threads, log } = bench()
  await shipping.start()
  const { LogUnavailable } = await import('../../src/errors.js')
  log.detach(new LogUnavailable('failed', 'the data directory was removed'))
  await pass(60_000)
  expect(threads).toHaveLength(1)
  expect(shipping.status()).toMatchObject({ state: 'restarting', cause: { code: 'log_unavailable' } })
  log.attach(logAt(300), true)
  await pass(0)
  expect(threads).toHaveLength(2)
  expect(new SharedOffset(threads[1]!.data.shared).offset).toBe(300)
})

describe('what Kafka refuses', () => {
  const value =
    '{"v":1,"kind":"track","token":"t","project_id":null,"received_ms":5,"request_id":"r","index":2,"ip":null,"geo":"none","ua":"\\",\\"record\\":","lib":null,"record":{"event":"e","n":1.50}}'

  it('P10: is kept whole, with the reason and where it stood, and the thread is told', async () => {
    const { shipping, threads, kept } = bench()
    await shipping.start()
    const record = {
      offset: 12,
      topic: 'sluicegate.track',
      key: Buffer.from('t:u'),
      value: Buffer.from(value),
      refusal: { code: 'record_refused', message: 'no' },
      again: false,
    }
    threads[0]!.says({ type: 'refuse', id: 3, record })
    await pass(0)
    const envelope = JSON.parse(Buffer.from(kept[0]!).toString('utf8', 20 + 1)) as Record<string, unknown>
    expect(envelope).toEqual({
      v: 1,
      kind: 'rejected',
      endpoint: 'track',
      token: 't',
      received_ms: 5,
      request_id: 'r',
      index: 2,
      ip: null,
      ua: '","record":',
      topic: 'sluicegate.track',
      log_position: `${'ab'.repeat(16)}.12`,
      problem: {
        code: 'kafka_refused',
        field: 'record',
        pointer: '',
        offset: -1,
        message: 'record_refused: no',
      },
      raw: '{"event":"e","n":1.50}',
    })
    expect(threads[0]!.received).toEqual([{ type: 'kept', id: 3, error: undefined }])
  })
})

describe('--ack kafka', () => {
  const acknowledged = (...offsets: number[]): FromShipper => ({
    type: 'acknowledged',
    offsets: Float64Array.from(offsets),
  })

  it('P1: asks the thread for every acknowledgement, and passes them on', async () => {
    const { shipping, threads } = bench({ ack: 'kafka' })
    const started = shipping.start()
    threads[0]!.says({ type: 'status', status: STATUS })
    await started
    expect(threads[0]!.data.tellsAcknowledged).toBe(true)
    let done = false
    void shipping.acknowledgements.of(7, 2).then(() => (done = true))
    threads[0]!.says(acknowledged(7))
    await pass(0)
    expect(done).toBe(false)
    expect(shipping.status().waiting).toBe(1)
    threads[0]!.says(acknowledged(8))
    await pass(0)
    expect(done).toBe(true)
  })

  it('does not start on a topic that an event may not fit into', async () => {
    const { shipping, threads } = bench({ ack: 'kafka' })
    const started = shipping.start()
    const cause = { code: 'topic_too_small', message: 'sluicegate.track takes 1000 bytes' }
    const topic = {
      name: 'sluicegate.track',
      partitions: 1,
      pending: 0,
      blockedPartitions: 0,
      messageBytesMax: 1000,
      cause,
    }
    threads[0]!.says({ type: 'status', status: { ...STATUS, state: 'degraded', topics: [topic] } })
    await expect(started).rejects.toMatchObject({ code: 'topic_too_small' })
  })

  it('starts all the same when Kafka cannot be reached', async () => {
    const { shipping } = bench({ ack: 'kafka' })
    const started = shipping.start()
    await pass(5000)
    await started
  })
})
