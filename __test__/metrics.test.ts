import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createMetrics, DECLARATIONS } from '../src/metrics.js'
import { logStatus, statusParts } from './support/status-parts.js'

/** Every sample of the text by name and labels. */
async function scrape(parts = statusParts()): Promise<ReadonlyMap<string, number>> {
  const text = await createMetrics(parts).text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}

describe('GET /metrics', () => {
  it('counts records by kind and outcome, as the ledger does (promise P4)', async () => {
    const samples = await scrape()
    expect(samples.get('sluicegate_records_total{kind="track",outcome="accepted"}')).toBe(5)
    expect(samples.get('sluicegate_records_total{kind="track",outcome="rejected"}')).toBe(2)
    expect(samples.get('sluicegate_records_total{kind="import",outcome="ignored"}')).toBe(1)
    expect(samples.get('sluicegate_records_total{kind="groups",outcome="accepted"}')).toBe(0)
    const all = [...samples].filter(([name]) => name.startsWith('sluicegate_records_total'))
    expect(all.reduce((sum, [, value]) => sum + value, 0)).toBe(statusParts().ledger.all.received)
    expect(samples.get('sluicegate_records_unavailable_total')).toBe(9)
  })

  it('shows requests, connections, memory and what waits', async () => {
    const samples = await scrape()
    expect(samples.get('sluicegate_http_requests_total{endpoint="track",status="503"}')).toBe(41)
    const plain = {
      sluicegate_http_connections: 42,
      sluicegate_http_connections_max: 77,
      sluicegate_http_connections_refused_total: 43,
      sluicegate_requests_waiting: 33,
      sluicegate_memory_inflight_bytes: 1024,
      sluicegate_memory_inflight_bytes_max: 4096,
      sluicegate_memory_refusals_total: 34,
      sluicegate_rejects_kept_total: 31,
      sluicegate_rejects_dropped_total: 32,
      sluicegate_decoder_panics_total: 21,
      'sluicegate_decoder_info{decoder="native"}': 1,
      'sluicegate_build_info{version="1.2.3"}': 1,
    }
    expect(Object.fromEntries(Object.keys(plain).map((name) => [name, samples.get(name)]))).toEqual(plain)
  })

  it('shows both logs', async () => {
    const samples = await scrape()
    const of = (name: string, log = 'events') => samples.get(`sluicegate_log_${name}{log="${log}"}`)
    expect([of('bytes'), of('bytes', 'rejects')]).toEqual([64_000, 32_000])
    const numbers = ['first_offset', 'next_offset', 'durable_offset', 'bytes_max', 'segments', 'epoch']
    expect(numbers.map((name) => of(name))).toEqual([100, 260, 250, 256_000, 2, 3])
    const totals = ['written_bytes', 'batches', 'records', 'failovers', 'dropped_records', 'torn_bytes']
    expect(totals.map((name) => of(`${name}_total`))).toEqual([7000, 14, 150, 15, 16, 11])
    const damage = ['quarantined_batches_total', 'quarantined_bytes_total', 'new_ids_total']
    expect(damage.map((name) => of(name))).toEqual([12, 13, 17])
    expect(samples.get('sluicegate_log_state{log="events",state="writable"}')).toBe(1)
    expect(samples.get('sluicegate_log_state{log="rejects",state="full"}')).toBe(1)
    expect(samples.get('sluicegate_log_state{log="rejects",state="writable"}')).toBe(0)
  })

  it('has a histogram of durations in seconds, cumulative', async () => {
    const samples = await scrape()
    const name = 'sluicegate_http_request_duration_seconds'
    const buckets = ['0.001', '0.01', '+Inf'].map((le) => samples.get(`${name}_bucket{le="${le}"}`))
    expect(buckets).toEqual([5, 8, 10])
    expect([samples.get(`${name}_sum`), samples.get(`${name}_count`)]).toEqual([1.5, 10])
  })

  it('reads everything anew at each scrape, and counts nothing twice', async () => {
    let segments = 2
    const metrics = createMetrics(statusParts({ log: { status: () => logStatus({ segments }) } }))
    const first = await metrics.text()
    segments = 3
    const second = await metrics.text()
    expect(first).toContain('sluicegate_log_segments{log="events"} 2\n')
    expect(second).toContain('sluicegate_log_segments{log="events"} 3\n')
    const counter = 'sluicegate_http_requests_total{endpoint="track",status="200"} 40\n'
    expect([first.includes(counter), second.includes(counter)]).toEqual([true, true])
  })

  it('has the process and the delay of the event loop', async () => {
    const names = [...(await scrape()).keys()]
    expect(names).toContain('process_cpu_seconds_total')
    expect(names).toContain('nodejs_eventloop_lag_p99_seconds')
  })

  it('two servers in one process have registries of their own', async () => {
    const [one, other] = [createMetrics(statusParts()), createMetrics(statusParts({ version: '9' }))]
    expect(await one.text()).toContain('sluicegate_build_info{version="1.2.3"} 1')
    expect(await other.text()).toContain('sluicegate_build_info{version="9"} 1')
  })
})

describe('names', () => {
  it('follow the conventions of Prometheus: our prefix, base units, _total for counters alone', () => {
    for (const { name, type } of DECLARATIONS) {
      expect(name).toMatch(/^sluicegate_[a-z_]+$/)
      expect(name).not.toMatch(/_(ms|kb|mib|percent)(_|$)/)
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
    }
  })

  it('no label holds a token, which is a credential', async () => {
    const labels = new Set(DECLARATIONS.flatMap((one) => one.labels))
    expect([...labels].toSorted()).toEqual([
      'decoder',
      'endpoint',
      'kind',
      'log',
      'outcome',
      'state',
      'status',
      'version',
    ])
  })

  it('are all in docs/METRICS.md', () => {
    const doc = readFileSync(new URL('../docs/METRICS.md', import.meta.url), 'utf8')
    const missing = DECLARATIONS.filter(({ name }) => !doc.includes(`| \`${name}\` |`))
    expect(missing).toEqual([])
  })
})
