/** A release changes the version wherever it stands, and nowhere else. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { changelogFor, replaceVersion, sectionOf } from '../../scripts/release/texts.mjs'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const { version } = JSON.parse(read('package.json')) as { version: string }

it.each(['package.json', 'package-lock.json', 'Cargo.toml', 'Cargo.lock', 'native/index.js'])(
  '%s',
  (path) => {
    const changed = replaceVersion(path, read(path), version, '77.8.9')
    expect(changed).toContain('77.8.9')
    // There and back is what it was: nothing else had the new one, and nothing else was touched.
    expect(replaceVersion(path, changed, '77.8.9', version)).toBe(read(path))
    expect(() => replaceVersion(path, read(path), '66.6.6', '77.8.9')).toThrow(/does not have/)
  },
)

it('both crates and the package get it', () => {
  const lock = replaceVersion('Cargo.lock', read('Cargo.lock'), version, '77.8.9')
  expect(lock.match(/77\.8\.9/g)).toHaveLength(2)
  const packages = JSON.parse(
    replaceVersion('package-lock.json', read('package-lock.json'), version, '77.8.9'),
  ) as {
    version: string
    packages: Record<string, { version: string }>
  }
  expect([packages.version, packages.packages['']!.version]).toEqual(['77.8.9', '77.8.9'])
})

describe('the changelog', () => {
  const text = '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- New.\n\n## [1.0.0] - 2026-01-01\n\n- Old.\n'

  it('what was unreleased gets version and date', () => {
    const changed = changelogFor(text, '1.1.0', '2026-12-24')
    expect(changed).toContain('## [Unreleased]\n\n## [1.1.0] - 2026-12-24\n\n### Added')
    expect(sectionOf(changed, '1.1.0')).toBe('### Added\n\n- New.')
    expect(sectionOf(changed, '1.0.0')).toBe('- Old.')
  })

  it('a section that waits for its date takes it', () => {
    expect(changelogFor('## [2.0.0] - unreleased\n\n- A.\n', '2.0.0', '2026-12-24')).toBe(
      '## [2.0.0] - 2026-12-24\n\n- A.\n',
    )
  })

  it('nothing to release is an error', () => {
    expect(() =>
      changelogFor('## [Unreleased]\n\n## [1.0.0] - 2026-01-01\n\n- Old.\n', '1.1.0', '2026-12-24'),
    ).toThrow(/nothing/)
  })
})
