// All of the benchmark, once everything is built: measures, prints, writes the record and what is made of it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureDecoders, surveyDecoders } from './decoders.mjs'
import { root } from './http/child.mjs'
import { floors } from './report/floors.mjs'
import { machine, versions } from './report/machine.mjs'
import { plain, plainTargets, tables, targetTable } from './report/tables.mjs'
import { judge } from './report/targets.mjs'
import { writeRecord, writeReport } from './report/write.mjs'
import { measureServers } from './servers.mjs'

const SCHEMA = 2
const CORES = { server: 0, load: 1 }

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

/** What the parts are handed; `files`: the requests that are written already, in `directory`. */
function benchOf({ quick, rounds, seconds, only }) {
  mkdirSync(join(root, '.cache/bench'), { recursive: true })
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-bench-requests-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  const nowS = Math.floor(Date.now() / 1000)
  return { quick, rounds, seconds, only, cores: CORES, nowS, directory, files: new Set(), progress, say }
}

/** @param options of run.mjs: kind, quick, only, rounds, seconds */
export async function measureAll(options) {
  const bench = benchOf(options)
  const { kind, rounds, seconds, only } = options
  const head = {
    schema: SCHEMA,
    kind,
    date: new Date().toISOString(),
    machine: machine(),
    versions: versions(),
    settings: { rounds, seconds, cores: CORES, only: [...only] },
  }
  const record = {
    ...head,
    ...(only.has('decoders') ? { decoders: await measureDecoders(bench) } : {}),
    ...(only.has('survey') ? { survey: await surveyDecoders(bench) } : {}),

    ...(await measureServers(bench)),
  }
  record.duration_s = Math.round((performance.now() - startedMs) / 1000)
  record.targets = judge(record)
  finish(record)
}

function finish(record) {
  for (const table of tables(record)) say(`\n${plain(table)}`)
  say(`\n${plainTargets(targetTable(record.targets), floors(record))}\n`)
  const path = writeRecord(record)
  const folder = record.kind === 'full' ? undefined : join(root, '.cache/bench/report')
  writeReport(path, folder)
  say(
    `record: ${path}; report: ${folder === undefined ? 'docs/BENCHMARKS.md' : '.cache/bench/report/BENCHMARKS.md'}`,
  )
}

export const writeAnew = (path) => writeReport(path)
