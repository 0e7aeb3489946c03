/**
 * Every problem code that is declared is produced over HTTP, and `explain` says the same of the same bytes, down to the
 * byte at fault; so does the rejected record that is kept (P10, docs/PROTOCOL.md 4.4).
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Config, configWith } from '../../src/config.js'
import { Content, type Problem } from '../../src/decode/decoder.js'
import { explain } from '../../src/decode/explain.js'
import { decoderOptions } from '../../src/decoder-options.js'
import type { Endpoint } from '../../src/record.js'
import { exchange } from '../support/http.js'
import { describeWith } from '../support/require.js'
import { NOW_MS, type StoredRecord, startTestGate, type TestGate } from '../support/server.js'
import { terms } from '../vectors/golden.js'
import { requestId } from '../../src/request-id.js'

interface Example {
  readonly endpoint: Endpoint
  readonly strict?: true
  /** JSON text of a payload, or of a record. */
  readonly payload?: string
  /** Value of a form's `data` instead. */
  readonly data?: string
  readonly words?: string
}

interface Declared {
  readonly code: string
  readonly scope: 'payload' | 'record'
}

const read = (path: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))
const { problems } = read('native/problems.json') as { problems: readonly Declared[] }
const { examples } = read('scripts/generate/examples.json') as { examples: Readonly<Record<string, Example>> }
const errorsDoc = readFileSync(new URL('../../docs/ERRORS.md', import.meta.url), 'utf8')

const MiB = 2 ** 20
const IMPORT_EVENT = '{"event":"Signup","properties":{"time":1700000000,"distinct_id":"u1","$insert_id":"a-1"'
const many = (count: number, of: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => of(index)).join(',')
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** What docs/ERRORS.md describes in words because it is too long, or no text, to be printed. */
const IN_WORDS: Readonly<Record<string, string | Buffer>> = {
  gzip_invalid: 'not gzip',
  too_many_records: `[${many(2001, () => '{}')}]`,
  output_too_large: `[${many(2000, () => `{"event":"x","properties":{"token":"t0k","s":"${'x'.repeat(400)}"}}`)}]`,
  record_too_large: `{"event":"big","properties":{"token":"t0k","s":"${'x'.repeat(1_048_576)}"}}`,
  record_too_deep: `{"event":"deep","properties":{"token":"t0k","l":${'['.repeat(65)}${']'.repeat(65)}}}`,
  import_utf8_invalid: latin1(`${IMPORT_EVENT},"city":"Orl\xe9ans"}}`),
  import_record_utf8_invalid: latin1(IMPORT_EVENT.replace('Signup', 'Caf\xe9') + '}}'),
  import_too_many_keys: `${IMPORT_EVENT},${many(253, (index) => `"k${index}":1`)}}}`,
  import_nested_too_many_keys: `${IMPORT_EVENT},"o":{${many(256, (index) => `"k${index}":1`)}}}}`,
  import_list_too_long: `${IMPORT_EVENT},"l":[${many(256, () => '1')}]}}`,
}

/** A good record of each endpoint, to stand in front of the bad one. */
const GOOD: Readonly<Record<Endpoint, string>> = {
  track: terms.texts['EV']!,
  engage: terms.texts['EN']!,
  groups: terms.texts['GR']!,
  import: terms.texts['IM']!,
}

type GateName = 'open' | 'tokens' | 'small'

const CONFIGS: Readonly<Record<GateName, Partial<Config>>> = {
  open: {},
  tokens: {
    auth: 'tokens',
    tokensFile: 'tokens.json',
    tokens: [{ token: 't0k', projectId: null, apiKeys: [], secrets: [], serviceAccounts: [] }],
  },
  /** Records are larger than the events in them: a body that fits makes more than a batch may hold. */
  small: { bodyLimitBytes: MiB, batchBytesMax: MiB, logSegmentBytes: MiB },
}

const GATES: Readonly<Record<string, GateName>> = { token_unknown: 'tokens', output_too_large: 'small' }
const gateOf = (code: string): GateName => GATES[code] ?? 'open'

interface Case {
  readonly code: string
  readonly endpoint: Endpoint
  readonly strict: boolean
  readonly content: 'form' | 'json'
  readonly body: Buffer
}

/** A record stands behind a good one, so that index and offset say something. */
function caseOf({ code, scope }: Declared): Case {
  const { endpoint, strict = false, payload, data } = examples[code]!
  const about = { code, endpoint, strict }
  if (data !== undefined) {
    return { ...about, content: 'form', body: Buffer.from(`data=${encodeURIComponent(data)}`) }
  }
  const text = Buffer.from(payload ?? IN_WORDS[code]!)
  if (scope === 'payload') return { ...about, content: 'json', body: text }
  const record = text.toString().startsWith('[') ? text.subarray(1, -1) : text
  const body = Buffer.concat([Buffer.from(`[${GOOD[endpoint]}, `), record, Buffer.from(']')])
  return { ...about, content: 'json', body }
}

const MEDIA_TYPES = { form: 'application/x-www-form-urlencoded', json: 'application/json' }
const queryOf = ({ strict }: Case): string => `verbose=2${strict ? '&strict=1' : ''}`

async function post(gate: TestGate, one: Case): Promise<Record<string, unknown>> {
  const headers = {
    'Content-Type': MEDIA_TYPES[one.content],
    'User-Agent': one.code,
    ...(one.endpoint === 'import' && { Authorization: 'Basic dDBrOg==' }),
    ...(one.code === 'gzip_invalid' && { 'Content-Encoding': 'gzip' }),
  }
  const target = `/${one.endpoint}?${queryOf(one)}`
  const { body } = await exchange(gate.ingest, { method: 'POST', target, headers, body: one.body })
  return JSON.parse(body.toString()) as Record<string, unknown>
}

interface Explained {
  readonly payload: Uint8Array
  readonly problem: Problem
}

function explained(one: Case): Explained {
  const request = {
    endpoint: one.endpoint,
    content: Content[one.content],
    body: one.body,
    query: queryOf(one),
  }
  const context = {
    receivedMs: NOW_MS,
    requestId: requestId('R1'),
    peer: { ipJson: 'null', uaJson: 'null' },
    authToken: one.endpoint === 'import' ? 't0k' : '',
    projectId: null,
    replayed: false,
  }
  const { payload, problem, records } = explain(
    request,
    context,
    decoderOptions(configWith(CONFIGS[gateOf(one.code)])),
  )
  const found = problem ?? records.find((record) => record.problem !== undefined)?.problem
  if (found === undefined) throw new Error(`explain finds nothing wrong with ${one.code}`)
  return { payload, problem: found }
}

/** What stands at the offset is what the problem says it got. */
function checkByte({ payload, problem }: Explained): void {
  const { offset, got } = problem
  if (offset < 0 || got === '') return
  const there = Buffer.from(payload.subarray(offset)).toString()
  expect(there.startsWith(got.replace(/…$/, ''))).toBe(true)
}

function suite(decoder: 'native' | 'reference'): void {
  const gates = new Map<GateName, TestGate>()
  const replies = new Map<string, Record<string, unknown>>()
  const kept = new Map<string, StoredRecord[]>()

  beforeAll(async () => {
    for (const name of ['open', 'tokens', 'small'] as const) {
      gates.set(name, await startTestGate({ ...CONFIGS[name], decoder }))
    }
    for (const declared of problems) {
      replies.set(declared.code, await post(gates.get(gateOf(declared.code))!, caseOf(declared)))
    }
    for (const gate of gates.values()) {
      await gate.stop()
      for (const record of await gate.read('rejects')) {
        const { ua } = JSON.parse(record.value) as { ua: string }
        kept.set(ua, [...(kept.get(ua) ?? []), record])
      }
    }
  })
  afterAll(async () => {
    for (const gate of gates.values()) await gate.remove()
  })

  it.each(problems.map((declared) => [declared.code, declared] as const))('%s', (code, declared) => {
    const one = caseOf(declared)
    const reply = replies.get(code)!
    if (code === 'gzip_invalid') {
      // explain gets bodies that are inflated already: there is nothing that it could say.
      expect(reply).toMatchObject({ status: 0, problems: [{ code, index: 0, offset: -1 }] })
      return
    }
    const about = explained(one)
    const { field, pointer, offset, message, index, got, hint, insertId } = about.problem
    expect(about.problem.code).toBe(code)
    checkByte(about)
    if (one.strict) {
      const record = { index, insert_id: insertId ?? '', field, message }
      expect(reply).toMatchObject({ code: 400, failed_records: [record], num_records_imported: 1 })
    } else {
      const docs = `docs/ERRORS.md#${code}`
      expect(reply['problems']).toEqual([{ code, index, field, pointer, offset, message, got, hint, docs }])
      expect(errorsDoc).toContain(`\n### ${code}\n`)
    }
    const [stored, ...more] = kept.get(code)!
    const problem = { code, field, pointer, offset, message }
    expect(JSON.parse(stored!.value)).toMatchObject({ kind: 'rejected', index, problem })
    expect(more).toEqual([])
  })

  it('each code has a case of its own', () => {
    expect(new Set(replies.keys())).toEqual(new Set(Object.keys(examples)))
  })
}

describe('problem codes over HTTP, reference decoder', () => suite('reference'))
describeWith('native', 'problem codes over HTTP, native decoder', () => suite('native'))
