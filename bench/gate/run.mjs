// A slow-down must not pass unseen:
//
//   node bench/gate/run.mjs --check     compares with what was recorded; exit code 1 when something does not hold
//   node bench/gate/run.mjs --write     records instructions.json for this compiler
//
// 1. Instructions a payload of the Rust core, within TOLERANCE of bench/gate/instructions.json. Much fewer fail as well:
//    what was won has to be recorded, or it could be lost again unseen. A compiler without record is reported alone.
// 2. Native against JavaScript in one run (bench/decoders), as fast as the machine is at the moment: three tries.
// 3. The server with its log against a Fastify that does nothing (bench/http), main-thread CPU a request, in turns: at most
//    RATIO_MAX, three tries. Linux alone, where threads' CPU times can be read.
//
// Without valgrind or Rust the first part is skipped; under SLUICEGATE_TEST_REQUIRE=all that is a failure.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureRatio } from './servers.mjs'
import { CASES, countInstructions, environment, missingProgram } from './instructions.mjs'

const TOLERANCE = 0.03
const TRIES = 3
const RATIO_MAX = 1.5
const root = fileURLToPath(new URL('../..', import.meta.url))
const recordFile = join(root, 'bench/gate/instructions.json')

function compare(counts, recorded) {
  const rows = CASES.map((name) => {
    const change = counts[name] / recorded[name] - 1
    return { name, change, holds: Math.abs(change) <= TOLERANCE }
  })
  for (const { name, change, holds } of rows) {
    const figures = `${String(recorded[name]).padStart(8)} recorded ${String(counts[name]).padStart(8)} now`
    const verdict = holds ? 'holds' : change > 0 ? 'SLOWER' : 'FASTER: record it with --write'
    console.log(`${name.padEnd(12)} ${figures} ${(change * 100).toFixed(1).padStart(6)} %  ${verdict}`)
  }
  return rows.every(({ holds }) => holds)
}

function checkInstructions(records) {
  const missing = missingProgram()
  if (missing !== undefined) {
    const isRequired = process.env.SLUICEGATE_TEST_REQUIRE === 'all'
    console.log(`${missing} is missing: instructions ${isRequired ? 'must be counted' : 'are not counted'}`)
    return !isRequired
  }
  const here = environment()
  const counts = countInstructions(root)
  console.log(`instructions a payload, ${here}`)
  if (records[here]) return compare(counts, records[here])
  console.log(`nothing is recorded for it (--write would): ${JSON.stringify(counts)}`)
  return true
}

/** As a child: each try starts with a new heap and new code. */
function checkRatios() {
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const args = ['bench/decoders/run.mjs', '--rounds', '7', '--check']
    if (spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0) return true
    console.log(`try ${attempt} of ${TRIES} did not hold`)
  }
  return false
}

async function checkServers() {
  if (process.platform !== 'linux') return true
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const ratio = await measureRatio()
    const holds = ratio <= RATIO_MAX
    console.log(
      `server with log: ${ratio.toFixed(2)}x the main-thread CPU of a no-op Fastify, at most ${RATIO_MAX}x`,
    )
    if (holds) return true
    console.log(`try ${attempt} of ${TRIES} did not hold`)
  }
  return false
}

function write(records) {
  records[environment()] = countInstructions(root)
  writeFileSync(recordFile, `${JSON.stringify(records, undefined, 2)}\n`)
  console.log(`wrote ${recordFile}`)
}

const options = { check: { type: 'boolean' }, write: { type: 'boolean' } }
const { values } = parseArgs({ options })
const records = JSON.parse(readFileSync(recordFile, 'utf8'))
if (Boolean(values.check) === Boolean(values.write)) {
  console.error('usage: node bench/gate/run.mjs --check|--write')
  process.exitCode = 2
} else if (values.write) {
  write(records)
} else {
  const held = [checkInstructions(records), checkRatios(), await checkServers()]
  process.exitCode = held.every(Boolean) ? 0 : 1
}
