// `npm run release -- 1.2.3`: one commit and one tag with the new version, from a clean main. `--dry-run` says what would
// change and writes nothing. Pushing the tag is what releases (docs/RELEASING.md).
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { changelogFor, replaceVersion, sectionOf } from './texts.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const FILES = ['package.json', 'package-lock.json', 'Cargo.toml', 'Cargo.lock', 'native/index.js']
const VERSION = /^\d+\.\d+\.\d+(-[a-z]+\.\d+)?$/

function fail(reason) {
  console.error(`error: ${reason}`)
  process.exit(1)
}

const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' })
const read = (path) => readFileSync(root + path, 'utf8')

process.on('uncaughtException', ({ message }) => fail(message))
const args = process.argv.slice(2)
const dryRun = args.includes('--dry-run')
const [version] = args.filter((arg) => !arg.startsWith('--'))
if (version === undefined || !VERSION.test(version)) fail('usage: npm run release -- 1.2.3 [--dry-run]')
if (git('tag', '--list', `v${version}`) !== '') fail(`v${version} is there already`)
if (!dryRun && git('status', '--porcelain') !== '') fail('there are changes that are not committed')

const { version: before } = JSON.parse(read('package.json'))
const today = new Date().toISOString().slice(0, 10)
const texts = new Map(FILES.map((path) => [path, replaceVersion(path, read(path), before, version)]))
texts.set('CHANGELOG.md', changelogFor(read('CHANGELOG.md'), version, today))
for (const [path, text] of texts) {
  console.log(`${path}: ${text === read(path) ? 'unchanged' : `${before} → ${version}`}`)
  if (!dryRun) writeFileSync(root + path, text)
}
if (dryRun) {
  console.log(`nothing was written. The notes would be:\n\n${sectionOf(texts.get('CHANGELOG.md'), version)}`)
} else {
  git('commit', '--quiet', '--message', `chore(release): ${version}`, '--', ...texts.keys())
  git(
    'tag',
    '--annotate',
    `v${version}`,
    '--cleanup=verbatim',
    '--message',
    `${version}\n\n${sectionOf(read('CHANGELOG.md'), version)}`,
  )
  console.log(`committed and tagged; what releases is: git push origin main v${version}`)
}
