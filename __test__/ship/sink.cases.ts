/**
 * What every sink must do, memory and Kafka alike. The sinks that promise exactly once have cases of their own: they
 * are what the shipper's settling stands on, so a memory sink that behaves otherwise than a broker fails here.
 */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  type FoundRecord,
  OutRecord,
  type Outcome,
  type PartitionBatch,
  type ProducerIdentity,
  type Sink,
} from '../../src/ship/sink.js'

/** The writer that sinks under test are made with. */
export const WRITER = { id: '0123456789abcdef0123456789abcdef', epoch: 3 }

export interface SinkFixture {
  readonly sink: Sink
  /** A new topic; its limit is Kafka's default (1 MiB) unless given. */
  createTopic(partitions?: number, messageBytesMax?: number): Promise<string>
  /** What a consumer reads, oldest first. */
  read(topic: string, partition: number): Promise<readonly ReadRecord[]>
}

export interface ReadRecord {
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

export function outRecord(offset: number, key: Uint8Array, value: Uint8Array): OutRecord {
  return new OutRecord(offset, Buffer.concat([key, value]), 0, key.length, key.length + value.length)
}

/** Records `from` to `to` of the log, without `to`. */
export function recordsOf(from: number, to: number): OutRecord[] {
  return Array.from({ length: to - from }, (_, index) => {
    const offset = from + index
    return outRecord(offset, Buffer.from(`t:user${offset % 5}`), Buffer.from(`{"v":1,"n":${offset}}`))
  })
}

/** 100 bytes each that no codec makes small. */
function incompressible(count: number): OutRecord[] {
  return recordsOf(0, count).map(({ offset, key }) => {
    const value = createHash('sha512').update(String(offset)).digest('hex').slice(0, 100)
    return outRecord(offset, key, Buffer.from(`"${value}"`))
  })
}

function batchOf(
  topic: string,
  producer: ProducerIdentity,
  first: number,
  records: OutRecord[],
): PartitionBatch {
  return { topic, partition: 0, producer, firstSequence: first, records, possibleDuplicate: false }
}

async function found(sink: Sink, topic: string, from?: bigint): Promise<FoundRecord[]> {
  const all: FoundRecord[] = []
  for await (const record of sink.scan(topic, 0, from)) all.push(record)
  return all
}

/** A broker that has just started says "not yet" for a while. */
export async function identityOf(sink: Sink): Promise<ProducerIdentity> {
  for (let tries = 0; ; tries++) {
    try {
      return await sink.producerIdentity()
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

const logOffsets = (records: readonly FoundRecord[]): number[] => records.map(({ logOffset }) => logOffset)
const values = (records: readonly ReadRecord[]): string[] => records.map(({ value }) => value)
const expectedValues = (from: number, to: number): string[] =>
  recordsOf(from, to).map(({ value }) => Buffer.from(value).toString())
const kinds = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ kind }) => kind)

interface Started extends SinkFixture {
  readonly topic: string
  readonly producer: ProducerIdentity
}

async function started(fixture: SinkFixture): Promise<Started> {
  return { ...fixture, topic: await fixture.createTopic(), producer: await identityOf(fixture.sink) }
}

/** Of any sink. */
export function sinkCases(fixture: () => SinkFixture): void {
  const identity = async (): Promise<ProducerIdentity> =>
    fixture().sink.exactlyOnce ? identityOf(fixture().sink) : { id: 0n, epoch: 0 }

  it('describes the topics that exist and says why others cannot be used', async () => {
    const { sink, createTopic } = fixture()
    const topic = await createTopic(3, 2_000_000)
    const view = await sink.describe([topic, 'nobody-made-this'])
    expect(view.clusterId).not.toBe('')
    expect(view.topics).toMatchObject([{ name: topic, partitions: 3, messageBytesMax: 2_000_000 }])
    expect(view.topics[0]!.id).toMatch(/^[0-9a-f]{32}$/)
    expect(view.unusable).toMatchObject([{ name: 'nobody-made-this', cause: { code: 'topic_missing' } }])
  })

  it('publishes keys, values, the place in the log, and nothing else', async () => {
    const { sink, createTopic, read } = fixture()
    const topic = await createTopic()
    const outcome = await sink.publish(batchOf(topic, await identity(), 0, recordsOf(40, 300)))
    expect(outcome.kind).toBe('delivered')
    const records = await read(topic, 0)
    expect(values(records)).toEqual(expectedValues(40, 300))
    expect(records[7]).toEqual({
      key: 't:user2',
      value: '{"v":1,"n":47}',
      headers: { log_position: `${WRITER.id}.${WRITER.epoch}.47` },
    })
  })

  it('marks every record of a batch that may be a second copy', async () => {
    const { sink, createTopic, read } = fixture()
    const topic = await createTopic()
    const batch = batchOf(topic, await identity(), 0, recordsOf(0, 2))
    await sink.publish({ ...batch, possibleDuplicate: true })
    const marks = (await read(topic, 0)).map(({ headers }) => headers['possible_duplicate'])
    expect(marks).toEqual(['1', '1'])
  })

  it('P6: batches that are under way together are kept in the order of the calls', async () => {
    const { sink, createTopic, read } = fixture()
    const topic = await createTopic()
    const producer = await identity()
    const batches = [0, 1, 2, 3, 4].map((index) =>
      batchOf(topic, producer, index * 30, recordsOf(index * 30, index * 30 + 30)),
    )
    const outcomes = await Promise.all(batches.map((batch) => sink.publish(batch)))
    expect(kinds(outcomes)).toEqual(Array(5).fill('delivered'))
    expect(values(await read(topic, 0))).toEqual(expectedValues(0, 150))
  })

  it('says that a batch is too large for the topic, and keeps none of it', async () => {
    const { sink, createTopic, read } = fixture()
    const topic = await createTopic(1, 2000)
    const producer = await identity()
    const large = await sink.publish(batchOf(topic, producer, 0, incompressible(100)))
    expect(large).toMatchObject({ kind: 'too_large', cause: { code: 'batch_too_large' } })
    expect(await read(topic, 0)).toEqual([])
    expect((await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 5)))).kind).toBe('delivered')
  })

  it('a topic that is missing is waited for: the outcome is retry', async () => {
    const { sink } = fixture()
    const batch = batchOf('not-there-at-all', await identity(), 0, recordsOf(0, 1))
    expect(await sink.publish(batch)).toMatchObject({ kind: 'retry', cause: { code: 'topic_missing' } })
  })
}

/** Of sinks that promise exactly once. */
export function exactlyOnceCases(fixture: () => SinkFixture): void {
  const start = (): Promise<Started> => started(fixture())

  describe('the same batch again', () => {
    it('is kept once while it is one of the newest five, and answers where it is', async () => {
      const { sink, topic, producer, read } = await start()
      const batches = [0, 1, 2, 3, 4].map((index) =>
        batchOf(topic, producer, index * 2, recordsOf(index * 2, index * 2 + 2)),
      )
      for (const batch of batches) await sink.publish(batch)
      for (const [index, batch] of batches.entries()) {
        const again = await sink.publish({ ...batch, possibleDuplicate: false })
        expect(again).toEqual({ kind: 'delivered', baseOffset: BigInt(index * 2) })
      }
      expect(values(await read(topic, 0))).toEqual(expectedValues(0, 10))
    })

    it('is not settled when it is older than five', async () => {
      const { sink, topic, producer, read } = await start()
      for (let index = 0; index < 6; index++) {
        await sink.publish(batchOf(topic, producer, index, recordsOf(index, index + 1)))
      }
      const again = await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 1)))
      expect(again).toMatchObject({ kind: 'unsettled', cause: { code: 'sequence_unknown' } })
      expect(values(await read(topic, 0))).toEqual(expectedValues(0, 6))
    })
  })

  it.each([
    ['a gap', 3, 2],
    ['an overlap', 1, 2],
    ['the same first sequence with another length', 0, 3],
  ])('%s in the sequence is not settled, and nothing is kept', async (_, first, length) => {
    const { sink, topic, producer, read } = await start()
    await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 2)))
    const outcome = await sink.publish(batchOf(topic, producer, first, recordsOf(2, 2 + length)))
    expect(outcome).toMatchObject({ kind: 'unsettled' })
    expect(values(await read(topic, 0))).toEqual(expectedValues(0, 2))
  })

  it('sequences go from 2^31 - 1 to 0', async () => {
    const { sink, topic, producer, read } = await start()
    const last = 2 ** 31 - 1
    const batches = [
      batchOf(topic, producer, last - 1, recordsOf(0, 2)),
      batchOf(topic, producer, 0, recordsOf(2, 5)),
      batchOf(topic, producer, 3, recordsOf(5, 6)),
    ]
    for (const batch of batches) expect((await sink.publish(batch)).kind).toBe('delivered')
    expect(await sink.publish(batches[0]!)).toEqual({ kind: 'delivered', baseOffset: 0n })
    expect(values(await read(topic, 0))).toEqual(expectedValues(0, 6))
  })

  it('a batch may go over the end of the sequences', async () => {
    const { sink, topic, producer } = await start()
    const last = 2 ** 31 - 1
    expect((await sink.publish(batchOf(topic, producer, last, recordsOf(0, 3)))).kind).toBe('delivered')
    expect((await sink.publish(batchOf(topic, producer, 2, recordsOf(3, 4)))).kind).toBe('delivered')
    expect(await sink.producerState(topic, 0, producer)).toMatchObject({ kind: 'alive', lastSequence: 2 })
  })

  it('tells the last sequence of a producer, and whether it is known at all', async () => {
    const { sink, topic, producer } = await start()
    const before = Date.now()
    expect(await sink.producerState(topic, 0, producer)).toEqual({ kind: 'unknown' })
    await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 7)))
    const state = await sink.producerState(topic, 0, producer)
    expect(state).toMatchObject({ kind: 'alive', epoch: producer.epoch, lastSequence: 6 })
    expect((state as { lastTimestampMs: number }).lastTimestampMs).toBeGreaterThan(before - 60_000)
  })

  it('a producer that is not known is taken as new, whatever its sequence: hence producerState', async () => {
    const { sink, topic, producer, read } = await start()
    const forgotten = { id: producer.id + 1000n, epoch: 0 }
    const outcome = await sink.publish(batchOf(topic, forgotten, 77, recordsOf(0, 2)))
    expect(outcome).toEqual({ kind: 'delivered', baseOffset: 0n })
    expect(values(await read(topic, 0))).toEqual(expectedValues(0, 2))
  })

  it('every producer gets an identity of its own', async () => {
    const { sink, producer } = await start()
    const other = await identityOf(sink)
    expect(other.id).not.toBe(producer.id)
    expect(other.epoch).toBe(0)
  })

  it('a higher epoch begins at 0, and shuts the lower one out', async () => {
    const { sink, topic, producer, read } = await start()
    await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 2)))
    const next = { id: producer.id, epoch: producer.epoch + 1 }
    const notAtZero = await sink.publish(batchOf(topic, next, 2, recordsOf(2, 4)))
    expect(notAtZero).toMatchObject({ kind: 'unsettled', cause: { code: 'sequence_unknown' } })
    expect((await sink.publish(batchOf(topic, next, 0, recordsOf(2, 4)))).kind).toBe('delivered')
    const old = await sink.publish(batchOf(topic, producer, 2, recordsOf(4, 6)))
    expect(old).toMatchObject({ kind: 'unsettled', cause: { code: 'producer_fenced' } })
    expect(values(await read(topic, 0))).toEqual(expectedValues(0, 4))
  })
}

/** Of sinks that promise exactly once: our records found again. */
export function scanCases(fixture: () => SinkFixture): void {
  const start = (): Promise<Started> => started(fixture())

  it('the end is where the next batch will be, and a scan from there finds that alone', async () => {
    const { sink, topic, producer } = await start()
    expect(await sink.end(topic, 0)).toBe(0n)
    await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 7)))
    const end = await sink.end(topic, 0)
    expect(end).toBe(7n)
    expect(await found(sink, topic, end)).toEqual([])
    await sink.publish(batchOf(topic, producer, 7, recordsOf(7, 9)))
    expect(logOffsets(await found(sink, topic, end))).toEqual([7, 8])
  })

  describe('scan', () => {
    it('finds our records with their places, from the oldest or from an offset', async () => {
      const { sink, topic, producer } = await start()
      await sink.publish(batchOf(topic, producer, 0, recordsOf(10, 310)))
      await sink.publish(batchOf(topic, producer, 300, recordsOf(400, 420)))
      const all = await found(sink, topic)
      expect(logOffsets(all)).toEqual([...recordsOf(10, 310), ...recordsOf(400, 420)].map((r) => r.offset))
      expect(all[0]).toEqual({ brokerOffset: 0n, writerId: WRITER.id, epoch: WRITER.epoch, logOffset: 10 })
      // In the middle of a batch: what stands before it is left out.
      expect(logOffsets(await found(sink, topic, 299n))).toEqual([
        309,
        ...recordsOf(400, 420).map((r) => r.offset),
      ])
      expect(await found(sink, topic, 320n)).toEqual([])
    })

    it('of a topic without records finds none', async () => {
      const { sink, topic } = await start()
      expect(await found(sink, topic)).toEqual([])
    })

    it('from behind the end begins with the oldest: the offset belongs to what is gone', async () => {
      const { sink, topic, producer } = await start()
      await sink.publish(batchOf(topic, producer, 0, recordsOf(0, 3)))
      expect(logOffsets(await found(sink, topic, 4n))).toEqual([0, 1, 2])
    })
  })
}
