// Publishes what lies in pack/: the platform packages first, so that nobody installs a root package whose binaries are not
// there yet. What is published already is left alone, so that a release that broke off can be repeated. Runs in the release
// workflow only; `--dry-run` publishes nothing.
import { existsSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { platforms } from '../pack/manifest.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const { name, version } = manifest
const dryRun = process.argv.includes('--dry-run')

function fail(reason) {
  console.error(`error: ${reason}`)
  process.exit(1)
}

const npm = (...args) =>
  spawnSync('npm', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
const isPublished = (spec) => npm('view', spec, 'version').stdout.trim() === version

const tag = process.env.GITHUB_REF_NAME
if (!dryRun && tag !== `v${version}`) fail(`the tag is ${tag}, the version ${version}`)
for (const one of [...platforms(manifest).map((platform) => platform.name), name]) {
  const file = `pack/${one}-${version}.tgz`
  if (!existsSync(root + file)) fail(`${file} is not there`)
  if (!dryRun && isPublished(`${one}@${version}`)) {
    console.log(`${one}@${version}: published already`)
    continue
  }
  const flags = dryRun ? ['--dry-run', '--provenance=false'] : ['--provenance']
  // A version such as 1.0.0-rc.1 must not become what `npm install` takes.
  const channel = version.includes('-') ? 'next' : 'latest'
  // Without `./` npm takes it for a repository on GitHub.
  const { status } = npm('publish', `./${file}`, '--access', 'public', '--tag', channel, ...flags)
  if (status !== 0) fail(`publishing ${file} ended with code ${status}`)
  console.log(`${one}@${version}: ${dryRun ? 'would be published' : 'published'}`)
}
