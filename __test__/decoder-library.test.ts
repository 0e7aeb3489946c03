/** The decoder as a library: what a program gets that has events in Mixpanel's wire form and no server. */
import { describe, expect, it } from 'vitest'
import {
  createEventDecoder,
  type EncodedRequest,
  type EventDecoder,
  Outcome,
  Row,
  UsageError,
} from '../src/decoder-library.js'
import { NOW_MS } from './decode/harness.js'
import { describeWith, missing } from './support/require.js'

const decoders: [string, () => EventDecoder][] = [
  ['reference', () => createEventDecoder({ mode: 'reference' })],
  ...(missing('native') === undefined
    ? [['native', () => createEventDecoder({ mode: 'native' })] as [string, () => EventDecoder]]
    : []),
]
const REQUEST: EncodedRequest = {
  endpoint: 'track',
  receivedMs: NOW_MS,
  requestId: 'r1',
  ip: '203.0.113.9',
  userAgent: 'curl/8',
}
const event = (properties: object): string => JSON.stringify({ event: 'e', properties })

describe.each(decoders)('%s', (name, create) => {
  const decoder = create()

  it('is the one that was asked for, and says so', () => {
    expect(decoder.name).toBe(name)
    expect(decoder.reason).toContain(`The ${name} decoder was asked for`)
  })

  it('makes plain objects: events with their envelope, and problems', () => {
    const body = `[${event({ token: 't', distinct_id: 'd', time: NOW_MS / 1000 })},{"properties":{"token":"t"}}]`
    const decoded = decoder.decode({ ...REQUEST, body, contentType: 'application/json; charset=utf-8' })
    expect(decoded).toMatchObject({
      received: 2,
      accepted: 1,
      rejected: 1,
      ignored: 0,
      undecodable: false,
      events: [
        {
          kind: 'track',
          flags: [],
          envelope: {
            v: 1,
            token: 't',
            distinct_id: 'd',
            ip: '203.0.113.9',
            ua: 'curl/8',
            received_ms: NOW_MS,
          },
        },
      ],
      problems: [{ code: 'event_missing', index: 1 }],
    })
    expect(decoded.events[0]!.envelope.record).toEqual(JSON.parse(body)[0])
  })

  it('keeps every digit in the text', () => {
    const { events } = decoder.decode({
      ...REQUEST,
      body: event({ token: 't' }).replace('}}', ',"n":12345678901234567890}}'),
    })
    expect(events[0]!.json).toContain('"n":12345678901234567890')
  })

  it('reads forms, queries without a body, and says what is late', () => {
    const data = Buffer.from(event({ token: 't', time: NOW_MS / 1000 - 6 * 86_400 })).toString('base64url')
    const form = decoder.decode({ ...REQUEST, body: `data=${data}` })
    expect(form.events[0]).toMatchObject({ flags: ['late'], envelope: { flags: ['late'] } })
    expect(decoder.decode({ ...REQUEST, query: `data=${data}` }).accepted).toBe(1)
  })

  it('what cannot be taken apart is one problem', () => {
    const decoded = decoder.decode({ ...REQUEST, body: 'data=%' })
    expect(decoded).toMatchObject({ undecodable: true, accepted: 0, events: [] })
    expect(decoded.problems).toHaveLength(1)
  })

  it('has views that make nothing, and room for what is larger than the last', () => {
    for (const events of [1, 2000, 3]) {
      const body = `[${Array.from({ length: events }, () => event({ token: 't', fill: 'x'.repeat(200) })).join()}]`
      const batch = decoder.view({ ...REQUEST, body })
      expect(batch.accepted).toBe(events)
      expect(batch.row(events - 1, Row.outcome)).toBe(Outcome.accepted)
      expect(batch.event(events - 1).key).toMatch(/^t:/)
    }
  })

  it('results of an earlier call do not change with the next', () => {
    const first = decoder.decode({ ...REQUEST, body: event({ token: 'first', distinct_id: '1' }) })
    const copy = structuredClone(first)
    decoder.decode({ ...REQUEST, body: event({ token: 'other', distinct_id: '2' }) })
    expect(first).toEqual(copy)
  })

  it('records without an id get one that no other request has', () => {
    const { requestId: _, ...request } = REQUEST
    const ids = [1, 2].map(
      () => decoder.decode({ ...request, body: event({ token: 't' }) }).events[0]!.envelope.insert_id,
    )
    expect(ids[0]).not.toBe(ids[1])
  })

  it('refuses what it cannot take', () => {
    const body = event({ token: 't' })
    const refused: [Partial<EncodedRequest>, RegExp][] = [
      [{ body, contentType: 'multipart/form-data' }, /multipart/],
      [{ body: Buffer.alloc(10 * 2 ** 20 + 1) }, /payloadBytesMax/],
      [{ body, requestId: '"' }, /letters and digits/],
      [{ body, endpoint: 'rejected' as 'track' }, /endpoint must be one of track, /],
      ...[NaN, Infinity, -1, 1.5, 2 ** 53].map((receivedMs): [Partial<EncodedRequest>, RegExp] => [
        { body, receivedMs },
        /receivedMs must be a whole/,
      ]),
    ]
    for (const [part, message] of refused) {
      expect(() => decoder.decode({ ...REQUEST, ...part })).toThrow(UsageError)
      expect(() => decoder.decode({ ...REQUEST, ...part })).toThrow(message)
    }
  })
})

describeWith('native', 'both decoders as libraries', () => {
  it('P8: give the same objects', () => {
    const body = `[${event({ token: 't', distinct_id: 'ä\ud800' })},{"event":1},${event({})},{}]`
    const [first, second] = decoders.map(([, create]) => create().decode({ ...REQUEST, body }))
    expect(first).toEqual(second)
    expect(first!.received).toBe(4)
  })

  it('P8: also of a credential that is no text', () => {
    const request = { ...REQUEST, endpoint: 'import', authToken: 'a\ud800', body: event({}) } as const
    const [first, second] = decoders.map(([, create]) => create().decode(request))
    expect(first!.events[0]!.json).toContain('"token":"a\ufffd"')
    expect(first).toEqual(second)
  })
})
