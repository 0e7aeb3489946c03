/**
 * A shipper through many lives: killed between any two steps, without power, with replies lost, Kafka away, its memory
 * of us gone; beside the log that it ships, which says what has to be there in the end.
 */
import { expect, vi } from 'vitest'
import { Cursors } from '../../../src/log/cursor.js'
import { ENDPOINTS } from '../../../src/record.js'
import type { RouteTable } from '../../../src/ship/route.js'
import type { RefusedRecord, ShipperOptions } from '../../../src/ship/parts.js'
import { Shipper } from '../../../src/ship/shipper.js'
import { ShipStore } from '../../../src/ship/store.js'
import { aroundCalls } from '../../log/support/around.js'
import { type CrashChoice, MemoryDisk } from '../../log/support/memory-disk.js'
import { random } from '../../log/support/random.js'
import { MemoryBroker, type StoredRecord } from './memory-broker.js'
import { type Fault, MemorySink } from './memory-sink.js'
import { MemorySource } from './memory-source.js'

export const WRITER_ID = '0123456789abcdef0123456789abcdef'
export const DIRECTORY = '/data/0'
export const ROUTES: RouteTable = { prefix: 't.', tokens: {} }
const clock = { nowMs: () => Date.now(), monoMs: () => Date.now() }

/** One process: what it does ends with it. */
class Life {
  dead = false
  shipper: Shipper | undefined
  private stepsLeft = Infinity
  private made = false

  killAfter(steps: number, made: boolean): void {
    this.stepsLeft = steps
    this.made = made
  }

  end(): void {
    this.dead = true
    // Nothing that it does from now on has any effect; this lets its loops come to an end.
    this.shipper?.stop()
  }

  /** One step: it is made, or is the last and perhaps made, or is made by a dead process and is not. */
  async step<T>(act: () => Promise<T>): Promise<T> {
    if (this.dead) return never<T>()
    if (--this.stepsLeft <= 0) {
      this.end()
      if (this.made) void act().catch(() => undefined)
      return never<T>()
    }
    const result = await act()
    return this.dead ? never<T>() : result
  }
}

/** Another one each time: whoever waits for it is forgotten with it. */
const never = <T>(): Promise<T> => new Promise(() => undefined)

export interface LivesOptions {
  readonly partitions?: number
  readonly seed?: number
  readonly exactlyOnce?: boolean
  readonly shipper?: Partial<ShipperOptions>
}

export class ShipLives {
  disk = new MemoryDisk({ completion: 'microtask' })
  readonly broker = new MemoryBroker()
  readonly source = new MemorySource()
  readonly rejects: RefusedRecord[] = []
  readonly said: string[] = []
  readonly acknowledged = new Set<number>()
  readonly failures: unknown[] = []
  life = new Life()
  sink!: MemorySink
  from: 'start' | 'end' = 'start'
  starts = 0
  sent = 0
  routes = ROUTES
  poison = (value: Uint8Array): boolean => Buffer.from(value).includes('poison')
  faults: Fault[] = []
  private readonly next: () => number
  private down = false
  private denied = false

  constructor(private readonly options: LivesOptions = {}) {
    this.next = random(options.seed ?? 1)
    for (const kind of ENDPOINTS) {
      this.broker.create(`t.${kind}`, options.partitions ?? 3)
    }
  }

  /** Starts a process over what the last one left. */
  async start(): Promise<void> {
    const life = new Life()
    this.life = life
    this.starts++
    const disk = aroundCalls(this.disk, (call) => life.step(call))
    await this.disk.mkdir(DIRECTORY)
    for (const path of ['/', '/data']) await this.disk.syncDirectory(path)
    const options = {
      broker: this.broker,
      writerId: WRITER_ID,
      exactlyOnce: this.options.exactlyOnce ?? true,
      fault: (call: string) => (call === 'publish' ? this.faults.shift() : undefined),
      trip: () => life.step(() => new Promise<void>((resolve) => setTimeout(resolve, 1 + this.next() * 4))),
      nowMs: () => Date.now(),
      poison: (value: Uint8Array) => this.poison(value),
    }
    this.sink = Object.assign(new MemorySink(options), { down: this.down, denied: this.denied })
    void this.run(life, disk).catch((error: unknown) => {
      if (!life.dead) this.failures.push(error)
    })
  }

  private async run(life: Life, disk: MemoryDisk | ReturnType<typeof aroundCalls>): Promise<void> {
    const cursors = new Cursors(DIRECTORY, disk, clock)
    const shipper = new Shipper(
      {
        sink: this.sink,
        source: this.source,
        store: await ShipStore.open(DIRECTORY, disk),
        cursor: { get: () => cursors.get('kafka'), set: (offset) => cursors.set('kafka', offset) },
        writerId: WRITER_ID,
        firstOffset: 0,
        clock,
        random: this.next,
        say: (_level, message) => void this.said.push(message),
        refuse: (record) => life.step(() => this.refuse(record)),
        onAcknowledged: (offsets) => {
          if (!life.dead) for (const offset of offsets) this.acknowledged.add(offset)
        },
      },
      {
        routes: this.routes,
        from: this.from,
        lingerMs: 5,
        batchBytesMax: 2000,
        batchRecordsMax: 6,
        memoryBytesMax: 12_000,
        ...this.options.shipper,
      },
    )
    life.shipper = shipper
    await shipper.run()
  }

  private refuse(record: RefusedRecord): Promise<void> {
    const isThere = record.again && this.rejects.some(({ offset }) => offset === record.offset)
    if (!isThere) this.rejects.push(record)
    return Promise.resolve()
  }

  /** The process ends here and now; what it had sent may still be on its way. */
  kill(): void {
    this.life.end()
    this.sent += this.sink.sent.length
  }

  /** And the machine with it. */
  power(choice: CrashChoice): void {
    this.kill()
    this.disk.halt()
    this.disk = this.disk.crash(choice)
  }

  /** Of a dead process: one slot of its state cannot be read any more, or all of it is gone. */
  async damageState(slot?: number): Promise<void> {
    const path = `${DIRECTORY}/ship/state`
    if (this.disk.peek(path) === undefined) return
    if (slot === undefined) return this.disk.unlink(path)
    const file = await this.disk.open(path, 'r+')
    await file.write(Buffer.from('rot'), (slot * (await file.size())) / 2 + 100)
    await file.close()
  }

  setDown(down: boolean): void {
    this.down = down
    this.sink.down = down
  }

  setDenied(denied: boolean): void {
    this.denied = denied
    this.sink.denied = denied
  }

  /** Puts records of some keys into the log. */
  append(count: number, keys = 5, value = 'x'): void {
    for (let index = 0; index < count; index++) {
      const key = String(Math.floor(this.next() * keys))
      const kind = Math.floor(this.next() * 2)
      this.source.append(
        { kind, token: `tok${index % 2}`, key, value: `${value}-${'y'.repeat(this.next() * 40)}` },
        Date.now(),
      )
    }
  }

  /** Lets time pass until all is shipped; tests run on fake timers. */
  async drain(seconds = 120): Promise<void> {
    for (let second = 0; second < seconds && this.lag > 0; second++) await vi.advanceTimersByTimeAsync(1000)
    expect(this.lag).toBe(0)
  }

  /** Another process over the same disk and brokers. */
  async restart(): Promise<void> {
    this.kill()
    await vi.advanceTimersByTimeAsync(20)
    await this.start()
    await vi.advanceTimersByTimeAsync(20)
  }

  get lag(): number {
    return this.life.shipper?.status().lagRecords ?? Infinity
  }

  /** Every record of the broker, in the order in which they came. */
  stored(): (StoredRecord & { readonly topic: string })[] {
    return [...this.broker.topics]
      .flatMap(([topic, { partitions }]) => {
        return partitions.flatMap(({ records }) => records.map((record) => ({ ...record, topic })))
      })
      .toSorted((a, b) => a.at - b.at)
  }

  /** Without those that are marked and stand in another topic already: all that the state, once lost, may have doubled. */
  private storedOnce(): ReturnType<ShipLives['stored']> {
    const topics = new Map<number, string>()
    return this.stored().filter(({ offset, topic, possibleDuplicate }) => {
      const first = topics.get(offset)
      topics.set(offset, first ?? topic)
      return !possibleDuplicate || first === undefined || first === topic
    })
  }

  /**
   * P6, and the promise of this room: everything is there, once, and the records of a key in their order.
   *
   * @param elsewhere the state was lost, and routes have changed: what went to another topic may come again, marked
   * @param enlarged the state was lost, and a topic takes larger batches since: it may take, late, what it has refused
   */
  expectExactlyOnce({ elsewhere = false, enlarged = false } = {}): void {
    expect(this.failures).toEqual([])
    const stored = elsewhere ? this.storedOnce() : this.stored()
    if (!elsewhere) expect(stored.filter(({ possibleDuplicate }) => possibleDuplicate)).toEqual([])
    const counts = new Map<number, number>()
    for (const { offset } of stored) counts.set(offset, (counts.get(offset) ?? 0) + 1)
    const taken = new Set<number>()
    for (const { offset, refusal } of this.rejects) {
      if (enlarged && refusal.code === 'batch_too_large' && counts.has(offset)) taken.add(offset)
      else counts.set(offset, (counts.get(offset) ?? 0) + 1)
    }
    const wrong = this.source.records
      .map(({ offset }) => ({ offset, times: counts.get(offset) ?? 0 }))
      .filter(({ offset, times }) => times !== 1 && !this.source.gone.has(offset))
    expect(wrong).toEqual([])
    this.expectOrder(stored.filter(({ offset }) => !taken.has(offset)))
    for (const { offset, key, value } of stored) {
      const record = this.source.records[offset]!
      expect(Buffer.compare(key, record.key) + Math.abs(Buffer.compare(value, record.value))).toBe(0)
    }
  }

  expectOrder(stored = this.stored()): void {
    const last = new Map<string, number>()
    for (const { key, offset } of stored) {
      const name = `${this.source.records[offset]!.kind} ${Buffer.from(key).toString()}`
      expect(offset).toBeGreaterThan(last.get(name) ?? -1)
      last.set(name, offset)
    }
  }
}
