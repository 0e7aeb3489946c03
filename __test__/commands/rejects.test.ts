import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configWith } from '../../src/config.js'
import { type Gate, startGate } from '../../src/gate.js'
import { createLogger } from '../../src/logger.js'
import { run } from './support/run.js'

const GOOD = '{"event":"Mended","properties":{"token":"t0k","distinct_id":"d"}}'

let scratch: string
let dataDir: string
let gate: Gate

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'sluicegate-rejects-'))
  dataDir = join(scratch, 'data')
  await startServer()
  for (let n = 0; n < 6; n++)
    await send(`{"properties":{"token":"t0k","n":${n}}}`, n % 3 === 0 ? '?test=1' : '')
  await send('{"event":')
  await send('{"event":"A","properties":{}}')
  await send(`[${'9'.repeat(70_000)}]`)
  await settled(9)
})
afterAll(async () => {
  await gate.stop()
  rmSync(scratch, { recursive: true })
})

async function startServer(): Promise<void> {
  const config = configWith({
    dataDir,
    port: 0,
    opsPort: 0,
    decoder: 'reference',
    drainMs: 0,
    logMaxBytes: 2 ** 28,
  })
  gate = await startGate(config, { logger: createLogger({ logLevel: 'silent', logFormat: 'json' }) })
}

async function send(body: string, query = ''): Promise<string> {
  const answer = await fetch(`${gate.ingestAddress}/track${query}`, { method: 'POST', body })
  return answer.text()
}

/** Rejected records are synced at most once a second, and seen by others only then. */
async function settled(count: number): Promise<void> {
  for (;;) {
    const { out } = await rejects('list', '--json')
    if (out.split('\n').length > count) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const rejects = (...args: string[]) => run('rejects', ...args, '--data-dir', dataDir)

function file(text: string | Uint8Array): string {
  const path = join(mkdtempSync(join(scratch, 'file-')), 'mended')
  writeFileSync(path, text)
  return path
}

async function lines(...args: string[]): Promise<Record<string, unknown>[]> {
  const { out } = await rejects('list', '--json', ...args)
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Envelopes of what was replayed so far. */
async function replayed(): Promise<Record<string, unknown>[]> {
  const { out } = await run('tail', '--data-dir', dataDir)
  const all = out.split('\n').filter(Boolean)
  return all
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ flags }) => (flags as string[]).includes('replayed'))
}

describe('rejects list', () => {
  it('shows a table, newest last', async () => {
    const { out, code } = await rejects('list')
    const rows = out.trimEnd().split('\n')
    expect(code).toBe(0)
    expect(rows[0]).toMatch(/^offset +time +endpoint +code +message +bytes +replayed$/)
    expect(rows[1]).toMatch(/^ +0 +20\d\d-.*Z +track +event_missing +event, missing +36$/)
    expect(rows[7]).toMatch(/^ +6 .*json_invalid/)
    expect(rows[9]).toMatch(/^ +8 .* 65536\+$/)
  })

  it('of some codes, and the newest alone', async () => {
    expect((await lines('--code', 'json_invalid')).map(({ offset }) => offset)).toEqual([6])
    expect((await lines('--code', 'event_missing', '--limit', '2')).map(({ offset }) => offset)).toEqual([
      4, 5,
    ])
    expect((await lines('--limit', '4')).map(({ offset }) => offset)).toEqual([5, 6, 7, 8])
    const { out, err } = await rejects('list', '--limit', '1')
    expect(out.split('\n').length).toBe(3)
    expect(err).toBe('8 older ones are not shown (--limit)\n')
    expect((await rejects('list', '--limit', '0')).out).toBe('')
  })

  it('as JSON: the records as they are kept, offset first', async () => {
    const [first] = await lines()
    expect(Object.keys(first!)[0]).toBe('offset')
    expect(first).toMatchObject({
      offset: 0,
      v: 1,
      kind: 'rejected',
      problem: { code: 'event_missing', pointer: '/event' },
    })
  })

  it('says when there are none', async () => {
    expect(await rejects('list', '--code', 'kafka_refused')).toMatchObject({
      out: '',
      code: 0,
      err: expect.stringContaining('no such') as string,
    })
  })
})

describe('rejects show', () => {
  it('prints the raw text alone, to mend in an editor', async () => {
    const { out, err, code } = await rejects('show', '2')
    expect([out, code]).toEqual(['{"properties":{"token":"t0k","n":2}}', 0])
    expect(err).toBe('track, event_missing: event, missing\n')
  })

  it('says when only the start was kept, and which offsets there are', async () => {
    expect((await rejects('show', '8')).err).toContain('only its start was kept')
    const none = await rejects('show', '9')
    expect(none).toMatchObject({ code: 2, out: '' })
    expect(none.err).toContain('there is no rejected record with offset 9; there are 0 to 8')
  })
})

describe('rejects replay (promise P10)', () => {
  it('takes lines whose raw was mended, keeps their receipt, and never twice', async () => {
    const [line] = await lines('--code', 'event_missing')
    const path = file(`${JSON.stringify({ ...line, raw: GOOD })}\n\n`)
    const done = await rejects('replay', path)
    expect(done).toEqual({ out: '0\taccepted\n', err: '1 accepted\n', code: 0 })
    const [envelope] = await replayed()
    expect(envelope).toMatchObject({
      received_ms: line!['received_ms'],
      token: 't0k',
      flags: ['test', 'replayed'],
      record: JSON.parse(GOOD) as object,
    })
    const again = await rejects('replay', path)
    expect(again).toMatchObject({ out: '0\talready replayed; --force sends it again\n', code: 0 })
    expect((await replayed()).length).toBe(1)
    expect((await rejects('replay', path, '--force')).out).toBe('0\taccepted\n')
    expect((await replayed()).length).toBe(2)
    expect((await rejects('list')).out.split('\n')[1]).toMatch(/ yes$/)
  })

  it('knows a line of tail, which has no offset, by its request', async () => {
    const { out } = await run('tail', '--kind', 'rejected', '--data-dir', dataDir)
    const line = JSON.parse(out.split('\n')[1]!) as object
    const path = file(JSON.stringify({ ...line, raw: GOOD }))
    expect((await rejects('replay', path)).out).toBe('1\taccepted\n')
    expect((await rejects('replay', path)).out).toContain('already replayed')
    expect((await replayed()).at(-1)).toMatchObject({ flags: ['replayed'] })
  })

  it('two replays of one record at once: one comes through', async () => {
    const [, , line] = await lines('--code', 'event_missing')
    const body = JSON.stringify({ records: [{ ...line, raw: GOOD }] })
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    const both = await Promise.all([1, 2, 3].map(() => fetch(`${gate.opsAddress}/rejects/replay`, init)))
    const outcomes = await Promise.all(
      both.map(async (one) => ((await one.json()) as { results: { outcome: string }[] }).results[0]!.outcome),
    )
    expect(outcomes.filter((outcome) => outcome === 'accepted').length).toBe(1)
    expect(outcomes.filter((outcome) => ['running', 'already_replayed'].includes(outcome)).length).toBe(2)
  })

  it('takes a raw text for a record by its offset', async () => {
    const path = file(GOOD)
    const before = (await lines())[3]!
    expect((await rejects('replay', path, '--offset', '3')).out).toBe('3\taccepted\n')
    expect((await replayed()).at(-1)).toMatchObject({
      received_ms: before['received_ms'],
      ua: before['ua'],
      flags: ['test', 'replayed'],
    })
    expect((await rejects('replay', path, '--offset', '3')).out).toContain('already replayed')
    expect((await rejects('replay', path, '--offset', '99')).code).toBe(2)
  })

  it('takes a raw text that was never here, by its endpoint', async () => {
    const imported = file('{"event":"I","properties":{"distinct_id":"d","time":1795000000}}')
    const done = await rejects('replay', imported, '--endpoint', 'import', '--token', 'imp')
    expect(done).toMatchObject({ out: '-\taccepted\n', code: 0 })
    expect((await replayed()).at(-1)).toMatchObject({ kind: 'import', token: 'imp' })
    expect((await rejects('replay', imported, '--endpoint', 'export')).code).toBe(2)
  })

  it('shows what is refused again, which is exit code 1, and may be tried again', async () => {
    const [line] = await lines('--code', 'token_missing')
    const refused = await rejects('replay', file(JSON.stringify(line)))
    expect(refused.code).toBe(1)
    expect(refused.out).toMatch(/^7\trejected again: .*\(token_missing, byte \d+\)\n$/)
    expect((await lines()).length).toBe(9)
    expect((await rejects('replay', file(JSON.stringify({ ...line, raw: GOOD })))).out).toBe('7\taccepted\n')
  })

  it('--code sends all of a code that were not replayed yet, as they are', async () => {
    const all = await rejects('replay', '--code', 'event_missing,json_invalid')
    expect(all.code).toBe(1)
    expect(
      all.out
        .split('\n')
        .filter(Boolean)
        .map((row) => row.split('\t')[0]),
    ).toEqual(['4', '5', '6'])
    expect(all.err).toBe('3 rejected\n')
    expect(await rejects('replay', '--code', 'token_missing')).toEqual({
      out: '',
      err: 'nothing to send\n',
      code: 0,
    })
  })

  it('does not send what was not kept whole', async () => {
    const [line] = await lines('--limit', '1')
    const cut = await rejects('replay', file(JSON.stringify(line)))
    expect(cut).toMatchObject({
      code: 1,
      out: expect.stringContaining('8\tskipped: only its start was kept') as string,
    })
    const { truncated: _truncated, ...rest } = line!
    expect((await rejects('replay', file(JSON.stringify({ ...rest, raw: GOOD })))).out).toBe('8\taccepted\n')
    const [other] = await lines()
    const gone = await rejects('replay', file(JSON.stringify({ ...other, raw: '' })))
    expect(gone.out).toContain('its text was not kept')
  })

  it('does not send what is not from this log of rejects, unless forced', async () => {
    const [line] = await lines()
    const path = file(JSON.stringify({ ...line, request_id: 'another', raw: GOOD }))
    const foreign = await rejects('replay', path)
    expect(foreign).toMatchObject({
      code: 1,
      out: expect.stringContaining('it is not in the log of rejects') as string,
    })
    expect((await rejects('replay', path, '--force')).out).toBe('-\taccepted\n')
  })

  it('--json prints what became of each', async () => {
    const [line] = await lines('--code', 'json_invalid')
    const { out } = await rejects('replay', file(JSON.stringify(line)), '--json')
    expect(JSON.parse(out)).toMatchObject({
      offset: 6,
      outcome: 'rejected',
      problems: [{ code: 'json_invalid' }],
    })
  })

  it('--ops names the server', async () => {
    const [line] = await lines('--code', 'json_invalid')
    const path = file(JSON.stringify({ ...line, raw: GOOD }))
    const nobody = await rejects('replay', path, '--ops', 'http://127.0.0.1:49151')
    expect(nobody).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be reached (ECONNREFUSED)') as string,
    })
    expect((await rejects('replay', path, '--ops', gate.opsAddress)).out).toBe('6\taccepted\n')
  })

  it('many records go in several requests', async () => {
    const first = Number((await lines()).at(-1)!['offset']) + 1
    const bad = Array.from({ length: 450 }, (_, n) => `{"properties":{"token":"t0k","n":${n}}}`)
    await send(`[${bad.join(',')}]`)
    await settled(first + 450)
    const fresh = (await lines()).filter(({ offset }) => (offset as number) >= first)
    const path = file(fresh.map((line) => JSON.stringify({ ...line, raw: GOOD })).join('\n'))
    const { out, err, code } = await rejects('replay', path)
    expect([err, code]).toEqual(['450 accepted\n', 0])
    expect(out.split('\n').filter(Boolean).length).toBe(450)
  })

  it.each([
    ['no JSON', '{"kind":'],
    ['something else', '{"kind":"track"}'],
    ['null', 'null'],
    ['an unknown endpoint', '{"kind":"rejected","endpoint":"export","raw":"{}"}'],
  ])('a file with %s is told, with its line', async (_what, text) => {
    const { err, code } = await rejects('replay', file(`\n${text}\n`))
    expect(code).toBe(2)
    expect(err).toMatch(/mended:2: is not/)
  })

  it('a file that is not there', async () => {
    for (const more of [[], ['--endpoint', 'track']]) {
      const { err, code } = await rejects('replay', join(scratch, 'nowhere'), ...more)
      expect([code, err]).toEqual([2, expect.stringContaining('nowhere: cannot be read (ENOENT)')])
    }
  })

  it('knows after a restart what was replayed, and says when no server runs', async () => {
    const [line] = await lines()
    const path = file(JSON.stringify({ ...line, raw: GOOD }))
    await gate.stop()
    const stopped = await rejects('replay', path)
    expect(stopped).toMatchObject({ code: 1, err: expect.stringContaining('no server runs on') as string })
    await startServer()
    expect((await rejects('replay', path)).out).toContain('already replayed')
  })
})
