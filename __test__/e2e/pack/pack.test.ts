/** What is published, installed from its tarballs on a machine without a compiler. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { glibcNeeded, isNewer } from '../../../scripts/pack/glibc.mjs'
import { platforms } from '../../../scripts/pack/manifest.mjs'
import { describeWith, skipped } from '../../support/require.js'
import {
  HOST_PLATFORM,
  install,
  type Installed,
  NEWEST_LTS,
  newestLts,
  pack,
  root,
  tarball,
} from './support.js'

const EVENT = '{"event":"e","properties":{"token":"t0k","n":12345678901234567890}}'
const made: Installed[] = []
const installed = async (names: readonly string[], node?: string): Promise<Installed> => {
  const one = await install(names, node)
  made.push(one)
  return one
}
afterAll(() => made.forEach((one) => one.remove()))

const listing = (name: string): string[] =>
  execFileSync('tar', ['tzf', tarball(name)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''))

/** One event through the installed command line: accepted, on disk, and which decoder took it. */
async function through(one: Installed, expected: 'native' | 'reference'): Promise<string> {
  const dataDir = join(one.folder, 'data')
  const server = await one.start(dataDir)
  let status: { decoder: string; decoder_reason: string }
  try {
    const reply = await fetch(`${server.ingest}/track`, { method: 'POST', body: EVENT })
    expect(await reply.text()).toBe('1')
    status = (await (await fetch(`${server.ops}/status`)).json()) as typeof status
    const metrics = await (await fetch(`${server.ops}/metrics`)).text()
    expect(metrics).toMatch(
      new RegExp(`^sluicegate_decoder_info\\{[^}]*decoder="${expected}"[^}]*\\} 1$`, 'm'),
    )
  } finally {
    await server.stop()
  }
  expect(status.decoder).toBe(expected)
  const warnings = server
    .lines()
    .split('\n')
    .filter((line) => line.includes('reference decoder serves'))
  expect(warnings).toHaveLength(expected === 'native' ? 0 : 1)
  expect(await one.run('tail', '--data-dir', dataDir)).toContain(`"record":${EVENT}`)
  expect(await one.run('doctor', '--data-dir', dataDir)).toContain(status.decoder_reason)
  return status.decoder_reason
}

describe('the root package', () => {
  let reference: Installed
  beforeAll(async () => {
    await pack('--root')
    reference = await installed(['sluicegate'])
  })

  it('holds the program, its types and documents; no binary, source map, source or test', () => {
    const files = listing('sluicegate')
    for (const path of [
      'dist/cli.js',
      'dist/fastify.d.ts',
      'dist/decoder-library.d.ts',
      'docs/CONFIG.md',
      'deploy/systemd/sluicegate@.service',
      'deploy/nginx/sluicegate.conf',
      'LICENSE',
    ]) {
      expect(files).toContain(path)
    }
    expect(
      files.filter((path) =>
        /\.(node|map|rs)$|^(src|__test__|bench|scripts|deploy\/docker)\/|RELEASING|lint$/.test(path),
      ),
    ).toEqual([])
  })

  it('names a platform package of its own version for each of the seven targets', () => {
    const path = join(reference.folder, 'node_modules/sluicegate/package.json')
    const { version, optionalDependencies, ...others } = JSON.parse(readFileSync(path, 'utf8')) as Record<
      string,
      object
    >
    expect(Object.keys(optionalDependencies!)).toHaveLength(7)
    expect(new Set(Object.values(optionalDependencies!))).toEqual(new Set([version]))
    expect(Object.keys(others)).not.toEqual(expect.arrayContaining(['private']))
    expect(others).not.toHaveProperty('scripts')
    expect(others).not.toHaveProperty('devDependencies')
  })

  it('alone, it serves with the reference decoder and says why', async () => {
    expect(await through(reference, 'reference')).toContain(
      `there is none for ${process.platform} ${process.arch}`,
    )
  })

  it('the loader asks for the platform packages by the names that are published', () => {
    const loader = readFileSync(join(root, 'native/index.js'), 'utf8')
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { napi: object }
    const names = platforms(manifest).map(({ name }) => name)
    expect(names).toHaveLength(7)
    for (const name of names) expect(loader).toContain(`require('${name}')`)
  })

  it('is a library for strict TypeScript', () => {
    const { folder } = reference
    writeFileSync(join(folder, 'use.ts'), USE)
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
      '--skipLibCheck',
      'false',
    ]
    const types = ['--typeRoots', join(root, 'node_modules/@types')]
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const check = (): string => {
      try {
        return execFileSync(process.execPath, [tsc, ...flags, ...types, 'use.ts'], {
          cwd: folder,
          encoding: 'utf8',
        })
      } catch (error) {
        return String((error as { stdout: unknown }).stdout)
      }
    }
    expect(check()).toBe('')
    writeFileSync(join(folder, 'use.ts'), `${USE}\nexport const wrong: string = events.length\n`)
    expect(check()).toContain('TS2322')
  })

  it('its plugin and its decoder work in a program', () => {
    const program = `
      import fastify from 'fastify'
      import sluicegate from 'sluicegate/fastify'
      import { createEventDecoder } from 'sluicegate/decoder'
      const app = fastify()
      app.post('/orders', (request) => ({ got: request.body }))
      await app.register(sluicegate, { prefix: '/mp', config: { dataDir: './mounted' } })
      const post = { method: 'POST', headers: { 'content-type': 'application/json' } }
      const address = await app.listen({ host: '127.0.0.1', port: 0 })
      const own = await fetch(address + '/orders', { ...post, body: '{"a":1}' })
      const event = await fetch(address + '/mp/track', { ...post, body: ${JSON.stringify(EVENT)} })
      const { accepted } = createEventDecoder().decode({ endpoint: 'track', body: ${JSON.stringify(EVENT)} })
      console.log(await own.text(), await event.text(), accepted)
      await app.close()`
    const stdout = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd: reference.folder,
      env: reference.env,
      encoding: 'utf8',
    })
    expect(stdout.trim()).toBe('{"got":{"a":1}} 1 1')
  })
})

const USE = `
import fastify from 'fastify'
import { configWith, readLog, startGate } from 'sluicegate'
import { createEventDecoder, type DecodedEvent, Row } from 'sluicegate/decoder'
import sluicegate, { type SluicegateOptions } from 'sluicegate/fastify'
const decoder = createEventDecoder({ recordsMax: 50 })
export const events: readonly DecodedEvent[] = decoder.decode({ endpoint: 'track', body: '' }).events
export const first: number = decoder.view({ endpoint: 'engage', query: '' }).row(0, Row.flags)
const options: SluicegateOptions = { config: { dataDir: './d' } }
export const app = fastify()
app.register(sluicegate, { prefix: '/mp', ...options })
export const library = [configWith, readLog, startGate]
`

describeWith('native', 'with the platform package', () => {
  let native: Installed
  beforeAll(async () => {
    await pack()
    native = await installed(['sluicegate', HOST_PLATFORM])
  })
  const binary = (): string => {
    const folder = join(native.folder, 'node_modules', HOST_PLATFORM)
    return join(
      folder,
      readdirSync(folder).find((name) => name.endsWith('.node'))!,
    )
  }

  it('it holds the binary and nothing else', () => {
    expect(listing(HOST_PLATFORM).toSorted()).toEqual([
      'LICENSE',
      'package.json',
      'sluicegate.linux-x64-gnu.node',
    ])
  })

  it('the native decoder serves, without cargo or rustc on the PATH', async () => {
    expect(await through(native, 'native')).toContain('native')
  })

  it('on the newest LTS as well', async ({ skip }) => {
    const node = await newestLts().catch((error: unknown) => {
      skipped('the newest Node', `Node ${NEWEST_LTS} cannot be installed`, error)
      return skip()
    })
    const newest = await installed(['sluicegate', HOST_PLATFORM], node)
    expect(await newest.run('doctor', '--data-dir', join(newest.folder, 'none'))).toContain(
      `Node ${NEWEST_LTS}`,
    )
    expect(await through(newest, 'native')).toContain('native')
  })

  it('the glibc that the binary needs is read right, and is no newer than the one it was built with', () => {
    const symbols = execFileSync('objdump', ['-T', binary()], { encoding: 'latin1' })
    const versions = [...symbols.matchAll(/GLIBC_([\d.]+)/g)].map(([, version]) => version!)
    const highest = versions.reduce((most, version) => (isNewer(version, most) ? version : most))
    expect(glibcNeeded(binary())).toBe(highest)
    expect(isNewer('2.4', '2.34')).toBe(false)
    expect(isNewer('2.34', '2.4')).toBe(true)
    const { glibcVersionRuntime } = (
      process.report.getReport() as { header: { glibcVersionRuntime: string } }
    ).header
    expect(isNewer(highest, glibcVersionRuntime)).toBe(false)
  })

  it('a binary of another version is not used', async () => {
    const path = join(native.folder, 'node_modules/sluicegate/package.json')
    const before = readFileSync(path, 'utf8')
    writeFileSync(path, before.replace('"version": "', '"version": "9'))
    try {
      expect(await through(native, 'reference')).toMatch(/is of version \d+\.\d+\.\d+, not 9/)
    } finally {
      writeFileSync(path, before)
    }
  })

  it('P3: nor is a truncated one, which would end the process when it is loaded', async () => {
    const { size } = statSync(binary())
    for (const bytes of [size - 1, 4096]) {
      truncateSync(binary(), bytes)
      expect(await through(native, 'reference')).toContain(
        `.node: the file is cut off, it has ${bytes} of ${size} bytes)`,
      )
    }
    truncateSync(binary(), 10)
    expect(await through(native, 'reference')).toMatch(/\.node: file too short/)
  })
})
