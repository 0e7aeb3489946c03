import { describe, expect, it } from 'vitest'
import { asBuffer } from '../src/as-buffer.js'
import { ManualClock } from '../src/clock.js'
import { configWith } from '../src/config.js'
import { createReferenceDecoder } from '../src/decode/reference/decoder.js'
import { decoderOptions } from '../src/decoder-options.js'
import { Intake } from '../src/intake.js'
import { Ledger } from '../src/ledger.js'
import type { Log } from '../src/log/types.js'
import { openLog } from '../src/log/open.js'
import { Replayer, type ReplayRecord, type ReplayRequest } from '../src/replay.js'
import { Replayed } from '../src/rejects/replayed.js'
import { Rejects } from '../src/rejects.js'
import { RequestIds } from '../src/request-id.js'
import { MemoryDisk } from './log/support/memory-disk.js'

const NOW_MS = 1_795_500_000_000
const FIRST_MS = NOW_MS - 86_400_000
const DIRECTORY = '/data/0'
const GOOD = '{"event":"A","properties":{"token":"t0k","distinct_id":"d"}}'
const BAD = '{"properties":{"token":"t0k"}}'

class Server {
  private constructor(
    readonly log: Log,
    readonly rejectsLog: Log,
    readonly rejects: Rejects,
    readonly replayer: Replayer,
    private readonly batches: Uint8Array[],
  ) {}

  static async start(disk: MemoryDisk): Promise<Server> {
    const clock = new ManualClock(NOW_MS)
    const config = configWith({ batchBytesMax: 2 ** 20, bodyLimitBytes: 4096 })
    const common = { writerDirectory: DIRECTORY, disk, clock, say: () => {}, segmentBytes: 2 ** 20 }
    const limits = { batchBytesMax: 2 ** 20, bytesMax: 2 ** 26, whenFull: 'refuse', retentionMs: 0 } as const
    const options = { ...common, ...limits, syncIntervalMs: 0, cursors: async () => [] }
    const log = await openLog({ ...options, name: 'log' })
    const rejectsLog = await openLog({ ...options, name: 'rejects' })
    const decoder = createReferenceDecoder(decoderOptions(config))
    const rejects = new Rejects(rejectsLog, decoder.tokens, clock)
    const requestIds = new RequestIds(new Uint8Array(8))
    const batches: Uint8Array[] = []
    const watched = watch(log, batches)
    const intake = new Intake({ decoder, log: watched, rejects, ledger: new Ledger(), clock, requestIds })
    // Ten rejected records are there to be mended.
    for (let index = 0; index < 10; index++) {
      const peer = { ipJson: '"192.0.2.7"', uaJson: '"a phone"' }
      const body = Buffer.from(BAD)
      await intake.take({
        endpoint: 'track',
        content: 0,
        body,
        query: '',
        peer,
        authToken: '',
        projectId: null,
      })
    }
    const replayed = await Replayed.open(disk, DIRECTORY, () => rejectsLog.status())
    const nextRejectOffset = (): number => rejectsLog.nextOffset
    const nowMs = (): number => clock.nowMs()
    const replayer = new Replayer({ intake, replayed, nextRejectOffset, nowMs, bodyLimitBytes: 4096 })
    return new Server(log, rejectsLog, rejects, replayer, batches)
  }

  /** Envelopes of the records that went to the log. */
  get kept(): Record<string, unknown>[] {
    return this.batches.map((record) => {
      const view = asBuffer(record)
      return JSON.parse(view.toString('utf8', 20 + view.readUInt32LE(16))) as Record<string, unknown>
    })
  }

  replay(records: ReplayRecord[], more: Omit<ReplayRequest, 'records'> = {}) {
    return this.replayer.replay({ records, ...more })
  }

  async outcomes(records: ReplayRecord[], more: Omit<ReplayRequest, 'records'> = {}): Promise<string[]> {
    return (await this.replay(records, more)).map(({ outcome }) => outcome)
  }

  async close(): Promise<void> {
    await Promise.all([this.log.close(), this.rejectsLog.close()])
  }
}

/** The log itself, which also lets us see each record that is committed. */
function watch(log: Log, records: Uint8Array[]): Log {
  return new Proxy(log, {
    get(target, name) {
      if (name === 'commit') {
        return (end: number, count: number) => {
          const open = target.open(0)!
          for (let at = open.position; at < end;) {
            const length = Buffer.from(open.bytes.buffer, open.bytes.byteOffset).readUInt32LE(at)
            records.push(open.bytes.slice(at, at + length))
            at += length
          }
          return target.commit(end, count)
        }
      }
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  })
}

const mended = (offset: number | null, raw = GOOD): ReplayRecord => {
  return {
    offset,
    endpoint: 'track',
    token: 't0k',
    received_ms: FIRST_MS,
    ip: '192.0.2.7',
    ua: 'a phone',
    raw,
  }
}

async function withServer(use: (server: Server, disk: MemoryDisk) => Promise<void>): Promise<void> {
  const disk = new MemoryDisk()
  const server = await Server.start(disk)
  await use(server, disk)
  await server.close()
}

describe('replay (promise P10)', () => {
  it('keeps endpoint, token, receipt time and client, and sets the flag', () =>
    withServer(async (server) => {
      expect(await server.outcomes([mended(3)])).toEqual(['accepted'])
      expect(server.kept).toMatchObject([
        {
          kind: 'track',
          token: 't0k',
          received_ms: FIRST_MS,
          ip: '192.0.2.7',
          ua: 'a phone',
          flags: ['replayed'],
          record: JSON.parse(GOOD),
        },
      ])
    }))

  it('keeps test=1, by the rules of strict=1, too', () =>
    withServer(async (server) => {
      await server.outcomes([{ ...mended(3), test: true }])
      await server.outcomes([{ ...mended(4), test: true }], { strict: true })
      await server.outcomes([{ ...mended(5), test: false }])
      expect(server.kept.map(({ flags }) => flags)).toEqual([
        ['test', 'replayed'],
        ['test', 'replayed'],
        ['replayed'],
      ])
    }))

  it('on import, the token of the credential comes back too', () =>
    withServer(async (server) => {
      const raw = '{"event":"A","properties":{"distinct_id":"d"}}'
      const record: ReplayRecord = { offset: 1, endpoint: 'import', token: 'cred', project_id: '42', raw }
      expect(await server.outcomes([record])).toEqual(['accepted'])
      expect(server.kept).toMatchObject([
        { kind: 'import', token: 'cred', project_id: '42', received_ms: NOW_MS },
      ])
    }))

  it('never twice, until forced, across restarts', () =>
    withServer(async (server, disk) => {
      expect(await server.outcomes([mended(3)])).toEqual(['accepted'])
      expect(await server.outcomes([mended(3), mended(4)])).toEqual(['already_replayed', 'accepted'])
      const again = await Replayed.open(disk, DIRECTORY, () => server.rejectsLog.status())
      expect(again.stateOf(3)).toBe('done')
      expect(await server.outcomes([mended(3)], { force: true })).toEqual(['accepted'])
      expect(server.kept.length).toBe(3)
    }))

  it('not twice when two replays run at once, nor within one, even forced', () =>
    withServer(async (server) => {
      const both = await Promise.all([server.outcomes([mended(5)]), server.outcomes([mended(5)])])
      expect(both).toEqual([['accepted'], ['running']])
      expect(await server.outcomes([mended(6), mended(6)], { force: true })).toEqual(['accepted', 'running'])
      expect(server.kept.length).toBe(2)
    }))

  it('what a crash cut short is not repeated by itself', () =>
    withServer(async (server, disk) => {
      const replayed = await Replayed.open(disk, DIRECTORY, () => server.rejectsLog.status())
      await replayed.begin([2])
      const parts = (server.replayer as unknown as { parts: object }).parts
      const after = await Replayed.open(disk.crash(), DIRECTORY, () => server.rejectsLog.status())
      const replayer = new Replayer({
        ...(parts as never as ConstructorParameters<typeof Replayer>[0]),
        replayed: after,
      })
      const outcome = async (force: boolean) =>
        (await replayer.replay({ records: [mended(2)], force })).map((result) => result.outcome)
      expect(await outcome(false)).toEqual(['uncertain'])
      expect(server.kept.length).toBe(0)
      expect(await outcome(true)).toEqual(['accepted'])
    }))

  it('is on stable storage as begun before the first record is handed over', () =>
    withServer(async (server, disk) => {
      const { parts } = server.replayer as unknown as { parts: ConstructorParameters<typeof Replayer>[0] }
      const states: string[] = []
      const take: typeof parts.intake.take = async (request) => {
        const after = await Replayed.open(disk.crash(), DIRECTORY, () => server.rejectsLog.status())
        states.push(after.stateOf(1), after.stateOf(2))
        return parts.intake.take(request)
      }
      await new Replayer({ ...parts, intake: { take } }).replay({ records: [mended(1)] })
      expect(states).toEqual(['begun', 'never'])
    }))

  it('what is refused again says why, may be tried again, and is not kept a second time', () =>
    withServer(async (server) => {
      const before = server.rejects.kept
      const [result] = await server.replay([mended(3, '{"event":"","properties":{"token":"t"}}')])
      expect(result).toMatchObject({ offset: 3, outcome: 'rejected', accepted: 0, rejected: 1 })
      expect(result!.problems).toMatchObject([{ code: 'event_invalid', pointer: '/event' }])
      expect(server.rejects.kept).toBe(before)
      expect(await server.outcomes([mended(3)])).toEqual(['accepted'])
    }))

  it('a text with several records: what is refused of them is kept on its own', () =>
    withServer(async (server) => {
      const before = server.rejects.kept
      const [result] = await server.replay([mended(3, `[${GOOD},${BAD}]`)])
      expect(result).toMatchObject({ outcome: 'partly', accepted: 1, rejected: 1 })
      expect(server.rejects.kept).toBe(before + 1)
      expect(await server.outcomes([mended(3)])).toEqual(['already_replayed'])
    }))

  it('an ignored record counts as replayed', () =>
    withServer(async (server) => {
      const raw = '{"event":"A","properties":{"token":"t0k","$ignore":true}}'
      expect(await server.outcomes([mended(3, raw)])).toEqual(['ignored'])
      expect(await server.outcomes([mended(3)])).toEqual(['already_replayed'])
    }))

  it('what the log cannot keep may be tried again', () =>
    withServer(async (server) => {
      await server.log.close()
      expect(await server.outcomes([mended(3), mended(4)])).toEqual(['unavailable', 'unavailable'])
      const { replayed } = (server.replayer as unknown as { parts: { replayed: Replayed } }).parts
      expect([replayed.stateOf(3), replayed.stateOf(4)]).toEqual(['never', 'never'])
    }))

  it('an offset that is not there yet is not taken: it would block the record that will have it', () =>
    withServer(async (server) => {
      expect(await server.outcomes([mended(9), mended(10)])).toEqual(['accepted', 'unknown_offset'])
    }))

  it('takes texts that were never in the log of rejects, as they come', () =>
    withServer(async (server) => {
      expect(await server.outcomes([mended(null), mended(null)])).toEqual(['accepted', 'accepted'])
    }))

  it('reads bytes, base64 and forms as they are', () =>
    withServer(async (server) => {
      const { raw: _raw, ...rest } = mended(1)
      const latin1 = Buffer.from(GOOD.replace('"A"', '"caf\u00e9"'), 'latin1').toString('base64')
      const records = [
        { ...rest, raw_base64: latin1 },
        mended(2, Buffer.from(GOOD).toString('base64')),
        mended(3, `data=${encodeURIComponent(GOOD)}`),
      ]
      expect(await server.outcomes(records)).toEqual(['accepted', 'accepted', 'accepted'])
      expect(server.kept[0]).toMatchObject({
        flags: ['utf8_repaired', 'replayed'],
        record: { event: 'caf\uFFFD' },
      })
    }))

  it('by the rules of strict=1 when asked', () =>
    withServer(async (server) => {
      const record: ReplayRecord = { offset: 1, endpoint: 'import', token: 't', raw: GOOD }
      expect(await server.outcomes([record], { strict: true })).toEqual(['rejected'])
      expect(await server.outcomes([record])).toEqual(['accepted'])
    }))

  it('no text beyond what the decoder was made for (promise P7)', () =>
    withServer(async (server) => {
      expect(await server.outcomes([mended(1, ' '.repeat(4097)), mended(2)])).toEqual([
        'too_large',
        'accepted',
      ])
    }))

  it('keeps the order of one request (promise P6)', () =>
    withServer(async (server) => {
      const records = Array.from({ length: 10 }, (_, n) => mended(n, GOOD.replace('"A"', `"${n}"`)))
      await server.replay(records)
      const events = server.kept.map(({ record }) => (record as { event: string }).event)
      expect(events).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    }))

  it('an error that nobody foresaw leaves the record uncertain, and its neighbours clear', () =>
    withServer(async (server) => {
      const { parts } = server.replayer as unknown as { parts: ConstructorParameters<typeof Replayer>[0] }
      const take: typeof parts.intake.take = (request) =>
        Buffer.from(request.body).includes('boom')
          ? Promise.reject(new TypeError('boom'))
          : parts.intake.take(request)
      const replayer = new Replayer({ ...parts, intake: { take } })
      await expect(replayer.replay({ records: [mended(1, 'boom'), mended(2)] })).rejects.toThrow('boom')
      expect([parts.replayed.stateOf(1), parts.replayed.stateOf(2)]).toEqual(['begun', 'done'])
    }))
})
