/**
 * bench/replay against the program as users run it: every line of an access log is in what `sluicegate tail` prints,
 * once. SLUICEGATE_REPLAY_FILE names a log of one's own (also .gz); otherwise an excerpt of 200 lines is taken.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileProgram, type Program, type Running } from '../commands/support/program.js'
import type { Envelope } from './support/server.js'

const REPLAY = fileURLToPath(new URL('../../bench/replay/replay.mjs', import.meta.url))
const EXCERPT = fileURLToPath(new URL('../vectors/access.log', import.meta.url))
const FILE = process.env['SLUICEGATE_REPLAY_FILE'] ?? EXCERPT
/** Only the excerpt's are known: a line that says that the log was rotated. */
const SKIPPED = FILE === EXCERPT ? 1 : 0
const LIMIT_MS = 300_000

interface Summary {
  readonly lines: number
  readonly skipped: number
  readonly events: number
  readonly requests: number
  readonly accepted: number
}

function linesOf(path: string): string[] {
  const bytes = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  return text.replace(/\n$/, '').split('\n')
}

/** What bench/replay promises as the $insert_id of each line, written down a second time. */
function idsOf(lines: readonly string[]): string[] {
  return lines
    .map((line, index) =>
      createHash('sha256')
        .update(`${index + 1}\n${line}`)
        .digest('hex')
        .slice(0, 32),
    )
    .filter((_, index) => lines[index] !== '(rotated)')
}

function replay(...args: string[]): Promise<{ code: number; summary: Summary }> {
  const all = [REPLAY, '--file', FILE, '--json', ...args]
  return new Promise((resolve) => {
    execFile(process.execPath, all, { timeout: LIMIT_MS }, (error, stdout) => {
      resolve({ code: error === null ? 0 : Number(error.code), summary: JSON.parse(stdout) as Summary })
    })
  })
}

describe('an access log', () => {
  const lines = linesOf(FILE)
  const dataDir = mkdtempSync(join(tmpdir(), 'sluicegate-replay-'))
  let program: Program
  let server: Running
  let url: string

  beforeAll(async () => {
    program = compileProgram()
    server = program.start('serve', '--port=0', '--ops-port=0', `--data-dir=${dataDir}`, '--drain-ms=0')
    url = (await server.printed(/events on (\S+),/))[1]!
  })
  afterAll(async () => {
    server.process.kill('SIGTERM')
    await server.ended
    program.remove()
    rmSync(dataDir, { recursive: true, force: true })
  })

  async function tail(token: string): Promise<Envelope[]> {
    const printed = program.start('tail', `--data-dir=${dataDir}`, '--token', token)
    expect(await printed.ended).toBe(0)
    return printed.out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Envelope)
  }

  it.each([
    ['form', 1],
    ['json', 50],
    ['get', 1],
  ])(
    'is in the log once after a replay as %s',
    async (mode, eventsARequest) => {
      const token = `replay-${mode}`
      const { code, summary } = await replay('--url', url, '--mode', mode, '--token', token)
      if (FILE !== EXCERPT) console.log(JSON.stringify(summary))
      const events = lines.length - SKIPPED
      expect(summary).toMatchObject({
        lines: lines.length,
        skipped: SKIPPED,
        events,
        accepted: events,
        requests: Math.ceil(events / eventsARequest),
      })
      expect(code).toBe(0)
      const queue = await tail(token)
      expect(queue.map(({ insert_id }) => insert_id).toSorted()).toEqual(idsOf(lines).toSorted())
      expect(new Set(queue.map(({ kind }) => kind))).toEqual(new Set(['track']))
    },
    LIMIT_MS,
  )

  it('is understood: address, time, page, referrer and browser of a line', async () => {
    const [line] = linesOf(EXCERPT)
    const first = (await tail('replay-form')).find(({ insert_id }) => insert_id === idsOf([line!])[0])
    if (FILE !== EXCERPT) return
    expect(first).toMatchObject({
      distinct_id: '203.0.113.1',
      time_ms: Date.parse('2015-05-17T10:05:03Z'),
      record: {
        event: 'Page Requested',
        properties: {
          page: '/presentations/logstash-monitorama-2013/images/kibana-search.png',
          method: 'GET',
          status: 200,
          bytes: 203_023,
          $referrer: 'http://www.example.org/presentations/logstash-monitorama-2013/',
          $browser: 'Chrome',
        },
      },
    })
  })

  it('sends again what was answered 503, and nothing else', async () => {
    let asked = 0
    const refusing = createServer((request, response) => {
      request.resume().on('end', () => {
        asked++
        response.writeHead(asked === 1 ? 503 : 200, { 'retry-after': '1' })
        response.end(asked === 1 ? '{"error":"unavailable, retry later","status":0}' : '1')
      })
    })
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve))
    const { port } = refusing.address() as AddressInfo
    const { code, summary } = await replay('--url', `http://127.0.0.1:${port}`, '--lines', '3')
    await new Promise((resolve) => refusing.close(resolve))
    expect({ code, asked, summary }).toMatchObject({
      code: 0,
      asked: 4,
      summary: { accepted: 3, retries: 1 },
    })
  })

  it('ends with exit code 1 when events are refused', async () => {
    const { code, summary } = await replay('--url', url, '--token', '', '--lines', '3')
    expect({ code, summary }).toMatchObject({ code: 1, summary: { lines: 3, accepted: 0, refused: 3 } })
  })
})
