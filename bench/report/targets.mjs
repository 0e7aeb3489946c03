// The targets T1 to T8, each judged on one record: target, what was measured, whether it holds.
import { cellOf, difference, figure, median, ratio } from './statistics.mjs'

const MIB = 2 ** 20
const HEAP_GROWTH_BYTES_MAX = MIB
const LINEAR_RATIO_MAX = 1.25

/**
 * @typedef {{text: string, ok: boolean}} Check a figure beside its limit; `text` undefined: not measured
 */
const atMost = (label, value, limit, unit = '', digits = 2) =>
  check(label, value, value <= limit, unit, digits)
const atLeast = (label, value, limit, unit = '', digits = 2) =>
  check(label, value, value >= limit, unit, digits)

/** Beside the others, without a limit of its own. */
const told = (label, value, unit, digits) => check(label, value, true, unit, digits)

function check(label, value, ok, unit, digits) {
  if (value === undefined || Number.isNaN(value)) return { label, missing: true }
  return { label, text: `${label} ${value.toFixed(digits)}${unit}`, ok }
}

function verdictOf(checks) {
  const measured = checks.filter((one) => !one.missing)
  if (measured.some((one) => !one.ok)) return 'falls short'
  if (measured.length === checks.length) return 'holds'
  return measured.length === 0 ? 'not measured' : 'holds in part'
}

function row(name, target, checks, reason = 'this part was left out of the run') {
  const measured = checks.filter((one) => !one.missing).map((one) => (one.ok ? one.text : `**${one.text}**`))
  const missing = checks.filter((one) => one.missing).map((one) => one.label)
  if (missing.length > 0) measured.push(`not measured: ${missing.join(', ')} (${reason})`)
  return { name, target, measured: measured.join(' · '), verdict: verdictOf(checks) }
}

function decoding({ decoders }) {
  const target =
    '≥ 8x the fastest JavaScript that makes the same bytes at 400 B (JSON, base64 form), never below 3x'
  const wanted = (decoders ?? []).filter(({ target: limit }) => limit !== undefined)
  if (wanted.length === 0) return row('T1', target, [{ label: 'all', missing: true }])
  const checks = wanted.map((one) => atLeast(one.name, one.ratio, one.target, 'x', 1))
  return row('T1', target, checks)
}

/** The few-connection and the many-connection cells of two contenders, single events. */
function compared({ servers }, contender, other, name, shapes = ['form', 'json']) {
  return shapes.flatMap((shape) =>
    [64, 256].map((connections) => {
      const pair = [contender, other].map((one) => cellOf(servers, { contender: one, shape, connections }))
      return { label: `${shape} at ${connections}`, value: ratio(pair[0], pair[1], name) }
    }),
  )
}

/** Many connections are only measured in full runs. */
const shown = (pairs) => pairs.filter(({ value, label }) => value !== undefined || label.endsWith(' 64'))

function withoutLog(record) {
  const pairs = shown(compared(record, 'sluicegate-no-log', 'fastify-tuned', 'main_us'))
  return row(
    'T2',
    '`/track` with decoding and validation, no log: ≤ 1.10x the main-thread CPU of a tuned no-op Fastify',
    pairs.map(({ label, value }) => atMost(label, value, 1.1, 'x')),
  )
}

function withLog(record) {
  const cpu = shown(compared(record, 'sluicegate', 'fastify-tuned', 'main_us'))
  const rate = shown(compared(record, 'sluicegate', 'fastify-stock', 'requests_per_s', ['json']))
  return row(
    'T3',
    'the same with the synced answer: ≤ 1.15x that CPU, ≥ 1.0x the requests/s of a stock Fastify JSON no-op',
    [
      ...cpu.map(({ label, value }) => atMost(`CPU ${label}`, value, 1.15, 'x')),
      ...rate.map(({ label, value }) => atLeast(`requests/s ${label}`, value, 1.0, 'x')),
    ],
  )
}

function manyEvents({ batches }) {
  const cell = (events) => cellOf(batches, { contender: 'sluicegate', events })
  const ours = (batches ?? []).filter(({ contender }) => contender === 'sluicegate')
  const without = (batches ?? []).filter(({ contender }) => contender === 'sluicegate-no-log')
  const best = (cells, eventsPerS) =>
    cells.length === 0 ? undefined : Math.max(...cells.map(eventsPerS)) / 1000
  const rate = (one) => figure(one, 'events_per_s')
  /** What the main thread could take with a core of its own: the threads that write and sync have another. */
  const ofMain = (one) => (one.events / figure(one, 'main_us')) * 1e6
  return row(
    'T4',
    '≤ 0.9 µs of main thread a further event; 50 events ≤ 3x one; > 600 k events/s on one core; linear to 2000',
    [
      atMost('µs a further event', difference(cell(50), cell(1), 'main_us') / 49, 0.9),
      atMost('50 against 1', ratio(cell(50), cell(1), 'main_us'), 3, 'x'),
      atLeast('events/s by the core of the main thread', best(ours, ofMain), 600, ' k', 0),
      told('with all threads on that core', best(ours, rate), ' k', 0),
      told('without log', best(without, rate), ' k', 0),
      atMost(
        'an event of 2000 against one of 50',
        (ratio(cell(2000), cell(50), 'main_us') * 50) / 2000,
        LINEAR_RATIO_MAX,
        'x',
      ),
    ],
  )
}

function latency({ constant }) {
  const p99 = constant && median(constant.runs.map((run) => run.p99_us)) / 1000
  return row(
    'T5',
    'p99 < 5 ms at 80 % of the highest rate; loop delay p99 < 5 ms while bodies of 2 MB arrive',
    [atMost('p99', p99, 5, ' ms'), atMost('loop delay p99', constant?.loop_ms.p99, 5, ' ms')],
  )
}

function memory({ steady }) {
  const growth = steady && (steady.heap_after_bytes - steady.heap_before_bytes) / MIB
  return row('T6', 'no heap growth; < 2 % of the time in GC; RSS < 150 MiB at 5 000 requests/s', [
    atMost('heap growth', growth, HEAP_GROWTH_BYTES_MAX / MIB, ' MiB'),
    atMost('GC', steady && steady.gc_share * 100, 2, ' %'),
    atMost('GC at full load', steady && steady.gc_share_full_load * 100, 2, ' %'),
    atMost('RSS', steady && steady.rss_max_bytes / MIB, 150, ' MiB', 0),
  ])
}

const STORY = [
  ['python', 7, 15],
  ['erlang-mochijson2', 5, 25],
  ['erlang-jiffy', 4, 10],
]

const rivalReason = ({ baselines }, name) => baselines?.unable.find((one) => one.name === name)?.reason

function story(record) {
  const cells = record.baselines?.cells
  const times = (name, shape) =>
    ratio(...[name, 'sluicegate'].map((contender) => cellOf(cells, { contender, shape })), 'process_us')
  const checks = STORY.flatMap(([name, single, batch]) => [
    atLeast(`${name} form`, times(name, 'form'), single, 'x', 1),
    atLeast(`batch`, times(name, 'batch'), batch, 'x', 1),
  ])
  const reasons = STORY.map(([name]) => rivalReason(record, name)).filter(Boolean)
  const target =
    'requests a CPU second against the servers of the story (theirs: a memory queue; ours: synced): single forms ' +
    '≥ 7x Python, ≥ 5x Erlang with mochijson2, ≥ 4x with jiffy; batches of 50 ≥ 15x, ≥ 25x, ≥ 10x'
  return row('T7', target, checks, reasons.length > 0 ? reasons.join('; ') : undefined)
}

function today(record) {
  const cells = record.baselines?.cells
  const share = (shape, ...pair) =>
    ratio(...pair.map((contender) => cellOf(cells, { contender, shape })), 'process_us')
  const reasons = ['axum', 'axum-kafka', 'sluicegate-kafka'].map((name) => rivalReason(record, name))
  const target =
    'process CPU, synced answer: single form ≤ 0.85x of a Rust collector (axum) that stores nothing, batches of 50 ' +
    '≤ 0.15x; single form with shipping ≤ 0.6x of the same with Kafka acks=all'
  return row(
    'T8',
    target,
    [
      atMost('form', share('form', 'sluicegate', 'axum'), 0.85, 'x'),
      atMost('batch', share('batch', 'sluicegate', 'axum'), 0.15, 'x'),
      atMost('form with Kafka', share('form', 'sluicegate-kafka', 'axum-kafka'), 0.6, 'x'),
    ],
    [...new Set(reasons.filter(Boolean))].join('; ') || undefined,
  )
}

/** @returns {{name: string, target: string, measured: string, verdict: string}[]} T1 to T8 */
export function judge(record) {
  return [decoding, withoutLog, withLog, manyEvents, latency, memory, story, today].map((one) => one(record))
}
