import { describe, expect, it, vi } from 'vitest'
import { type Decoder, Param, type Problem } from '../src/decode/decoder.js'
import { LogUnavailable, NotAcknowledged } from '../src/errors.js'
import { Acknowledgements } from '../src/ship/acknowledgements.js'
import { type IngestRequest, Intake, PROBLEMS_SHOWN_MAX, type Receipt } from '../src/intake.js'
import type { Endpoint } from '../src/record.js'
import { createParts, eventOf, ingest, type Parts, settle } from './support/intake.js'
import { NOW_MS } from './decode/harness.js'
import { RequestIds, textOf } from '../src/request-id.js'

const NO_PROBLEM = {
  index: 0,
  field: 'data',
  pointer: '',
  offset: -1,
  hint: '',
  got: '',
  insertId: undefined,
}

const names = ({ log }: Parts): unknown[] =>
  log.durable.map(({ value }) => (value['record'] as { event: string }).event)
const failureOf = (taken: Promise<Receipt>): Promise<unknown> =>
  taken.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('P1: a receipt', () => {
  it('is issued when the records are on stable storage, not before', async () => {
    const parts = createParts()
    let receipt: Receipt | undefined
    void parts.intake.take(ingest([eventOf('a'), eventOf('b')])).then((issued) => (receipt = issued))
    await settle()
    expect(receipt).toBeUndefined()
    expect(parts.ledger.all.received).toBe(0)
    parts.log.sync()
    await settle()
    expect(receipt).toEqual({
      requestId: { head: expect.stringMatching(/^[0-9A-Z]{25}$/), last: expect.stringMatching(/^[0-9A-Z]$/) },
      received: 2,
      accepted: 2,
      rejected: 0,
      ignored: 0,
      params: 0,
      problems: [],
      undecodable: false,
      flags: [],
    })
    expect(names(parts)).toEqual(['a', 'b'])
    expect(parts.log.durable[0]!.value).toMatchObject({
      request_id: textOf(receipt!.requestId),
      received_ms: NOW_MS,
    })
  })
  it('that accepts nothing waits for nothing', async () => {
    const parts = createParts()
    expect(await parts.intake.take(ingest('[7]'))).toMatchObject({ received: 1, rejected: 1 })
    expect(await parts.intake.take(ingest('{'))).toMatchObject({
      received: 1,
      rejected: 1,
      undecodable: true,
    })
    const ignored = { event: 'e', properties: { token: 't', $ignore: true } }
    expect(await parts.intake.take(ingest(ignored))).toMatchObject({ received: 1, ignored: 1 })
    expect(parts.log.commits).toBe(0)
  })
  it('requests share a batch and are released together', async () => {
    const parts = createParts()
    const taken = ['a', 'b', 'c'].map((name) => parts.intake.take(ingest(eventOf(name))))
    expect(parts.log.commits).toBe(3)
    parts.log.sync()
    const ids = (await Promise.all(taken)).map(({ requestId }) => textOf(requestId))
    expect(new Set(ids).size).toBe(3)
    expect(names(parts)).toEqual(['a', 'b', 'c'])
  })
})

describe('P2, P4: a log that cannot keep them', () => {
  it('rejects with LogUnavailable; the records are unavailable and outside the sums', async () => {
    const parts = createParts()
    const failed = failureOf(parts.intake.take(ingest([eventOf('a'), 7, eventOf('b')])))
    await settle()
    parts.log.fail('failed')
    expect(await failed).toBeInstanceOf(LogUnavailable)
    expect(parts.ledger.unavailable).toBe(3)
    expect(parts.ledger.all).toEqual({ received: 0, accepted: 0, rejected: 0, ignored: 0 })
    expect([...parts.ledger.tokens()]).toEqual([])
    expect([parts.rejectLog.commits, parts.rejects.kept]).toEqual([0, 0])
  })
  it.each(['full', 'failed', 'closed'] as const)('%s from the start', async (state) => {
    const parts = createParts()
    parts.log.state = state
    expect(await failureOf(parts.intake.take(ingest(eventOf('a'))))).toMatchObject({ reason: state })
    expect(await failureOf(parts.intake.take(ingest('{')))).toBeInstanceOf(LogUnavailable)
    expect(parts.ledger.all.received).toBe(0)
  })
  it('answers those that wait for room, too', async () => {
    const parts = createParts(1500)
    const big = eventOf('a', 't', 600)
    const failures = Array.from({ length: 4 }, () => failureOf(parts.intake.take(ingest(big))))
    expect(parts.intake.waiting).toBe(3)
    parts.log.fail('full')
    expect(parts.intake.waiting).toBe(0)
    for (const failure of await Promise.all(failures)) expect(failure).toBeInstanceOf(LogUnavailable)
    expect(parts.log.durable).toEqual([])
  })
  it('works again when the log does', async () => {
    const parts = createParts()
    parts.log.fail('full')
    expect(await failureOf(parts.intake.take(ingest(eventOf('a'))))).toBeInstanceOf(LogUnavailable)
    parts.log.state = 'writable'
    const taken = parts.intake.take(ingest(eventOf('b')))
    parts.log.sync()
    expect((await taken).accepted).toBe(1)
    expect(names(parts)).toEqual(['b'])
  })
})

describe('P6, P7: requests that find no room', () => {
  it('wait first in, first out; small ones never overtake', async () => {
    const parts = createParts(2000)
    const order: string[] = []
    const take = (name: string, bytes: number): void =>
      void parts.intake.take(ingest(eventOf(name, 't', bytes))).then(() => order.push(name))
    take('first', 1000)
    take('big', 1200)
    take('small', 0)
    take('another', 900)
    take('tiny', 0)
    expect(parts.intake.waiting).toBe(4)
    for (let left = 4; left > 0; left--) {
      parts.log.sync()
      await settle()
    }
    expect(parts.intake.waiting).toBe(0)
    expect(names(parts)).toEqual(['first', 'big', 'small', 'another', 'tiny'])
    expect(order).toEqual(['first', 'big', 'small', 'another', 'tiny'])
  })
  it('fill each batch as far as they go', async () => {
    const parts = createParts(2000)
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      void parts.intake.take(ingest(eventOf(name, 't', 300)))
    }
    expect(parts.log.nextOffset).toBe(2)
    parts.log.sync()
    expect([parts.log.nextOffset, parts.intake.waiting]).toEqual([4, 2])
    parts.log.sync()
    parts.log.sync()
    await settle()
    expect(names(parts)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  })
  it('keep the time and the id of their arrival', async () => {
    const parts = createParts(1500)
    void parts.intake.take(ingest(eventOf('a', 't', 900)))
    const waiting = parts.intake.take(ingest(eventOf('b', 't', 900)))
    parts.clock.advance(5000)
    parts.log.sync()
    parts.log.sync()
    const { requestId } = await waiting
    expect(parts.log.durable[1]!.value).toMatchObject({ received_ms: NOW_MS, request_id: textOf(requestId) })
  })
  it('a request whose decoder throws does not stop those behind it', async () => {
    const parts = createParts(1500)
    const { decoder } = parts
    const broken: Decoder = {
      ...decoder,
      name: 'reference',
      tokens: decoder.tokens,
      panics: 0,
      decode: (request, context, room) => {
        if (Buffer.from(request.body).includes('BOOM') && room.position === 0) throw new Error('a bug')
        return decoder.decode(request, context, room)
      },
    }
    const intake = new Intake({ ...parts, decoder: broken, requestIds: new RequestIds(new Uint8Array(8)) })
    expect(await failureOf(intake.take(ingest(eventOf('BOOM'))))).toMatchObject({ message: 'a bug' })
    void intake.take(ingest(eventOf('a', 't', 900)))
    const failed = failureOf(intake.take(ingest(eventOf('BOOM', 't', 900))))
    const behind = intake.take(ingest(eventOf('b')))
    expect(intake.waiting).toBe(2)
    parts.log.sync()
    parts.log.sync()
    expect(await failed).toMatchObject({ message: 'a bug' })
    expect((await behind).accepted).toBe(1)
    expect(names(parts)).toEqual(['a', 'b'])
  })
})

describe('requests that are submitted', () => {
  /** What each was told, in the order of telling. */
  const submitTo = (parts: Parts, told: unknown[]) => (request: IngestRequest, name: string) =>
    parts.intake.submit(request, {
      issued: ({ accepted }) => told.push([name, accepted]),
      failed: (error) => told.push([name, error]),
    })

  it('are decoded at the end of the turn, in their order, and released together', async () => {
    const parts = createParts()
    const told: unknown[] = []
    const submit = submitTo(parts, told)
    for (const name of ['a', 'b', 'c']) submit(ingest(eventOf(name)), name)
    submit(ingest([7]), 'bad')
    expect([parts.log.commits, parts.intake.waiting]).toEqual([0, 4])
    await settle()
    expect([parts.log.commits, parts.intake.waiting]).toEqual([3, 0])
    // Nothing of it is kept, so that it waits for nothing.
    expect(told).toEqual([['bad', 0]])
    parts.log.sync()
    await settle()
    expect(told.slice(1)).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 1],
    ])
    expect(names(parts)).toEqual(['a', 'b', 'c'])
  })
  it('P2: are all told when their batch fails, and those of the next one are not', async () => {
    const parts = createParts()
    const told: unknown[] = []
    const submit = submitTo(parts, told)
    submit(ingest(eventOf('a')), 'a')
    submit(ingest(eventOf('b')), 'b')
    await settle()
    parts.log.fail('failed')
    parts.log.state = 'writable'
    submit(ingest(eventOf('c')), 'c')
    await settle()
    parts.log.sync()
    await settle()
    const lost = expect.any(LogUnavailable) as unknown
    expect(told).toEqual([
      ['a', lost],
      ['b', lost],
      ['c', 1],
    ])
    expect(parts.ledger.unavailable).toBe(2)
  })
  it('a receipt that cannot be issued is a failure of its own request alone', async () => {
    const parts = createParts()
    const told: unknown[] = []
    const submit = submitTo(parts, told)
    parts.rejects.keep = () => {
      throw new Error('a bug')
    }
    submit(ingest([eventOf('a'), 7]), 'a')
    submit(ingest(eventOf('b')), 'b')
    await settle()
    parts.log.sync()
    await settle()
    expect(told).toEqual([
      ['a', new Error('a bug')],
      ['b', 1],
    ])
  })
  it('are decoded sooner once many bytes wait: in their order, and none while it is handed in', async () => {
    const parts = createParts()
    const told: unknown[] = []
    const submit = submitTo(parts, told)
    const waiting = ['a', 'b', 'c', 'd', 'e'].map((name) => {
      submit(ingest(eventOf(name, 't', 70_000)), name)
      return parts.intake.waiting
    })
    expect(waiting).toEqual([1, 2, 1, 2, 1])
    submit(ingest(`[7, "${'x'.repeat(200_000)}"]`), 'bad')
    submit(ingest(eventOf('f')), 'f')
    expect([parts.intake.waiting, told]).toEqual([1, [['bad', 0]]])
    await settle()
    parts.log.sync()
    await settle()
    expect(names(parts)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    expect(told.slice(1)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, 1]))
  })
  it('may be handed in by whoever is told something: none is decoded twice, told twice or forgotten', async () => {
    const parts = createParts()
    const told: unknown[] = []
    const submit = submitTo(parts, told)
    parts.intake.submit(ingest('[7]'), {
      issued: () => {
        told.push('bad')
        submit(ingest(eventOf('inner')), 'inner')
      },
      failed: (error) => told.push(error),
    })
    submit(ingest(eventOf('a', 't', 140_000)), 'a')
    submit(ingest(eventOf('b')), 'b')
    await settle()
    parts.log.sync()
    await settle()
    expect(names(parts)).toEqual(['a', 'inner', 'b'])
    expect(told).toEqual(['bad', ['a', 1], ['inner', 1], ['b', 1]])
    expect(parts.intake.waiting).toBe(0)
  })
  it('are decoded again only once there is the room that they need', async () => {
    const parts = createParts(300_000)
    const decode = vi.spyOn(parts.decoder, 'decode')
    const submit = submitTo(parts, [])
    submit(ingest(eventOf('a', 't', 200_000)), 'a')
    submit(ingest(eventOf('b', 't', 200_000)), 'b')
    for (let one = 0; one < 100; one++) submit(ingest(eventOf('c')), 'c')
    await settle()
    expect([decode.mock.calls.length, parts.intake.waiting]).toEqual([2, 101])
    parts.log.sync()
    expect([decode.mock.calls.length, parts.intake.waiting]).toEqual([103, 0])
  })
  it('of more than a megabyte leave a turn to others in between', async () => {
    const parts = createParts(1 << 24)
    const told: unknown[] = []
    const submit = submitTo(parts, told)
    const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const waiting = all.map((name) => {
      submit(ingest(eventOf(name, 't', 700_000)), name)
      return parts.intake.waiting
    })
    for (let turn = 0; turn < 4; turn++) {
      await settle()
      waiting.push(parts.intake.waiting)
    }
    expect(waiting).toEqual([1, 1, 1, 2, 3, 4, 5, 3, 1, 0, 0])
    parts.log.sync()
    await settle()
    expect(names(parts)).toEqual(all)
  })
  it('learn when their body is not needed any more: its bad records are copied, and nothing is told yet', async () => {
    const parts = createParts()
    const seen: unknown[] = []
    const request = ingest([eventOf('a'), { event: 'bad' }], 'verbose=1')
    parts.intake.submit(request, {
      decoded: (params) => {
        seen.push(params)
        // As the listener does, which takes the memory away.
        request.body.fill(0)
      },
      issued: ({ problems }) => seen.push(problems.map(({ code }) => code)),
      failed: (error) => seen.push(error),
    })
    await settle()
    expect(seen).toEqual([Param.verbose1])
    parts.log.sync()
    await settle()
    parts.rejectLog.sync()
    expect(seen).toEqual([Param.verbose1, ['properties_missing']])
    expect(names(parts)).toEqual(['a'])
    expect(parts.rejectLog.durable[0]!.value).toMatchObject({ raw: '{"event":"bad"}' })
  })
})

describe('what a receipt holds', () => {
  const mixed = [eventOf('a'), 7, { event: 'e' }, eventOf('\ud800')]
  const receiptOf = async (query: string, endpoint: 'track' | 'import' = 'track'): Promise<Receipt> => {
    const parts = createParts()
    const taken = parts.intake.take(ingest(mixed, query, endpoint))
    parts.log.sync()
    return taken
  }
  it('as many problems as verbose or strict shows', async () => {
    const codes = async (query: string, endpoint?: 'import'): Promise<unknown> =>
      (await receiptOf(query, endpoint)).problems.map(({ index, code }) => `${index} ${code}`)
    expect(await codes('')).toEqual([])
    expect(await codes('img=1&callback=f')).toEqual([])
    const both = ['1 record_not_object', '2 properties_missing']
    expect(await codes('verbose=1')).toEqual(both.slice(0, 1))
    expect(await codes('verbose=2')).toEqual(both)
    expect(await codes('strict=1')).toEqual([])
    expect(await codes('', 'import')).toEqual([])
    expect(await codes('strict=1', 'import')).toContain('1 record_not_object')
  })
  it('P7: of very many problems verbose=2 shows the first hundred, strict all', async () => {
    const bodies = Array<number>(2000).fill(7)
    const shown = async (query: string, endpoint: Endpoint): Promise<number> =>
      (await createParts().intake.take(ingest(bodies, query, endpoint))).problems.length
    expect(await shown('verbose=2', 'track')).toBe(PROBLEMS_SHOWN_MAX)
    expect(await shown('strict=1', 'import')).toBe(2000)
    expect(await shown('strict=1&verbose=2', 'engage')).toBe(2000)
  })
  it.each(['', 'verbose=1', 'verbose=2', 'strict=1'])(
    'P10: a problem that is shown and kept is described once: %s',
    async (query) => {
      const parts = createParts()
      const described: number[] = []
      const decode: Decoder['decode'] = (...given) => {
        const batch = parts.decoder.decode(...given)
        return new Proxy(batch, {
          get(target, name) {
            if (name === 'problem') {
              return (index: number) => (described.push(index), target.problem(index))
            }
            const value = Reflect.get(target, name, target) as unknown
            return typeof value === 'function' ? (value as () => unknown).bind(target) : value
          },
        })
      }
      const decoder = { decode, name: 'reference', tokens: parts.decoder.tokens, panics: 0 } as const
      const intake = new Intake({ ...parts, decoder, requestIds: new RequestIds(new Uint8Array(8)) })
      await intake.take(ingest([7, {}, 8], query, 'import'))
      parts.rejectLog.sync()
      const kept = parts.rejectLog.durable.map(({ value }) => value['index'])
      expect(kept).toEqual([0, 1, 2])
      expect(described).toEqual(kept)
    },
  )
  it('flags of what was repaired only for verbose=2', async () => {
    expect((await receiptOf('verbose=1')).flags).toEqual([])
    expect((await receiptOf('verbose=2')).flags).toEqual(['surrogate_repaired'])
    expect(await receiptOf('verbose=2')).toMatchObject({ received: 4, accepted: 2, rejected: 2 })
    expect((await receiptOf('verbose=2')).params).toBe(Param.verbose2)
  })
  it('nothing of a request that came between its decoding and its commit', async () => {
    const parts = createParts()
    const taken = parts.intake.take(ingest(mixed, 'verbose=2'))
    // The decoder's memory now holds other requests.
    void parts.intake.take(ingest([...Array<number>(50).fill(8), eventOf('z', 'other')], 'img=1'))
    await parts.intake.take(ingest('{"broken', '', 'import'))
    parts.log.sync()
    const alone = createParts()
    const expected = alone.intake.take(ingest(mixed, 'verbose=2'))
    alone.log.sync()
    expect(await taken).toEqual(await expected)
    expect(parts.ledger.ofToken(parts.decoder.tokens.find('t')!)).toEqual(
      alone.ledger.ofToken(alone.decoder.tokens.find('t')!),
    )
    await settle()
    parts.rejectLog.sync()
    alone.rejectLog.sync()
    const own = parts.rejectLog.durable.filter(
      ({ value }) => value['request_id'] === '01M8627GR00000000000000000',
    )
    expect(own).toEqual(alone.rejectLog.durable)
    expect(own).toHaveLength(2)
  })
})

describe('what is kept of rejected records', () => {
  it('P10: only once the good ones beside them are durable', async () => {
    const parts = createParts()
    const taken = parts.intake.take(ingest([eventOf('a'), 7]))
    await settle()
    expect(parts.rejectLog.commits).toBe(0)
    parts.log.sync()
    await taken
    expect([parts.rejectLog.commits, parts.rejects.kept]).toEqual([1, 1])
  })
  it('a full log of rejects harms no good event', async () => {
    const parts = createParts()
    parts.rejectLog.state = 'failed'
    const taken = parts.intake.take(ingest([eventOf('a'), 7]))
    parts.log.sync()
    expect(await taken).toMatchObject({ accepted: 1, rejected: 1 })
    expect([parts.rejects.kept, parts.rejects.dropped]).toEqual([0, 1])
  })
})

describe('requests of a special kind', () => {
  it('a body that fails before it is decoded is one rejected record', () => {
    const parts = createParts()
    const problem: Problem = { ...NO_PROBLEM, id: 5, code: 'gzip_invalid', message: 'data, invalid gzip' }
    const receipt = parts.intake.refuse(ingest('\u001f\u008bxx', '', 'engage'), problem, Param.verbose1)
    expect(receipt).toMatchObject({ received: 1, rejected: 1, accepted: 0, undecodable: true })
    expect(receipt).toMatchObject({ problems: [problem], params: Param.verbose1 })
    expect(parts.ledger.totalsOf('engage')).toEqual({ received: 1, accepted: 0, rejected: 1, ignored: 0 })
    parts.rejectLog.sync()
    expect(parts.rejectLog.durable[0]!.value).toMatchObject({
      endpoint: 'engage',
      request_id: textOf(receipt.requestId),
      problem: { code: 'gzip_invalid' },
    })
  })
  it('a replayed record keeps its time and says so', async () => {
    const parts = createParts()
    const taken = parts.intake.take({ ...ingest(eventOf('a')), replayedFromMs: NOW_MS - 5000 })
    parts.log.sync()
    await taken
    expect(parts.log.durable[0]!.value).toMatchObject({ received_ms: NOW_MS - 5000, flags: ['replayed'] })
  })
  it('a request that fits exactly is decoded twice and committed once', async () => {
    const parts = createParts()
    const taken = parts.intake.take(ingest(eventOf('a')))
    const bytes = parts.log.open(0)!.position
    parts.log.sync()
    await taken
    const exact = createParts(bytes)
    const fitting = exact.intake.take(ingest(eventOf('a')))
    exact.log.sync()
    expect((await fitting).accepted).toBe(1)
    const tight = createParts(bytes - 1)
    expect(await failureOf(tight.intake.take(ingest(eventOf('a'))))).toBeInstanceOf(RangeError)
  })
})

describe('--ack kafka', () => {
  it('P1: a receipt is issued when each of its own records is acknowledged, wherever it stands in the batch', async () => {
    const acknowledgements = new Acknowledgements(60_000)
    const parts = createParts(1 << 20, {}, acknowledgements)
    const issued: string[] = []
    const take = (name: string, body: unknown): unknown =>
      parts.intake.take(ingest(body)).then(() => issued.push(name))
    void take('first', [eventOf('a'), eventOf('b')])
    void take('second', [eventOf('c')])
    // A request of which nothing is kept has nothing to wait for.
    void take('none', '[7]')
    acknowledgements.note([0, 1, 2])
    parts.log.sync()
    await settle()
    expect(issued).toEqual(['none'])
    acknowledgements.note([1, 2])
    await settle()
    expect(issued).toEqual(['none', 'second'])
    void take('third', [eventOf('d')])
    parts.log.sync()
    await settle()
    acknowledgements.note([3])
    acknowledgements.note([0])
    await settle()
    expect(issued).toEqual(['none', 'second', 'third', 'first'])
    expect(parts.ledger.all).toMatchObject({ received: 5, accepted: 4, rejected: 1 })
  })

  it('P2, P4: past the deadline it fails and counts as unavailable; the records stay in the log', async () => {
    const acknowledgements = new Acknowledgements(10)
    const parts = createParts(1 << 20, {}, acknowledgements)
    const failure = failureOf(parts.intake.take(ingest([eventOf('a'), '7'])))
    parts.log.sync()
    expect(await failure).toBeInstanceOf(NotAcknowledged)
    expect(parts.ledger.all.received).toBe(0)
    expect(parts.ledger.unavailable).toBe(2)
    expect(names(parts)).toEqual(['a'])
  })

  it('a log that refuses is not waited with, and a replay waits for the log alone', async () => {
    const acknowledgements = new Acknowledgements(60_000)
    const parts = createParts(1 << 20, {}, acknowledgements)
    const replayed = parts.intake.take({ ...ingest([eventOf('a')]), replayedFromMs: NOW_MS - 5 })
    parts.log.sync()
    expect(await replayed).toMatchObject({ accepted: 1 })
    parts.log.state = 'failed'
    expect(await failureOf(parts.intake.take(ingest([eventOf('b')])))).toBeInstanceOf(LogUnavailable)
    expect(acknowledgements.size).toBe(0)
  })
})
