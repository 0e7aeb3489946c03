/** A real Prometheus with the configuration and the alert rules of deploy/prometheus. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launch, ROOT, waitFor, workspace } from '../support/server.js'
import { freePort } from './nginx.js'

const DIRECTORY = join(ROOT, 'deploy/prometheus')

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

export interface Prometheus {
  /** Evaluates an expression now. */
  query(expression: string): Promise<Sample[]>
  /** Names of alerts, with `inactive`, `pending` or `firing`. */
  alerts(): Promise<ReadonlyMap<string, string>>
}

/** @param targets `127.0.0.1:9020`: what is scraped, once a second, in place of what the file names */
export async function startPrometheus(targets: readonly string[]): Promise<Prometheus> {
  const directory = workspace()
  const text = readFileSync(join(DIRECTORY, 'prometheus.yml'), 'utf8')
    .replace(/targets: .*/, `targets: [${targets.map((target) => `'${target}'`).join(', ')}]`)
    .replaceAll(/(scrape|evaluation)_interval: 15s/g, '$1_interval: 1s')
  writeFileSync(join(directory, 'prometheus.yml'), text)
  cpSync(join(DIRECTORY, 'alerts.yml'), join(directory, 'alerts.yml'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/api/v1`
  const started = launch([
    'prometheus',
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=warn',
  ])
  const get = async (path: string): Promise<unknown> => {
    const reply = await fetch(`${url}${path}`)
    const { data, error } = (await reply.json()) as { data?: unknown; error?: string }
    if (error !== undefined) throw new Error(`${path}: ${error}`)
    return data
  }
  await waitFor(async () => {
    if (started.exit !== undefined) throw new Error(`prometheus ended: ${started.stderr}`)
    return get('/query?query=1').catch(() => undefined)
  }, 30_000)
  return {
    query: async (expression) => {
      const { result } = (await get(`/query?query=${encodeURIComponent(expression)}`)) as {
        result: { metric: Record<string, string>; value: [number, string] }[]
      }
      return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
    },
    alerts: async () => {
      const { groups } = (await get('/rules')) as { groups: { rules: { name: string; state: string }[] }[] }
      return new Map(groups.flatMap(({ rules }) => rules.map(({ name, state }) => [name, state] as const)))
    },
  }
}
