// Writes a record, and what is made of it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { root } from '../http/child.mjs'
import { document, readmePart } from './document.mjs'
import { pictures } from './pictures.mjs'

/** Full records are kept with the project; others only for whoever made them. */
export function writeRecord(record) {
  const folder = record.kind === 'full' ? 'bench/record' : '.cache/bench/record'
  const name = record.date.replace(/:\d\d\..*$/, '').replace(':', '')
  const path = join(root, folder, record.machine.name, `${name}.json`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(record, undefined, 1)}\n`)
  return relative(root, path)
}

const README_PART = /(<!-- benchmarks: made by npm run bench -->\n)[^]*?(\n<!-- benchmarks: end -->)/

function writeReadme(record) {
  const path = join(root, 'README.md')
  const text = readFileSync(path, 'utf8')
  if (!README_PART.test(text)) throw new Error('README.md has lost the marks between which its figures stand')
  writeFileSync(
    path,
    text.replace(README_PART, (_, start, end) => `${start}\n${readmePart(record)}\n${end}`),
  )
}

/** @param {string} documentFolder docs, or elsewhere for a look at a record that is not a full one */
export function writeReport(recordPath, documentFolder = join(root, 'docs')) {
  const record = JSON.parse(readFileSync(join(root, recordPath), 'utf8'))
  const drawn = pictures(record)
  mkdirSync(join(documentFolder, 'benchmarks'), { recursive: true })
  for (const [name, svg] of drawn) writeFileSync(join(documentFolder, 'benchmarks', name), svg)
  writeFileSync(join(documentFolder, 'BENCHMARKS.md'), document(record, [...drawn.keys()], recordPath))
  if (record.kind === 'full') writeReadme(record)
}
