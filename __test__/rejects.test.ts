import { describe, expect, it } from 'vitest'
import { ManualClock } from '../src/clock.js'
import type { Problem, RequestContext } from '../src/decode/decoder.js'
import { createReferenceDecoder } from '../src/decode/reference/decoder.js'
import { createTokenTable } from '../src/decode/reference/tokens.js'
import { BURST_BYTES, RATE_BYTES_PER_S, Rejects } from '../src/rejects.js'
import { RAW_BYTES_MAX } from '../src/rejects/envelope.js'
import type { Endpoint } from '../src/record.js'
import {
  CONTEXT,
  decode,
  type Input,
  latin1,
  NOW_MS,
  OPTIONS,
  post,
  strictImport,
  track,
} from './decode/harness.js'
import { MemoryLog, type MemoryRecord } from './support/memory-log.js'
import { requestId } from '../src/request-id.js'

const CONTEXT_OF = { ...CONTEXT, requestId: requestId('req7') }

/** Decodes a request and gives what was kept of it. */
function keptOf(
  request: Input,
  context: Partial<RequestContext> = {},
  tokensAllowed?: string[],
): MemoryRecord[] {
  const decoder = createReferenceDecoder({ ...OPTIONS, tokensAllowed })
  const log = new MemoryLog()
  const rejects = new Rejects(log, decoder.tokens, new ManualClock(0))
  const full = { ...CONTEXT_OF, ...context }
  const { batch } = decode(decoder, request, full)
  rejects.keep(rejects.prepare(batch, request, full))
  log.sync()
  return log.durable
}

const only = (records: MemoryRecord[]): MemoryRecord => {
  expect(records).toHaveLength(1)
  return records[0]!
}

describe('P10: what is kept', () => {
  it('the rejected records of a request, each with its problem', () => {
    const bad = '{"properties":{}}'
    const good = '{"event":"e","properties":{"token":"t"}}'
    const records = keptOf(track(`[${good}, ${bad},${good},7]`))
    expect(records.map(({ value }) => [value['index'], value['raw']])).toEqual([
      [1, bad],
      [3, '7'],
    ])
    expect(records[0]).toEqual({
      kind: 'rejected',
      key: '',
      tokenLength: 0,
      value: {
        v: 1,
        kind: 'rejected',
        endpoint: 'track',
        token: null,
        received_ms: NOW_MS,
        request_id: 'req7',
        index: 1,
        ip: '203.0.113.9',
        ua: 'curl/8',
        problem: {
          code: 'event_missing',
          field: 'event',
          pointer: '/event',
          offset: good.length + 3,
          message: 'event, missing',
        },
        raw: bad,
      },
    })
  })
  it('the token as far as the rules read it; it is the key', () => {
    const alias = '{"event":"$create_alias","properties":{"token":"té"}}'
    expect(only(keptOf(track(alias)))).toMatchObject({ key: 'té', tokenLength: 3, value: { token: 'té' } })
    const engage = post('engage', '{"$token":"k"}')
    expect(only(keptOf(engage))).toMatchObject({ key: 'k', value: { token: 'k', endpoint: 'engage' } })
  })
  it('an import’s project, and its credential’s token', () => {
    const context = { authToken: 'auth', projectId: 'p1' }
    const { value } = only(keptOf(strictImport('[{}]'), context))
    expect(value).toMatchObject({ endpoint: 'import', token: 'auth', project_id: 'p1' })
    expect(only(keptOf(track('[{}]'), context)).value).not.toHaveProperty('project_id')
  })
  it.each([
    ['in the query', { ...track('{}'), query: 'verbose=1&test=1' }, true],
    ['in the form', { ...track('data=%7B%7D&test=1'), content: 1 }, true],
    ['not there', track('{}'), undefined],
    ['another value', { ...track('{}'), query: 'test=2' }, undefined],
  ] satisfies [string, Input, unknown][])('test=1: %s', (_what, request, test) => {
    expect(only(keptOf(request)).value['test']).toBe(test)
  })

  it('a payload that cannot be taken apart, as one record', () => {
    const { value } = only(keptOf(track('[{"event":]')))
    expect(value).toMatchObject({
      raw: '[{"event":]',
      index: 0,
      problem: { code: 'json_invalid', offset: 10 },
    })
  })
  it('text that is not UTF-8 in base64', () => {
    const text = '{"event":"\xff"}'
    const { value } = only(keptOf(track(latin1(text))))
    expect(value).not.toHaveProperty('raw')
    expect(Buffer.from(value['raw_base64'] as string, 'base64').toString('latin1')).toBe(text)
    expect(value).not.toHaveProperty('truncated')
  })
  it('a BOM, control characters, quotes: the same text', () => {
    for (const text of ['\ufeff{"a":"\\u0001"} x', '{"\u2028\u007f\\"":1}x', '"\u0001']) {
      expect(only(keptOf(track(text))).value['raw']).toBe(text)
    }
  })
  it('nothing of the text of an unknown token', () => {
    const secret = 'sk-1234567890'
    const text = `{"event":"e","properties":{"token":"${secret}","x":"${'y'.repeat(RAW_BYTES_MAX)}"}}`
    const { value, key } = only(keptOf(track(text), {}, ['good']))
    expect(value).toMatchObject({ raw: '', token: null, problem: { code: 'token_unknown' } })
    expect(value).not.toHaveProperty('truncated')
    expect(JSON.stringify([key, value])).not.toContain(secret)
  })
})

describe('P7: at most 64 KiB of a record’s text', () => {
  const textOf = (inside: string): string => `["${inside}`
  const rawOf = (body: string | Uint8Array): Record<string, unknown> => only(keptOf(track(body))).value
  it('exactly so much is kept whole', () => {
    const text = textOf('x'.repeat(RAW_BYTES_MAX - 2))
    expect(rawOf(text)).toMatchObject({ raw: text })
    expect(rawOf(text)).not.toHaveProperty('truncated')
    expect(rawOf(`${text}y`)).toMatchObject({ raw: text, truncated: true })
  })
  it.each(['é', '€', '😀'])('cut in front of a %s that would be cut in two', (character) => {
    const bytes = Buffer.byteLength(character)
    for (let before = 0; before <= bytes; before++) {
      const start = textOf('x'.repeat(RAW_BYTES_MAX - 2 - before))
      const fits = before === bytes ? character : ''
      expect(rawOf(start + character.repeat(3))).toMatchObject({ raw: start + fits, truncated: true })
    }
  })
  it('base64 is cut at the byte', () => {
    const body = Buffer.concat([Buffer.from('["\xff', 'latin1'), Buffer.alloc(RAW_BYTES_MAX, 'x')])
    const value = rawOf(body)
    expect(value['truncated']).toBe(true)
    expect(Buffer.from(value['raw_base64'] as string, 'base64')).toEqual(body.subarray(0, RAW_BYTES_MAX))
  })
  it('continuation bytes at the cut that belong to nothing', () => {
    const body = Buffer.concat([Buffer.alloc(RAW_BYTES_MAX - 6, '['), Buffer.alloc(20, 0x80)])
    expect(rawOf(body)).toHaveProperty('raw_base64')
  })
})

const PROBLEM: Problem = {
  id: 5,
  code: 'gzip_invalid',
  index: 0,
  field: 'data',
  pointer: '',
  offset: -1,
  message: 'data, invalid gzip',
  hint: '',
  got: '',
  insertId: undefined,
}

describe('the client’s address is kept as in envelopes (docs/PROTOCOL.md 9.3)', () => {
  const ipOf = (request: Input, storeIp?: ConstructorParameters<typeof Rejects>[3]): unknown => {
    const decoder = createReferenceDecoder(OPTIONS)
    const log = new MemoryLog()
    const rejects = new Rejects(log, decoder.tokens, new ManualClock(0), storeIp)
    const { batch } = decode(decoder, request, CONTEXT_OF)
    rejects.keep(rejects.prepare(batch, request, CONTEXT_OF))
    log.sync()
    return only(log.durable).value['ip']
  }
  const query = (text: string): Input => ({ ...track('{}'), query: text })
  const form: Input = { ...track('data=%7B%7D&ip=0'), content: 1 }

  it.each([
    ['nobody refuses', track('{}'), '203.0.113.9'],
    ['ip=1', query('ip=1'), '203.0.113.9'],
    ['ip=0 in the query', query('verbose=1&ip=0'), null],
    ['ip=0 in the form', form, null],
    ['"ip":0 in the record', track('{"properties":{"ip": 0 }}'), null],
    ['"$ip":"0" in the record', track('{"$ip":"0"}'), null],
    ['another number', track('{"properties":{"ip":0.5,"zip":0}}'), '203.0.113.9'],
    ['an address', track('{"properties":{"ip":"0.0.0.0"}}'), '203.0.113.9'],
  ])('%s', (_what, request, ip) => expect(ipOf(request)).toBe(ip))

  it('--store-ip never and always', () => {
    expect(ipOf(track('{}'), 'never')).toBeNull()
    expect(ipOf(query('ip=0'), 'always')).toBe('203.0.113.9')
    expect(ipOf(track('{"$ip":"0"}'), 'always')).toBe('203.0.113.9')
  })

  it('of a body that could not be decoded, too', () => {
    const log = new MemoryLog()
    const rejects = new Rejects(log, createTokenTable(OPTIONS), new ManualClock(0))
    const request = { endpoint: 'track', content: 0, query: 'ip=0', body: Buffer.from('x') } as const
    rejects.keep(rejects.prepareOne(request, CONTEXT_OF, PROBLEM))
    log.sync()
    expect(only(log.durable).value['ip']).toBeNull()
  })
})

describe('P7: the rate', () => {
  function create(): {
    rejects: Rejects
    clock: ManualClock
    log: MemoryLog
    offer: (bytes: number) => boolean
  } {
    const clock = new ManualClock(1000)
    const log = new MemoryLog(1 << 28)
    const rejects = new Rejects(log, createTokenTable(OPTIONS), clock)
    const request = { endpoint: 'track' as Endpoint, content: 0 as const, query: '' }
    const offer = (bytes: number): boolean => {
      const body = Buffer.alloc(bytes, 'x')
      return rejects.prepareOne({ ...request, body }, CONTEXT_OF, PROBLEM).records.length === 1
    }
    return { rejects, clock, log, offer }
  }
  /** How often a record of so many bytes is taken at once. */
  const burst = (offer: (bytes: number) => boolean, bytes: number): number => {
    let taken = 0
    while (taken < 100_000 && offer(bytes)) taken++
    return taken
  }
  const COST_MORE = 1024

  it('takes a burst, then counts only', () => {
    const { rejects, offer } = create()
    expect(burst(offer, 9 * 1024)).toBe(Math.floor(BURST_BYTES / (9 * 1024 + COST_MORE)))
    expect([rejects.dropped, rejects.kept]).toEqual([1, 0])
    offer(9 * 1024)
    expect(rejects.dropped).toBe(2)
  })
  it('earns with time, and never more than a burst', () => {
    const { clock, offer } = create()
    burst(offer, COST_MORE)
    clock.advance(1000)
    expect(burst(offer, COST_MORE)).toBe(RATE_BYTES_PER_S / (2 * COST_MORE))
    clock.advance(1)
    expect(burst(offer, COST_MORE)).toBe(0)
    clock.advance(1)
    expect(burst(offer, COST_MORE)).toBe(1)
    clock.advance(3_600_000)
    expect(burst(offer, COST_MORE)).toBe(BURST_BYTES / (2 * COST_MORE))
  })
  it('charges no more than what is kept', () => {
    const { offer } = create()
    expect(burst(offer, 10 * RAW_BYTES_MAX)).toBe(Math.floor(BURST_BYTES / (RAW_BYTES_MAX + COST_MORE)))
  })
  it('holds inside one request, too', () => {
    const decoder = createReferenceDecoder(OPTIONS)
    const log = new MemoryLog(1 << 28)
    const rejects = new Rejects(log, decoder.tokens, new ManualClock(0))
    const request = track(
      `[${Array(300)
        .fill(`"${'x'.repeat(RAW_BYTES_MAX)}"`)
        .join(',')}]`,
    )
    const { batch } = decode(decoder, request)
    rejects.keep(rejects.prepare(batch, request, CONTEXT_OF))
    const expected = Math.floor(BURST_BYTES / (RAW_BYTES_MAX + COST_MORE))
    expect([rejects.kept, rejects.dropped]).toEqual([expected, 300 - expected])
    log.sync()
    expect(log.durable).toHaveLength(expected)
  })
})

describe('a log of rejects that does not take them', () => {
  const request = track('[7,8,9]')
  function prepared(log: MemoryLog): { rejects: Rejects; keep: () => void } {
    const decoder = createReferenceDecoder(OPTIONS)
    const rejects = new Rejects(log, decoder.tokens, new ManualClock(0))
    const records = rejects.prepare(decode(decoder, request).batch, request, CONTEXT_OF)
    return { rejects, keep: () => rejects.keep(records) }
  }
  it.each(['full', 'failed', 'closed'] as const)('P3: %s: counted, never thrown', (state) => {
    const log = new MemoryLog()
    log.state = state
    const { rejects, keep } = prepared(log)
    expect(keep).not.toThrow()
    expect([rejects.kept, rejects.dropped]).toEqual([0, 3])
  })
  it('P3: too small for a record: counted, never thrown', () => {
    const { rejects, keep } = prepared(new MemoryLog(100))
    expect(keep).not.toThrow()
    expect([rejects.kept, rejects.dropped]).toEqual([0, 3])
  })
  it('no room now: nobody waits', () => {
    const { rejects, keep } = prepared(new MemoryLog(500))
    keep()
    expect([rejects.kept, rejects.dropped]).toEqual([1, 2])
  })
  it('a sync that fails: they were not kept after all', async () => {
    const log = new MemoryLog()
    const { rejects, keep } = prepared(log)
    keep()
    expect([rejects.kept, rejects.dropped]).toEqual([3, 0])
    log.fail()
    await new Promise(setImmediate)
    expect([rejects.kept, rejects.dropped]).toEqual([0, 3])
  })
})
