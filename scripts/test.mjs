// `npm test [-- vitest arguments]`: sets up what is missing, runs the Rust tests and the TypeScript tests, and says at
// the end which parts were skipped and why. `--soak` runs the long forms instead. SLUICEGATE_TEST_REQUIRE=all turns every skip
// into a failure.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failSetup, root, setup } from './setup.mjs'
import { say } from './setup/run.mjs'
import { findRust } from './setup/rust.mjs'

const args = process.argv.slice(2)
const soak = args.includes('--soak')
const vitestArgs = args.filter((arg) => arg !== '--soak')
const requireAll = process.env.SLUICEGATE_TEST_REQUIRE === 'all'

const { native } = await setup().catch(failSetup)
const skipped = []
const failed = []

await rustTests()
await typescriptTests()
report()

async function rustTests() {
  // A selection of TypeScript tests is wanted: the Rust ones have nothing to do with it.
  if (vitestArgs.length > 0) return
  const { reason } = await findRust(root)
  if (reason !== undefined) return void skipped.push(`Rust tests: ${reason}`)
  await part('Rust tests', 'cargo', [
    'test',
    '--workspace',
    '--quiet',
    ...(soak ? ['--', '--include-ignored'] : []),
  ])
  if (soak) await part('fuzz targets', process.execPath, [join(root, 'native/fuzz/run.mjs'), '120'])
}

async function typescriptTests() {
  if (native !== undefined) skipped.push(`tests of the native decoder: ${native}`)
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-test-'))
  const skips = join(directory, 'skipped')
  try {
    const mode = soak ? ['--mode', 'soak'] : []
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    await part('TypeScript tests', process.execPath, [vitest, 'run', ...mode, ...vitestArgs], {
      SLUICEGATE_TEST_SKIPS: skips,
    })
    // Written by __test__/support/require.ts, one line a skipped suite.
    if (existsSync(skips)) skipped.push(...new Set(readFileSync(skips, 'utf8').trimEnd().split('\n')))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function part(name, command, commandArgs, env = {}) {
  const start = performance.now()
  say(`${name} …`)
  const code = await new Promise((resolve) => {
    const child = spawn(command, commandArgs, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...env },
    })
    child.on('error', () => resolve(127))
    child.on('close', (status) => resolve(status ?? 1))
  })
  say(`${name}: ${code === 0 ? 'passed' : 'FAILED'} in ${((performance.now() - start) / 1000).toFixed(0)} s`)
  if (code !== 0) failed.push(name)
}

function report() {
  for (const line of skipped) say(`skipped: ${line}`)
  if (requireAll && skipped.length > 0) failed.push('SLUICEGATE_TEST_REQUIRE=all, but parts were skipped')
  if (failed.length > 0) say(`FAILED: ${failed.join('; ')}`)
  process.exitCode = failed.length > 0 ? 1 : 0
}
