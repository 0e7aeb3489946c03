// The oldest glibc that a binary can be loaded with: the highest version among the symbols it needs.
//
//   node scripts/pack/glibc.mjs FILE MAX    exit code 1 when it needs a newer one
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** `2.34`; '' for a binary that needs none (musl, other systems). Version names stand in the dynamic string table as text. */
export function glibcNeeded(path) {
  const versions = readFileSync(path, 'latin1').match(/GLIBC_2\.\d+(?:\.\d+)?(?=\0)/g) ?? []
  return versions
    .map((name) => name.slice('GLIBC_'.length))
    .reduce((most, version) => (isNewer(version, most) ? version : most), '')
}

/** Is version `one` newer than `other`? '' is older than all. */
export function isNewer(one, other) {
  const [left, right] = [one, other].map((version) => version.split('.').map(Number))
  for (let part = 0; part < Math.max(left.length, right.length); part++) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [path, most] = process.argv.slice(2)
  const needed = glibcNeeded(path)
  console.log(`${path} needs glibc ${needed || '(none)'}; allowed: ${most}`)
  process.exitCode = needed === '' || isNewer(needed, most) ? 1 : 0
}
