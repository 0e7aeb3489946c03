// Licences and sources of everything that ends up on a user's machine: npm packages of the lock file that are no
// development dependency, and crates that are linked into the binary. Offline; the allowed licences are those of deny.toml,
// and further ones here with a reason each. Exit code 1 with a line for whatever is not allowed.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { crateMetadata } from './release/crates.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Package → its licence, and why it may be used. Whoever changes their licence is refused again. */
const EXCEPTIONS = {
  'fast-uri': ['BSD-3-Clause', 'permissive; of Fastify'],
  'light-my-request': ['BSD-3-Clause', 'permissive; of Fastify'],
  'secure-json-parse': ['BSD-3-Clause', 'permissive; of Fastify'],
}

/** Is an SPDX expression satisfied by allowed licences alone? `OR`: one of them; `AND`: all. */
export function satisfied(expression, allowed) {
  const inner = /\(([^()]*)\)/.exec(expression)
  if (inner !== null) {
    const value = satisfied(inner[1], allowed) ? TRUE : FALSE
    return satisfied(expression.replace(inner[0], value), allowed)
  }
  const one = (name) => name === TRUE || allowed.has(name)
  return expression.split(' OR ').some((part) =>
    part
      .split(' AND ')
      .map((name) => name.trim())
      .every(one),
  )
}
const [TRUE, FALSE] = ['<yes>', '<no>']

/** What is wrong with the packages of a lock file, as lines. */
export function npmFaults({ packages }, allowed) {
  return Object.entries(packages).flatMap(([path, { dev, license, resolved, integrity }]) => {
    if (path === '' || dev === true) return []
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const [excepted] = EXCEPTIONS[name] ?? []
    const faults = []
    if (license === undefined) faults.push(`npm ${name}: says no licence`)
    else if (license !== excepted && !satisfied(license, allowed))
      faults.push(`npm ${name}: licence ${license}`)
    // Whatever is not of the registry is named by `resolved`; all of the registry has a checksum.
    if (resolved !== undefined) faults.push(`npm ${name}: comes from ${resolved}`)
    if (integrity === undefined) faults.push(`npm ${name}: has no checksum`)
    return faults
  })
}

/** @param source null for what lies in this repository */
export function crateFaults({ packages }, allowed) {
  return packages.flatMap(({ name, license, source }) => {
    const faults = []
    if (license === null) faults.push(`crate ${name}: says no licence`)
    else if (!satisfied(license.replaceAll('/', ' OR '), allowed))
      faults.push(`crate ${name}: licence ${license}`)
    if (source !== null && !source.startsWith('registry+')) faults.push(`crate ${name}: comes from ${source}`)
    return faults
  })
}

/** `allow = ["MIT", …]` of the licences in deny.toml: stated once, for cargo-deny and for this. */
export function allowedLicenses(denyToml) {
  const [, list] = /^\[licenses\][^[]*^allow = \[([^\]]*)\]/m.exec(denyToml) ?? []
  return new Set([...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name))
}

function main() {
  const allowed = allowedLicenses(readFileSync(`${root}deny.toml`, 'utf8'))
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8'))
  const crates = crateMetadata(root)
  const faults = [...npmFaults(lock, allowed), ...crateFaults(crates, allowed)]
  for (const fault of faults) console.error(fault)
  const packages = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true)
  if (faults.length === 0)
    console.log(
      `licences and sources of ${packages.length} npm packages and ${crates.packages.length} crates: allowed`,
    )
  process.exitCode = faults.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
