// The benchmark, with one command:
//
//   npm run bench [-- --quick] [--only NAME]… [--rounds N] [--seconds N]
//   node bench/run.mjs --report bench/record/MACHINE/DATE.json
//
// Builds what it needs, measures, prints tables, and ends with the targets. A full run leaves a record in bench/record
// and writes docs/BENCHMARKS.md out of it; a shorter one (`--quick`, `--only`) leaves both below .cache/bench.
// `--report` writes the document anew out of a record.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setup } from '../scripts/setup.mjs'
import { root } from './http/child.mjs'
import { hasWrk } from './http/wrk.mjs'
import { machine, versions } from './report/machine.mjs'
import { plain, plainTargets, tables, targetTable } from './report/tables.mjs'
import { judge } from './report/targets.mjs'
import { writeRecord, writeReport } from './report/write.mjs'

export const PARTS = ['decoders', 'servers', 'batches', 'sizes', 'constant', 'time', 'steady', 'baselines']
const SCHEMA = 1
const FULL = { rounds: 5, seconds: 2 }
const QUICK = { rounds: 1, seconds: 1 }

function fail(message) {
  console.error(`error: ${message}`)
  process.exit(2)
}

function readArguments() {
  const options = {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    report: { type: 'string' },
  }
  try {
    const { values } = parseArgs({ options })
    const only = values.only ?? PARTS
    const unknown = only.find((name) => !PARTS.includes(name))
    if (unknown !== undefined) fail(`--only ${unknown}: the parts are ${PARTS.join(', ')}`)
    const usual = values.quick ? QUICK : FULL
    const [rounds, seconds] = ['rounds', 'seconds'].map((name) => Number(values[name] ?? usual[name]))
    if (!Number.isInteger(rounds) || !Number.isInteger(seconds) || rounds < 1 || seconds < 1) {
      fail('--rounds and --seconds are whole numbers from 1')
    }
    return { ...values, only, rounds, seconds }
  } catch (error) {
    fail(error.message)
  }
}

function requireMachine() {
  if (process.platform !== 'linux') fail('this needs Linux: taskset, and CPU times out of /proc')
  if (cpus().length < 2) fail('this needs two cores, one for the server and one for the load')
  if (!hasWrk()) fail('wrk is missing (Debian: apt-get install wrk)')
}

const startedMs = performance.now()
const isTerminal = process.stderr.isTTY

/** One line that is written over in a terminal, lines elsewhere. */
function progress(text) {
  const at = `${Math.round((performance.now() - startedMs) / 1000)} s`.padStart(6)
  process.stderr.write(isTerminal ? `\r\x1b[K${at}  ${text}` : `${at}  ${text}\n`)
}

function say(text) {
  if (isTerminal) process.stderr.write('\r\x1b[K')
  console.log(text)
}

async function main() {
  const options = readArguments()
  if (options.report !== undefined) return writeReport(options.report)
  requireMachine()
  progress('building')
  const { native } = await setup()
  if (native !== undefined) fail(`the native decoder is what is measured: ${native}`)
  // Both import what setup has built.
  const { measureDecoders } = await import('./decoders.mjs')
  const { measureServers } = await import('./servers.mjs')

  mkdirSync(join(root, '.cache/bench'), { recursive: true })
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-bench-requests-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  const { quick, rounds, seconds, only } = options
  const cores = { server: 0, load: 1 }
  const nowS = Math.floor(Date.now() / 1000)
  const bench = {
    quick,
    rounds,
    seconds,
    only: new Set(only),
    cores,
    nowS,
    directory,
    files: new Set(),
    progress,
    say,
  }
  const head = {
    schema: SCHEMA,
    kind: quick || only.length < PARTS.length ? 'quick' : 'full',
    date: new Date().toISOString(),
    machine: machine(),
    versions: versions(),
    settings: { rounds, seconds, cores, only },
  }
  const record = {
    ...head,
    ...(bench.only.has('decoders') ? { decoders: await measureDecoders(bench) } : {}),
    ...(await measureServers(bench)),
  }
  record.duration_s = Math.round((performance.now() - startedMs) / 1000)
  record.targets = judge(record)
  finish(record)
}

function finish(record) {
  for (const table of tables(record)) say(`\n${plain(table)}`)
  say(`\n${plainTargets(targetTable(record.targets))}\n`)
  const path = writeRecord(record)
  const folder = record.kind === 'full' ? undefined : join(root, '.cache/bench/report')
  writeReport(path, folder)
  say(
    `record: ${path}; report: ${folder === undefined ? 'docs/BENCHMARKS.md' : '.cache/bench/report/BENCHMARKS.md'}`,
  )
}

await main()
process.exit()
