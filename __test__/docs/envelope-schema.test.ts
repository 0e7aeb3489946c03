/** docs/ENVELOPE.schema.json describes what the decoder writes: its real envelopes fit, damaged ones do not. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/decode/problems.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { FLAGS, KINDS } from '../../src/record.js'
import * as h from '../decode/harness.js'
import { ROOT } from './markdown.js'

type Envelope = Record<string, unknown>
interface Validate {
  (value: unknown): boolean
  errors?: unknown
}
// ajv comes with fastify; its ESM types do not name the 2020-12 class in a way NodeNext understands.
const Ajv2020 = createRequire(import.meta.url)('ajv/dist/2020.js').default as new (options: object) => {
  compile(schema: object): Validate
}
const schema = JSON.parse(readFileSync(join(ROOT, 'docs/ENVELOPE.schema.json'), 'utf8'))
const validate = new Ajv2020({
  strict: true,
  allowUnionTypes: true,
  strictTypes: false,
  strictRequired: false,
  allErrors: true,
}).compile(schema)
const ACCEPTED = schema.$defs.accepted

function expectValid(envelope: unknown): void {
  expect({ envelope, errors: validate(envelope) ? null : validate.errors }).toMatchObject({ errors: null })
}

const decoder = createReferenceDecoder({ ...h.OPTIONS, dropLate: false })
function envelopes(input: h.Input, context = {}): Envelope[] {
  return h.decode(decoder, input, context).rows.flatMap<Envelope>((row) => row.envelope ?? [])
}

/** Envelopes with every value of every enumeration and every null that a member may have. */
const REAL: Envelope[] = [
  ...envelopes(
    h.track([h.EVENT, h.eventWith({ time: 1_795_499_999, mp_lib: 'web', $lib_version: '2.83.0' })]),
  ),
  ...envelopes(
    h.track([h.eventWith({ time: 'x', distinct_id: '' }), h.eventWith({ time: 1e11, ip: '136.24.0.114' })]),
  ),
  ...envelopes(h.track(h.eventWith({ time: 4e12, $insert_id: undefined })), { replayed: true }),
  ...envelopes(h.track(h.eventWith({ distinct_id: undefined, $user_id: 7 }), 'ip=0&test=1')),
  ...envelopes(h.track(h.eventWith({ distinct_id: undefined, $device_id: 'd' }), 'ip=1')),
  ...envelopes(h.track(h.eventWith({ distinct_id: undefined }))),
  ...envelopes(h.track({ ...h.eventWith({ $insert_id: undefined }), $mp_metadata: { $mp_event_id: 'm1' } })),
  ...envelopes(h.track('{"event":"\\ud83c","properties":{"token":"t","n":NaN}}')),
  ...envelopes(h.json(h.latin1('{"event":"\xed\xa0\xbc\xed\xbc\xb3","properties":{"token":"t"}}'))),
  ...envelopes(h.engage([h.PROFILE, { ...h.PROFILE, $distinct_id: 0, $time: -1, $ip: '0' }])),
  ...envelopes(h.groups([h.GROUP, { ...h.GROUP, $group_id: 7, $time: 9e15 }])),
  ...envelopes(h.lenientImport(h.IMPORT), { peer: { ipJson: 'null', uaJson: 'null' } }),
  ...envelopes(h.strictImport([h.IMPORT]), { authToken: 't', projectId: '12' }),
]

const REJECTED = {
  v: 1,
  kind: 'rejected',
  endpoint: 'track',
  token: null,
  received_ms: h.NOW_MS,
  request_id: 'req7',
  index: 1,
  ip: null,
  ua: null,
  problem: {
    code: 'event_missing',
    field: 'event',
    pointer: '/event',
    offset: 57,
    message: 'event, missing',
  },
  raw: '{"properties":{}}',
}

describe('ENVELOPE.schema.json', () => {
  it.each(REAL)('$kind $index $flags fits', (envelope) => expectValid(envelope))

  it('those envelopes show every value that the schema lists', () => {
    const seen = (name: string): Set<unknown> => new Set(REAL.flatMap((envelope) => envelope[name]))
    for (const [name, rule] of Object.entries<{ enum?: unknown[]; items?: { enum: unknown[] } }>(
      ACCEPTED.properties,
    )) {
      const values = rule.enum ?? rule.items?.enum ?? []
      expect([name, values.filter((value) => !seen(name).has(value))]).toEqual([name, []])
    }
  })

  it('names the members in the order in which they are written, and the values that the code knows', () => {
    for (const envelope of REAL) expect(Object.keys(envelope)).toEqual(ACCEPTED.required)
    expect(Object.keys(ACCEPTED.properties)).toEqual(ACCEPTED.required)
    expect(ACCEPTED.properties.flags.items.enum).toEqual(FLAGS)
    expect([...ACCEPTED.properties.kind.enum, 'rejected']).toEqual(KINDS)
  })

  it('a member that is missing or of another type does not fit', () => {
    for (const name of ACCEPTED.required) {
      const { [name]: _, ...rest } = REAL[0]!
      expect([name, validate(rest), validate({ ...rest, [name]: { wrong: true } })]).toEqual([
        name,
        false,
        name === 'record',
      ])
    }
  })

  it('members that contradict each other do not fit', () => {
    const [track, engage] = [REAL[0]!, REAL.find(({ kind }) => kind === 'engage')!]
    expect(validate({ ...track, token: null })).toBe(false)
    expect(validate({ ...track, distinct_id_source: 'none' })).toBe(false)
    expect(validate({ ...track, flags: ['time_future', 'late'] })).toBe(false)
    expect(validate({ ...engage, distinct_id: null, distinct_id_source: 'none' })).toBe(false)
    expect(validate({ ...engage, kind: 'groups' })).toBe(false)
  })

  it('whatever the decoder accepts fits', () => {
    const value = fc.oneof(
      fc.string(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.constant('0'),
      fc.jsonValue(),
    )
    const names = [
      'time',
      'distinct_id',
      '$user_id',
      '$device_id',
      '$insert_id',
      'ip',
      'mp_lib',
      '$lib_version',
    ]
    const properties = fc.dictionary(fc.constantFrom(...names), value)
    let accepted = 0
    fc.assert(
      fc.property(properties, fc.constantFrom('', 'ip=0', 'ip=1', 'test=1'), (more, query) => {
        for (const envelope of envelopes(h.track(h.eventWith(more), query))) {
          accepted++
          expectValid(envelope)
        }
      }),
      { numRuns: 300 },
    )
    expect(accepted).toBe(300)
  })

  it('rejected records: the text, or its bytes, or neither', () => {
    const { raw: _, ...withoutText } = REJECTED
    expectValid(REJECTED)
    expectValid({ ...withoutText, raw_base64: '/w==', truncated: true })
    expectValid({ ...withoutText, problem: { ...REJECTED.problem, code: 'token_unknown', offset: -1 } })
    expect(validate({ ...REJECTED, raw_base64: '/w==' })).toBe(false)
    expectValid({ ...REJECTED, test: true })
    expect(validate({ ...REJECTED, test: 'yes' })).toBe(false)
    expect(validate({ ...REJECTED, endpoint: 'rejected' })).toBe(false)
    expect(validate({ ...REJECTED, problem: { ...REJECTED.problem, pointer: 'event' } })).toBe(false)
  })

  it.each([...PROBLEMS.values()])(
    'a record rejected with $code fits',
    ({ code, field, pointer, message }) => {
      expectValid({ ...REJECTED, problem: { code, field, pointer, offset: 0, message } })
    },
  )
})
