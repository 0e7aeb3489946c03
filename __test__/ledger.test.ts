import { type Arbitrary, array, assert, asyncProperty, constantFrom, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Outcome, Row, TOKEN_NONE, TOKEN_SHARED } from '../src/decode/decoder.js'
import { type Counts, Ledger } from '../src/ledger.js'
import { type Endpoint, ENDPOINTS, KINDS } from '../src/record.js'
import { createReferenceDecoder } from '../src/decode/reference/decoder.js'
import { OPTIONS, decode, track } from './decode/harness.js'
import { createParts, eventOf, ingest, settle } from './support/intake.js'

const NOTHING: Counts = { received: 0, accepted: 0, rejected: 0, ignored: 0 }

/** A record for each outcome and endpoint, by token. */
function recordOf(endpoint: Endpoint, outcome: 'accepted' | 'rejected' | 'ignored', token: string): unknown {
  const broken = outcome === 'rejected'
  if (endpoint === 'engage') return { $token: token, $distinct_id: broken ? '' : 'u', $delete: '' }
  if (endpoint === 'groups') {
    return { $token: token, $group_key: 'k', $group_id: broken ? '' : 'g', $delete: '' }
  }
  const event = broken ? '$create_alias' : 'e'
  return { event, properties: { token, ...(outcome === 'ignored' && { $ignore: true }) } }
}

/** What a request of this test is made of; what each record must count as is known before it is sent. */
const requests = array(
  record({
    endpoint: constantFrom(...ENDPOINTS),
    fate: constantFrom('kept', 'kept', 'lost', 'broken', 'refused'),
    records: array(
      record({
        outcome: constantFrom(
          'accepted' as const,
          'accepted' as const,
          'rejected' as const,
          'ignored' as const,
        ),
        token: constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      }),
      { minLength: 1, maxLength: 8 },
    ),
  }),
  { maxLength: 12 },
)

type Model = Map<string, { -readonly [name in keyof Counts]: number }>
type Run = typeof requests extends Arbitrary<infer T> ? T : never

function count(model: Model, name: string, outcome: 'accepted' | 'rejected' | 'ignored'): void {
  const counts = model.get(name) ?? { ...NOTHING }
  counts.received++
  counts[outcome]++
  model.set(name, counts)
}

const TOKENS_MAX = 4

/** Sends them all and counts along, from what was sent and not from what the decoder says. */
async function run(all: Run): Promise<void> {
  const parts = createParts(1 << 20, { tokensMax: TOKENS_MAX })
  const model: Model = new Map()
  let [unavailable, receipts] = [0, NOTHING]
  for (const { endpoint, fate, records } of all) {
    const body =
      fate === 'broken' ? '{"broken' : records.map((one) => recordOf(endpoint, one.outcome, one.token))
    const request = ingest(body, '', endpoint)
    const counted = (name: string, outcome: 'accepted' | 'rejected' | 'ignored'): void => {
      count(model, 'all', outcome)
      count(model, endpoint, outcome)
      count(model, `token ${name}`, outcome)
    }
    if (fate === 'refused') {
      const problem = { id: 5, code: 'gzip_invalid', index: 0, field: '', pointer: '', offset: -1 }
      parts.intake.refuse(request, { ...problem, message: '', hint: '', got: '', insertId: undefined }, 0)
      counted('', 'rejected')
      receipts = { ...receipts, received: receipts.received + 1, rejected: receipts.rejected + 1 }
      continue
    }
    const taken = parts.intake.take(request)
    const outcomes = records.map((one) =>
      isEvent(endpoint) || one.outcome !== 'ignored' ? one.outcome : 'accepted',
    )
    const waits = fate !== 'broken' && outcomes.includes('accepted')
    if (fate === 'lost' && waits) {
      parts.log.fail()
      await expect(taken).rejects.toThrow()
      parts.log.state = 'writable'
      unavailable += records.length
      continue
    }
    parts.log.sync()
    const { received, accepted, rejected, ignored } = await taken
    receipts = {
      received: receipts.received + received,
      accepted: receipts.accepted + accepted,
      rejected: receipts.rejected + rejected,
      ignored: receipts.ignored + ignored,
    }
    if (fate === 'broken') counted('', 'rejected')
    else for (const [index, one] of records.entries()) counted(one.token, outcomes[index]!)
  }
  checkLedger(parts.ledger, model, (token) => parts.decoder.tokens.find(token))
  expect(parts.ledger.unavailable).toBe(unavailable)
  expect(receipts).toEqual(parts.ledger.all)
}

const isEvent = (endpoint: Endpoint): boolean => endpoint === 'track' || endpoint === 'import'

const add = (left: Counts, right: Counts): Counts => ({
  received: left.received + right.received,
  accepted: left.accepted + right.accepted,
  rejected: left.rejected + right.rejected,
  ignored: left.ignored + right.ignored,
})

function checkLedger(ledger: Ledger, model: Model, idOf: (token: string) => number | undefined): void {
  expect(ledger.all).toEqual(model.get('all') ?? NOTHING)
  for (const endpoint of ENDPOINTS) expect(ledger.totalsOf(endpoint)).toEqual(model.get(endpoint) ?? NOTHING)
  let [shared, sum] = [NOTHING, NOTHING]
  for (const [name, counts] of model) {
    if (!name.startsWith('token ')) continue
    const token = name.slice('token '.length)
    const id = token === '' ? TOKEN_NONE : idOf(token)
    if (id === undefined) shared = add(shared, counts)
    else expect(ledger.ofToken(id)).toEqual(counts)
  }
  expect(ledger.ofToken(TOKEN_SHARED)).toEqual(shared)
  for (const id of ledger.tokens()) sum = add(sum, ledger.ofToken(id))
  expect(sum).toEqual(ledger.all)
  const { received, accepted, rejected, ignored } = ledger.all
  expect(received).toBe(accepted + rejected + ignored)
}

describe('P4: received = accepted + rejected + ignored', () => {
  it('exactly, in total, per kind and per token, against a count of what was sent', async () => {
    await assert(asyncProperty(requests, run), { numRuns: 300 })
  })
  it('holds while requests are under way', async () => {
    const parts = createParts()
    void parts.intake.take(ingest([eventOf('a'), 7]))
    void parts.intake.take(ingest([eventOf('b')]))
    await parts.intake.take(ingest('[7, 8]'))
    expect(parts.ledger.all).toEqual({ received: 2, accepted: 0, rejected: 2, ignored: 0 })
    parts.log.sync()
    await settle()
    expect(parts.ledger.all).toEqual({ received: 5, accepted: 2, rejected: 3, ignored: 0 })
  })
  it('a number that the decoder counted wrongly shows', () => {
    const ledger = new Ledger()
    ledger.enter({ kind: 0, received: 3, runs: [2, Outcome.accepted, 2] })
    const { received, accepted, rejected, ignored } = ledger.all
    expect([received, accepted + rejected + ignored]).toEqual([3, 2])
    expect(ledger.totalsOf('track').received).toBe(3)
  })
})

describe('the table', () => {
  it('merges runs of equal records, and only those', () => {
    const { batch } = decode(
      createReferenceDecoder(OPTIONS),
      track([eventOf('e', 'a'), eventOf('e', 'a'), 7, 8, eventOf('e', 'a'), eventOf('e', 'b')]),
    )
    expect(new Ledger().entryOf(batch)).toEqual({
      kind: KINDS.indexOf('track'),
      received: 6,
      runs: [
        [2, 0, 2],
        [TOKEN_NONE, 1, 2],
        [2, 0, 1],
        [3, 0, 1],
      ].flat(),
    })
    expect(batch.row(2, Row.tokenId)).toBe(TOKEN_NONE)
  })
  it('grows with the tokens seen and forgets nothing', () => {
    const ledger = new Ledger()
    for (let id = 0; id < 200; id++) expect(ledger.ofToken(id)).toEqual(NOTHING)
    const ids = [2, 63, 64, 65, 127, 128, 5000, 65_537]
    for (const [index, id] of ids.entries()) {
      ledger.enter({ kind: index % 4, received: index + 1, runs: [id, Outcome.ignored, index + 1] })
    }
    expect([...ledger.tokens()]).toEqual(ids)
    for (const [index, id] of ids.entries()) {
      expect(ledger.ofToken(id)).toEqual({ ...NOTHING, received: index + 1, ignored: index + 1 })
    }
    expect(ledger.ofToken(66)).toEqual(NOTHING)
    expect(ledger.ofToken(1_000_000)).toEqual(NOTHING)
    expect(ledger.all).toEqual({ ...NOTHING, received: 36, ignored: 36 })
  })
  it('sums a token over all kinds', () => {
    const ledger = new Ledger()
    for (const kind of [0, 1, 2, 3]) ledger.enter({ kind, received: 3, runs: [7, 0, 1, 7, 1, 1, 7, 2, 1] })
    expect(ledger.ofToken(7)).toEqual({ received: 12, accepted: 4, rejected: 4, ignored: 4 })
    expect(ledger.totalsOf('groups')).toEqual({ received: 3, accepted: 1, rejected: 1, ignored: 1 })
  })
  it('counts a body that was refused', () => {
    const ledger = new Ledger()
    ledger.enterRefused('groups')
    expect(ledger.totalsOf('groups')).toEqual({ ...NOTHING, received: 1, rejected: 1 })
    expect(ledger.ofToken(TOKEN_NONE)).toEqual({ ...NOTHING, received: 1, rejected: 1 })
  })
})
