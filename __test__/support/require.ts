/**
 * Parts of the tests that need something a machine may lack. Without it they are skipped, and `npm test` says so at
 * its end; with SLUICEGATE_TEST_REQUIRE=all (or a list of names) they fail instead.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, readdirSync } from 'node:fs'
import { describe, it } from 'vitest'

/** Each part: undefined when it is here, else why not. */
const PARTS = {
  native: () =>
    readdirSync(new URL('../../native/', import.meta.url)).some((name) => name.endsWith('.node'))
      ? undefined
      : 'the native decoder is not built',
  rust: () => command('cargo'),
  chromium: () => command('chromium'),
  java: () => command('java', '-version'),
  javac: () => command('javac', '-version'),
  maven: () => command('mvn'),
  go: () => command('go', 'version'),
  python: () => command('python3'),
  kcat: () => command('kcat', '-V'),
  jq: () => command('jq'),
  openssl: () => command('openssl', 'version'),
  strace: () => command('strace', '-V'),
  nginx: () => command('nginx', '-v') ?? command('openssl', 'version'),
  prometheus: () => command('prometheus') ?? command('promtool'),
  systemd: () => command('systemd-analyze'),
  unshare: () =>
    spawnSync('unshare', ['-p', '-f', 'true']).status === 0 ? undefined : 'unshare -p is not allowed',
  // Root is not bound by permissions; `nobody` is, but must be able to run Node.
  nobody: () =>
    process.getuid?.() !== 0 || spawnSync(process.execPath, ['-v'], { cwd: '/', uid: 65_534 }).status === 0
      ? undefined
      : 'an ordinary user cannot run this Node',
  mounts: () =>
    spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
      ? undefined
      : 'mounting in a namespace of its own is not allowed',
} satisfies Record<string, () => string | undefined>
export type Part = keyof typeof PARTS

function command(name: string, flag = '--version'): string | undefined {
  return spawnSync(name, [flag], { stdio: 'ignore' }).status === 0 ? undefined : `${name} is not installed`
}

/** Why a part is missing, undefined when it is here. */
export function missing(part: Part): string | undefined {
  return PARTS[part]()
}

/** `describe` for tests that need `parts`. */
export function describeWith(parts: Part | readonly Part[], name: string, suite: () => void): void {
  const wanted = ([] as Part[]).concat(parts)
  const absent = wanted.filter((part) => missing(part) !== undefined)
  const reason = absent.map((part) => missing(part)).join(', ')
  describeUnless(absent.length === 0 ? undefined : reason, absent, name, suite)
}

/** `describe` for tests whose `parts` were tried already: `reason` says why they cannot run, undefined that they can. */
export function describeUnless(
  reason: string | undefined,
  parts: readonly Part[],
  name: string,
  suite: () => void,
): void {
  if (reason === undefined) return void describe(name, suite)
  const required = (process.env['SLUICEGATE_TEST_REQUIRE'] ?? '').split(',')
  if (required.includes('all') || parts.some((part) => required.includes(part))) {
    describe(name, () => {
      it('has what it needs', () => {
        throw new Error(reason)
      })
    })
    return
  }
  const skips = process.env['SLUICEGATE_TEST_SKIPS']
  if (skips !== undefined) appendFileSync(skips, `${name}: ${reason}\n`)
  describe.skip(name, suite)
}

/** Notes that a test is skipped; fails it instead where nothing may be skipped. */
export function skipped(name: string, reason: string, cause?: unknown): void {
  if ((process.env['SLUICEGATE_TEST_REQUIRE'] ?? '').split(',').includes('all'))
    throw new Error(reason, { cause })
  const skips = process.env['SLUICEGATE_TEST_SKIPS']
  if (skips !== undefined) appendFileSync(skips, `${name}: ${reason}\n`)
}
