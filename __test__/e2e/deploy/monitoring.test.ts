/** Prometheus and Grafana: whatever deploy/ names exists, every panel shows something, every alert fires and is quiet. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../docs/markdown.js'
import { exchange } from '../../support/http.js'
import { describeWith } from '../../support/require.js'
import { event, postJson } from '../support/events.js'
import { ROOT, type ServerProcess, startServer, waitFor, workspace } from '../support/server.js'
import { startPrometheus } from './prometheus.js'

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly uid: string }
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

interface Dashboard {
  readonly uid: string
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] }
  readonly annotations: { readonly list: readonly { readonly expr: string }[] }
}

const read = (path: string): string => readFileSync(join(ROOT, 'deploy', path), 'utf8')
const dashboard = JSON.parse(read('grafana/sluicegate.json')) as Dashboard
const alerts = read('prometheus/alerts.yml')
const alertTests = read('prometheus/alerts.test.yml')
const alertNames = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name]) => name!)
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const expressions = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))

/** Metrics of shipping come with it; they have no value without a broker. */
const OF_SHIPPING = /\bsluicegate_ship_/
const withShipping = OF_SHIPPING.test(readFileSync(join(ROOT, 'docs/METRICS.md'), 'utf8'))
const exists = (text: string): boolean => withShipping || !OF_SHIPPING.test(text)

const METRIC = /\b(?:sluicegate|process|nodejs)_[a-z0-9_]+\b/g

/** Names of metrics in a text, without the suffixes that histograms give to their series. */
function metricsIn(text: string): string[] {
  const names = [...text.matchAll(METRIC)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ''))
  return [...new Set(names)].toSorted()
}

async function send(server: ServerProcess): Promise<void> {
  const sent = [event('kept'), event('kept'), { event: 'refused', properties: {} }]
  await exchange(server.ingest, postJson('/track', sent))
  await exchange(server.ingest, postJson('/engage', { $token: 't0k', $distinct_id: 'u1', $set: { a: 1 } }))
}

describe('the dashboard and the alert rules', () => {
  it('name metrics that a server has', async () => {
    const server = await startServer({ dataDir: workspace() })
    await send(server)
    const text = await (await fetch(`${server.ops}/metrics`)).text()
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!))
    const named = metricsIn(JSON.stringify(dashboard) + alerts + alertTests).filter(exists)
    expect(named.length).toBeGreaterThan(25)
    expect(named.filter((name) => !known.has(name))).toEqual([])
  })

  it('panels have an id, a place and a description of their own, and the chosen data source', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
    const taken = new Set<string>()
    for (const { title, description, datasource, gridPos, targets } of panels) {
      expect([title, datasource?.uid, targets?.length]).toEqual([title, '${datasource}', expect.any(Number)])
      expect(description, title).toMatch(/^[A-Z\d].*\.$|^other: /)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, x < 24, taken.has(`${x},${y}`)]).toEqual([title, true, false])
          taken.add(`${x},${y}`)
        }
      }
    }
  })

  it('every alert has a test in which it fires, and a section of the guide that says what to do', () => {
    const { anchors } = readDocument('docs/guides/troubleshooting.md')
    const runbooks = [...alerts.matchAll(/runbook: (\S+)/g)].map(([, link]) => link!.split('#'))
    expect(runbooks).toHaveLength(alertNames.length)
    for (const [path, anchor] of runbooks) {
      expect(path).toBe('docs/guides/troubleshooting.md')
      expect(anchors).toContain(anchor)
    }
    const fired = [...alertTests.matchAll(/alertname: (\w+)\n +exp_alerts:\n/g)].map(([, name]) => name!)
    expect(alertNames.filter((name) => !fired.includes(name))).toEqual([])
  })
})

describeWith('prometheus', 'in a real Prometheus', () => {
  it('promtool takes rules and configuration, and every rule’s test passes', () => {
    const promtool = (...args: string[]): string => {
      return execFileSync('promtool', args, { cwd: join(ROOT, 'deploy/prometheus'), encoding: 'utf8' })
    }
    expect(promtool('check', 'config', 'prometheus.yml')).toContain(
      `SUCCESS: ${alertNames.length} rules found`,
    )
    expect(promtool('test', 'rules', 'alerts.test.yml')).toContain('SUCCESS')
  })

  it('every panel shows something of two processes that are well, and no alert is about to fire', async () => {
    const dataDir = workspace()
    const [first, second] = await Promise.all(
      ['0', '1'].map((writer) => startServer({ dataDir, args: ['--writer', writer] })),
    )
    const servers = [first!, second!]
    const prometheus = await startPrometheus(servers.map(({ ops }) => new URL(ops).host))
    const inForce = (expression: string): string =>
      expression
        .replaceAll('$job', 'sluicegate')
        .replaceAll('$instance', '.*')
        .replaceAll('$__rate_interval', '10s')
    const empty = async (): Promise<string[]> => {
      const found = await Promise.all(
        expressions.map(async ({ title, expr }) => {
          const samples = await prometheus.query(inForce(expr))
          if (OF_SHIPPING.test(expr)) return []
          return samples.length > 0 && samples.every(({ value }) => Number.isFinite(value)) ? [] : [title]
        }),
      )
      return found.flat()
    }
    await waitFor(async () => {
      await Promise.all(servers.map(send))
      return (await empty()).length === 0 ? true : undefined
    }, 30_000).catch(async () => expect(await empty()).toEqual([]))

    // What is drawn is what happened.
    const share = expressions.find(({ title }) => title === 'Rejected')!
    expect((await prometheus.query(inForce(share.expr)))[0]!.value).toBeCloseTo(0.25, 1)
    for (const { definition } of dashboard.templating.list) {
      const inner = /^label_values\((.*), (\w+)\)$/.exec(definition ?? '')
      if (inner === null) continue
      const [, metric, label] = inner
      const values = (await prometheus.query(inForce(metric!))).map(({ metric: labels }) => labels[label!])
      expect(values.filter((value) => value !== undefined && value !== '')).toHaveLength(2)
    }
    for (const { expr } of dashboard.annotations.list) await prometheus.query(inForce(expr))
    const states = await prometheus.alerts()
    expect([...states.keys()].toSorted()).toEqual(alertNames.toSorted())
    // Machines without a Rust toolchain run the reference decoder; a quarter of these records is refused on purpose.
    const expected = new Set(['SluicegateReferenceDecoder', 'SluicegateRejecting'])
    expect([...states].filter(([name, state]) => state !== 'inactive' && !expected.has(name))).toEqual([])
    await second!.kill()
    await waitFor(async () =>
      (await prometheus.alerts()).get('SluicegateDown') === 'pending' ? true : undefined,
    )
  })
})
