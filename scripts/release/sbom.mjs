// The bill of materials of a release, CycloneDX 1.5: what npm installs beside the package, and what is linked into the
// binary. Offline. Leaves pack/sluicegate-VERSION.cdx.json.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { crateMetadata } from './crates.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = (command, ...args) =>
  JSON.parse(execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 }))

const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const sbom = run('npm', 'sbom', '--omit', 'dev', '--package-lock-only', '--sbom-format', 'cyclonedx')
const { packages } = crateMetadata(root)
const crates = packages.map(({ name, version: crate, license, source }) => ({
  type: 'library',
  'bom-ref': `cargo:${name}@${crate}`,
  name,
  version: crate,
  ...(source !== null && { purl: `pkg:cargo/${name}@${crate}` }),
  licenses: [{ expression: license.replaceAll('/', ' OR ') }],
}))
sbom.components.push(...crates)
const path = `pack/sluicegate-${version}.cdx.json`
mkdirSync(`${root}pack`, { recursive: true })
writeFileSync(root + path, `${JSON.stringify(sbom, null, 2)}\n`)
console.log(`${path}: ${sbom.components.length} components, ${crates.length} of them crates`)
