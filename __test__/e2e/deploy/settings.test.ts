/** What deploy/ and the guides set is a setting, with a value that the program takes; times fit into each other. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { envName, KEYS, settingOf } from '../../../src/config/schema.js'
import { filesOf } from '../../docs/markdown.js'
import { cli, launch, CLI, ROOT } from '../support/server.js'

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
/** Uncommented `NAME: value` and `NAME=value`. */
const ASSIGNED = /^(?! *#).*?\b(SLUICEGATE_[A-Z_]+)(?:: ?|=)'?([^\s'\\]+)/gm
const environmentNames = new Set(KEYS.map(envName))

/** Settings of Kafka come with the shipper. */
const withKafka = environmentNames.has('SLUICEGATE_KAFKA')
const FILES = [
  ...filesOf('deploy', /\.(ya?ml|service|conf)$|Dockerfile$/),
  ...filesOf('docs/guides', /\.md$/),
].filter((path) => withKafka || !path.includes('kafka'))

function assigned(path: string): Record<string, string> {
  return Object.fromEntries([...read(path).matchAll(ASSIGNED)].map(([, name, value]) => [name!, value!]))
}

const seconds = (text: string): number => {
  const [, number, unit] = /^(\d+)(ms|s|m)?$/.exec(text)!
  return Number(number) * ({ ms: 0.001, s: 1, m: 60 }[unit ?? 's'] ?? 1)
}

describe('settings in deploy/ and the guides', () => {
  it('exist', () => {
    const names = FILES.flatMap((path) =>
      [...read(path).matchAll(/\bSLUICEGATE_[A-Z_]+\b/g)].map(([name]) => name),
    )
    expect(new Set(names).size).toBeGreaterThan(6)
    expect(
      [...new Set(names)].filter(
        (name) => !environmentNames.has(name) && (withKafka || !name.includes('KAFKA')),
      ),
    ).toEqual([])
  })

  it.each(FILES.filter((path) => path.startsWith('deploy/') && Object.keys(assigned(path)).length > 0))(
    '%s: the program takes them, without a warning',
    async (path) => {
      const env = assigned(path)
      const shown = launch([process.execPath, CLI, 'serve', '--print-config'], { env })
      expect(await shown.exited).toEqual({ code: 0, signal: null })
      expect(shown.stderr).toBe('')
      const config = JSON.parse(shown.stdout) as Record<string, unknown>
      for (const name of Object.keys(env)) {
        expect(config).toHaveProperty(name.replace('SLUICEGATE_', '').toLowerCase())
      }
    },
  )

  it('flags of commands in the guides exist', async () => {
    const { stdout } = await cli(['serve', '--help-all'])
    const known = new Set([...stdout.matchAll(/--[a-z][a-z-]+/g)].map(([flag]) => flag))
    const commands = FILES.flatMap((path) => [...read(path).matchAll(/`(--[a-z][a-z-]+)(?: [^`]*)?`/g)])
    const own = [...new Set(commands.map(([, flag]) => flag!))].filter((flag) => !OTHERS.has(flag))
    expect(own.length).toBeGreaterThan(15)
    expect(own.filter((flag) => !known.has(flag))).toEqual([])
  })
})

/** Flags in the guides that are not those of `serve`. */
const OTHERS = new Set(['--follow', '--cursor', '--meta', '--force', '--ops', '--omit', '--dry-run'])

describe('the Kubernetes manifests', () => {
  const manifest = read('deploy/kubernetes/sluicegate.yaml')

  it('a pod has time to leave, to drain and to close before it is killed', () => {
    const grace = Number(/terminationGracePeriodSeconds: (\d+)/.exec(manifest)![1])
    const pause = Number(/command: \[sleep, '(\d+)'\]/.exec(manifest)![1])
    const drain = seconds(assigned('deploy/kubernetes/sluicegate.yaml')['SLUICEGATE_DRAIN_MS']!)
    expect(pause).toBeGreaterThan(0)
    // Ten seconds for what is then under way.
    expect(grace).toBeGreaterThanOrEqual(pause + drain + 10)
  })

  it('probes ask what the ops listener answers', () => {
    const probes = [
      ...manifest.matchAll(/(startup|liveness|readiness)Probe:\n +httpGet:\n +path: (\S+)\n +port: (\S+)/g),
    ]
    expect(probes.map(([, kind, path, port]) => `${kind} ${path} ${port}`)).toEqual([
      'startup /ready ops',
      'liveness /health ops',
      'readiness /ready ops',
    ])
    expect(manifest).toMatch(/- name: ops\n +containerPort: 8081/)
    expect(manifest).toMatch(/- name: events\n +containerPort: 8080/)
    expect([settingOf('port').default, settingOf('opsPort').default]).toEqual([8080, 8081])
  })

  it('leaves memory for all that is under way', () => {
    const [, limit] = /limits:\n +cpu: .*\n +memory: (\d+)Gi/.exec(manifest)!
    // docs/guides/sizing.md
    const needed = Number(settingOf('memoryInflightBytes').default) + 128 * 2 ** 20 + 10_000 * 14_000
    expect(Number(limit) * 2 ** 30).toBeGreaterThan(needed)
  })
})

it('compose waits longer than the server needs to stop', () => {
  for (const [, grace] of read('deploy/docker/compose.yaml').matchAll(/stop_grace_period: (\S+)/g)) {
    expect(seconds(grace!)).toBeGreaterThanOrEqual(Number(settingOf('drainMs').default) / 1000 + 10)
  }
})
