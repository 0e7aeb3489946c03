// `npm run pack:host`: leaves pack/sluicegate-VERSION.tgz and, for this machine's platform, pack/sluicegate-PLATFORM-VERSION.tgz,
// as a release publishes them. Nothing is published. `--root` packs the root package alone, `--all` all platforms, whose
// binaries must lie in native/.
//
// The manifest in the repository has no optionalDependencies: the platform packages of a version do not exist before it is
// released, and `npm ci` would fail. They are written here, each with the exact version.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { glibcNeeded } from './pack/glibc.mjs'
import { platformManifest, platforms, rootManifest } from './pack/manifest.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const output = join(root, 'pack')
const staging = join(output, 'staging')
const UNPACKED_BYTES_MAX = 3 * 1024 * 1024
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

function fail(reason) {
  console.error(`error: ${reason}`)
  process.exit(1)
}

/** Packs a staged folder; says what is in it. */
function pack(folder) {
  const { status, stdout, stderr } = spawnSync(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', output],
    {
      cwd: folder,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    },
  )
  if (status !== 0) fail(`npm pack ended with code ${status}: ${stderr.trim()}`)
  // An array until npm 11, an object by name after it.
  const [packed] = Object.values(JSON.parse(stdout))
  const { filename, unpackedSize, entryCount } = packed
  if (unpackedSize > UNPACKED_BYTES_MAX) fail(`${filename} unpacks to ${unpackedSize} bytes, more than 3 MB`)
  console.log(`pack/${basename(filename)}: ${entryCount} files, ${unpackedSize} bytes unpacked`)
}

/** The platforms to pack: none, all, or the one whose binary was built here. */
function wanted() {
  if (process.argv.includes('--root')) return []
  const all = platforms(manifest)
  const built = all.filter(({ binaryName }) => existsSync(join(root, 'native', binaryName)))
  const count = process.argv.includes('--all') ? all.length : 1
  if (built.length !== count) fail(`native/ has binaries of ${built.length} platforms instead of ${count}`)
  return built
}

function stage(name, files, content) {
  const folder = join(staging, name)
  mkdirSync(folder, { recursive: true })
  for (const [from, to] of files) {
    mkdirSync(dirname(join(folder, to)), { recursive: true })
    cpSync(from, join(folder, to), { recursive: true })
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(content, null, 2)}\n`)
  return folder
}

const COMMON = [
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
  'ARCHITECTURE.md',
  'dist',
  'docs',
  'deploy',
  'native/index.js',
  'native/index.d.ts',
]

rmSync(output, { recursive: true, force: true })
if (!existsSync(join(root, 'dist/cli.js'))) fail('dist is not built; run npm run build first')
pack(
  stage(
    'root',
    COMMON.map((path) => [join(root, path), path]),
    rootManifest(manifest),
  ),
)
for (const platform of wanted()) {
  const { name, binaryName, libc } = platform
  const path = join(root, 'native', binaryName)
  const files = [
    [path, binaryName],
    [join(root, 'LICENSE'), 'LICENSE'],
  ]
  pack(stage(name, files, platformManifest(manifest, platform)))
  const needed = libc === 'glibc' ? `, needs glibc ${glibcNeeded(path)}` : ''
  console.log(`${binaryName}: ${statSync(path).size} bytes${needed}`)
}
rmSync(staging, { recursive: true, force: true })
