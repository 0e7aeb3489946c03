// The benchmark, with one command:
//
//   npm run bench [-- --quick] [--only NAME]… [--rounds N] [--seconds N]
//   node bench/run.mjs --report bench/record/MACHINE/DATE.json
//
// Builds what it needs, measures, prints tables, and ends with the targets. A full run leaves a record in bench/record
// and writes docs/BENCHMARKS.md out of it; a shorter one (`--quick`, `--only`) leaves both below .cache/bench.
// `--report` writes the document anew out of a record.
//
// Everything but the set-up is imported once that is done: on a fresh clone neither packages nor dist are there before.
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { setup } from '../scripts/setup.mjs'

const PARTS = [
  'decoders',
  'survey',
  'servers',
  'batches',
  'sizes',
  'constant',
  'steady',
  'baselines',
  'replay',
]
const FULL = { rounds: 5, seconds: 1 }
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
    const isFull = !values.quick && only.length === PARTS.length
    return { ...values, only: new Set(only), rounds, seconds, kind: isFull ? 'full' : 'quick' }
  } catch (error) {
    fail(error.message)
  }
}

function requireMachine() {
  if (process.platform !== 'linux') fail('this needs Linux: taskset, and CPU times out of /proc')
  if (cpus().length < 2) fail('this needs two cores, one for the server and one for the load')
}

const options = readArguments()
if (options.report === undefined) requireMachine()
const { native } = await setup()
if (native !== undefined && options.report === undefined) {
  fail(`the native decoder is what is measured: ${native}`)
}
const { measureAll, writeAnew } = await import('./benchmark.mjs')
await (options.report === undefined ? measureAll(options) : writeAnew(options.report))
process.exit()
