// The native decoder against the fastest JavaScript for the same job, on the same requests, in turns:
//
//   node bench/decoders/run.mjs [--rounds 21] [--check] [--json FILE]
//
// First both have to make the same bytes. Then each round measures each case for a moment with one decoder, then with the
// other: what disturbs the machine disturbs both. The ratio is the median of the rounds' own ratios, beside it the ratio
// of the minima; figures of two runs cannot be compared. `--check`: exit code 1 when a required ratio is not met.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CASES, CONTEXT } from './events.mjs'
import { OPTIONS } from './options.mjs'
import { JavaScriptDecoder } from './rival.mjs'
import { proveEqual } from './proof.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const SLICE_MS = 15
const ROOM_BYTES = 1 << 20

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '21' },
    check: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
if (!(rounds >= 1)) {
  console.error('usage: node bench/decoders/run.mjs [--rounds N] [--check]')
  process.exit(2)
}

/** Builds what is measured; quick when it is there. */
function build(...command) {
  const { status } = spawnSync(process.execPath, command, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}

build('scripts/build-native.mjs')
build('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json')
const { createNativeDecoder } = await import(join(root, 'dist/decode/native.js'))

const room = { bytes: Buffer.from(new SharedArrayBuffer(ROOM_BYTES)), position: 0, end: ROOM_BYTES }
const decoders = { native: createNativeDecoder(OPTIONS), javascript: new JavaScriptDecoder() }

/** Nanoseconds an event over about SLICE_MS of decoding; `turns`: how often all requests of the case are decoded. */
function measure(decoder, { requests, events }, turns) {
  const start = process.hrtime.bigint()
  for (let turn = 0; turn < turns; turn++) {
    for (let index = 0; index < requests.length; index++) decoder.decode(requests[index], CONTEXT, room)
  }
  return Number(process.hrtime.bigint() - start) / (turns * requests.length * events)
}

/** How many turns fill a slice; measuring it warms the code up as well. */
function turnsFor(decoder, testCase) {
  for (let turns = 1; ; turns *= 2) {
    const ns = measure(decoder, testCase, turns) * testCase.requests.length * testCase.events
    if (ns * turns > SLICE_MS * 1e6) return Math.max(1, Math.round((SLICE_MS * 1e6) / ns))
  }
}

const sorted = (list) => list.toSorted((one, other) => one - other)
const median = (list) => sorted(list)[list.length >> 1]

function plan() {
  return CASES.map((testCase) => ({
    testCase,
    sides: Object.entries(decoders).map(([name, decoder]) => ({
      name,
      decoder,
      turns: turnsFor(decoder, testCase),
      ns: [],
    })),
  }))
}

function runRounds(plans) {
  for (let round = 0; round < rounds; round++) {
    for (const { testCase, sides } of plans) {
      // Who comes first changes from round to round.
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        side.ns.push(measure(side.decoder, testCase, side.turns))
      }
    }
  }
}

function report({ testCase, sides: [native, javascript] }) {
  const ratio = median(native.ns.map((ns, round) => javascript.ns[round] / ns))
  const least = Math.min(...javascript.ns) / Math.min(...native.ns)
  const figure = (ns, width) => ns.toFixed(0).padStart(width)
  const cells = [
    testCase.name.padEnd(24),
    `${figure(median(native.ns), 6)} ${figure(Math.min(...native.ns), 6)}`,
    `${figure(median(javascript.ns), 8)} ${figure(Math.min(...javascript.ns), 6)}`,
    `${ratio.toFixed(1).padStart(8)} ${least.toFixed(1).padStart(6)}`,
    `${testCase.required}x, target ${testCase.target}x`.padStart(16),
  ]
  console.log(cells.join('  '))
  const { name, events, required, target } = testCase
  const bytes = testCase.requests[0].body.length || testCase.requests[0].query.length
  const times = (ns) => ({ median: median(ns), min: Math.min(...ns) })
  const sides = { native: times(native.ns), javascript: times(javascript.ns) }
  return { name, events, bytes, ...sides, ratio, least, required, target }
}

proveEqual(decoders, room)
const plans = plan()
runRounds(plans)
console.log(`Node ${process.version}, ${rounds} rounds; nanoseconds an event, median and minimum`)
console.log(
  `${''.padEnd(24)}  ${'native'.padStart(13)}  ${'JavaScript'.padStart(15)}  ${'ratio'.padStart(15)}`,
)
const results = plans.map(report)
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results))
// Whatever disturbs one side alone spoils one of the two: on a busy machine the better one is believed.
if (values.check && results.some(({ ratio, least, required }) => Math.max(ratio, least) < required)) {
  console.error('error: a required ratio was not met')
  process.exitCode = 1
}
