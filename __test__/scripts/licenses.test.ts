/** What may not reach a user's machine is found. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { allowedLicenses, crateFaults, npmFaults, satisfied } from '../../scripts/licenses.mjs'

const allowed = allowedLicenses(readFileSync(new URL('../../deny.toml', import.meta.url), 'utf8'))
const checksum = { integrity: 'sha512-x' }

it('the allowed licences are those of deny.toml', () => {
  expect(allowed).toContain('MIT')
  expect(allowed).not.toContain('GPL-3.0')
})

it.each([
  ['MIT', true],
  ['GPL-3.0', false],
  ['GPL-3.0 OR MIT', true],
  ['GPL-3.0 AND MIT', false],
  ['(MIT OR GPL-3.0) AND Unicode-3.0', true],
  ['(MIT OR Apache-2.0) AND GPL-3.0', false],
])('%s: %s', (expression, expected) => expect(satisfied(expression, allowed)).toBe(expected))

it('npm packages: licence, source, checksum; development dependencies do not count', () => {
  const packages = {
    '': {},
    'node_modules/fine': { license: 'MIT', ...checksum },
    'node_modules/fast-uri': { license: 'BSD-3-Clause', ...checksum },
    'node_modules/a/node_modules/viral': { license: 'AGPL-3.0', ...checksum },
    'node_modules/light-my-request': { license: 'GPL-2.0', ...checksum },
    'node_modules/unsaid': checksum,
    'node_modules/tools': { dev: true, license: 'GPL-3.0' },
    'node_modules/forked': { license: 'MIT', resolved: 'git+ssh://git@example.org/x.git', ...checksum },
    'node_modules/unchecked': { license: 'MIT' },
  }
  expect(npmFaults({ packages }, allowed)).toEqual([
    'npm viral: licence AGPL-3.0',
    'npm light-my-request: licence GPL-2.0',
    'npm unsaid: says no licence',
    'npm forked: comes from git+ssh://git@example.org/x.git',
    'npm unchecked: has no checksum',
  ])
})

it('crates: licence and source', () => {
  const registry = 'registry+https://example.org/index'
  const packages = [
    { name: 'ours', license: 'MIT', source: null },
    { name: 'old-form', license: 'MIT/Apache-2.0', source: registry },
    { name: 'viral', license: 'GPL-3.0', source: registry },
    { name: 'unsaid', license: null, source: registry },
    { name: 'forked', license: 'MIT', source: 'git+https://example.org/x' },
  ]
  expect(crateFaults({ packages }, allowed)).toEqual([
    'crate viral: licence GPL-3.0',
    'crate unsaid: says no licence',
    'crate forked: comes from git+https://example.org/x',
  ])
})
