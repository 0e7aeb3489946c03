// The tables of a record, for the terminal and for Markdown alike: a title, columns, rows of text.
import { CONTENDERS } from '../http/contenders.mjs'
import { SHAPES } from '../http/requests.mjs'
import { RIVALS } from '../baselines/contenders.mjs'
import { cellOf, figure, least, ratio } from './statistics.mjs'

const KNOWN = [...CONTENDERS, ...RIVALS]
const knownOf = (name) => KNOWN.find((one) => one.name === name)
export const titleOf = (name) => knownOf(name).title

const us = (value) => value.toFixed(value < 10 ? 2 : 1)
const ms = (value) => (value / 1000).toFixed(1)
const thousands = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
const times = (value) => (value === undefined ? '' : `${value.toFixed(2)}x`)

const LOAD_COLUMNS = [
  '',
  'main thread µs',
  'least',
  'process µs',
  'main, of tuned',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'RSS MiB',
]

function loadRow(cell, tuned) {
  return [
    titleOf(cell.contender),
    us(figure(cell, 'main_us')),
    us(least(cell, 'main_us')),
    us(figure(cell, 'process_us')),
    times(ratio(cell, tuned, 'main_us')),
    thousands(figure(cell, 'requests_per_s')),
    ms(figure(cell, 'p50_us')),
    ms(figure(cell, 'p99_us')),
    ms(figure(cell, 'p999_us')),
    (Math.max(...cell.rounds.map((round) => round.rss_bytes)) / 2 ** 20).toFixed(0),
  ]
}

function serverTables({ servers = [] }) {
  const kinds = SHAPES.flatMap((shape) => [64, 256].map((connections) => ({ shape, connections })))
  return kinds.flatMap(({ shape, connections }) => {
    const cells = servers.filter((cell) => cell.shape === shape.name && cell.connections === connections)
    if (cells.length === 0) return []
    const tuned = cellOf(cells, { contender: 'fastify-tuned' })
    const title = `${shape.title}, ${connections} connections: CPU a request`
    return [{ title, columns: LOAD_COLUMNS, rows: cells.map((cell) => loadRow(cell, tuned)) }]
  })
}

function rivalTables({ baselines }) {
  if (baselines === undefined) return []
  const columns = [
    '',
    'process µs, form',
    'of ours',
    'process µs, batch of 50',
    'of ours',
    'events/s, batches',
    'what stands behind its answer',
  ]
  const names = [...new Set(baselines.cells.map(({ contender }) => contender))]
  const rows = names.map((name) => {
    const [form, batch] = ['form', 'batch'].map((shape) =>
      cellOf(baselines.cells, { contender: name, shape }),
    )
    const [ourForm, ourBatch] = ['form', 'batch'].map((shape) =>
      cellOf(baselines.cells, { contender: 'sluicegate', shape }),
    )
    return [
      titleOf(name),
      us(figure(form, 'process_us')),
      times(ratio(form, ourForm, 'process_us')),
      us(figure(batch, 'process_us')),
      times(ratio(batch, ourBatch, 'process_us')),
      thousands(figure(batch, 'events_per_s')),
      knownOf(name).behind,
    ]
  })
  const absent = baselines.unable.map(({ title, reason }) => [
    title,
    '',
    '',
    '',
    '',
    '',
    `not measured: ${reason}`,
  ])
  return [
    {
      title: 'The servers of the story, and today’s: process CPU a request',
      columns,
      rows: [...rows, ...absent],
    },
  ]
}

function sizeTable(cells, by, title, unit) {
  if (cells === undefined) return []
  const names = [...new Set(cells.map(({ contender }) => contender))]
  const values = [...new Set(cells.map((cell) => cell[by]))]
  const rows = values.map((value) => [
    thousands(value),
    ...names.map((contender) => us(figure(cellOf(cells, { contender, [by]: value }), 'main_us'))),
  ])
  return [{ title, columns: [unit, ...names.map(titleOf)], rows }]
}

function constantTable({ constant }) {
  if (constant === undefined) return []
  const row = (name, { requests, unanswered, p50_us, p99_us, p999_us, max_us }) => [
    name,
    thousands(requests),
    String(unanswered),
    ...[p50_us, p99_us, p999_us, max_us].map(ms),
  ]
  return [
    {
      title: 'Constant rates, latencies from the intended send time',
      columns: ['', 'requests', 'unanswered', 'p50 ms', 'p99 ms', 'p99.9 ms', 'max ms'],
      rows: [
        ...constant.runs.map((run, index) =>
          row(`${constant.rate}/s (80 % of ${Math.round(constant.max_per_s)}), run ${index + 1}`, run),
        ),
        row(`the same, ${titleOf('fastify-tuned')}`, constant.no_op),
        row('bodies of 2 MB, 10 a second', constant.big),
        row('single events beside them, 1000 a second', constant.beside),
      ],
    },
  ]
}

function decoderTable({ decoders }) {
  if (decoders === undefined) return []
  const rows = decoders.map(({ name, native, javascript, ratio: faster }) => [
    name,
    native.median.toFixed(0),
    javascript.median.toFixed(0),
    `${faster.toFixed(1)}x`,
  ])
  return [{ title: 'Decoders: nanoseconds an event', columns: ['', 'native', 'JavaScript', 'ratio'], rows }]
}

const DECODERS = [
  ['native', 'native'],
  ['javascript', 'JavaScript'],
  ['reference', 'reference'],
  ['javascript-objects', 'objects: JavaScript'],
  ['native-objects', 'native, then JSON.parse'],
  ['node-api-objects', 'built through Node-API'],
]
const payloadTitle = ({ wrap, payload, events }) =>
  [wrap, payload, events === null || events === 1 ? '' : `${events} a request`].filter(Boolean).join(', ')

/** All decoders on all payloads: one table of times, one of what else they cost. */
function surveyTables({ survey }) {
  if (survey === undefined) return []
  const there = DECODERS.filter(([name]) => survey[0][name] !== undefined)
  const columns = ['', ...there.map(([, title]) => title)]
  const rowsOf = (cell) => survey.map((one) => [payloadTitle(one), ...there.map(([name]) => cell(one[name]))])
  const percent = (share) => `${(share * 100).toFixed(1)}%`
  const kib = ({ bytes, events }) => `${(bytes / 1024).toFixed(0)} / ${thousands(events)}`
  return [
    {
      title: 'All decoders: nanoseconds an event (left: bytes of records; right: plain objects)',
      columns,
      rows: rowsOf(({ ns }) => thousands(ns.median)),
    },
    {
      title: 'All decoders: megabytes of payload a second',
      columns,
      rows: rowsOf(({ bytes_per_s }) => (bytes_per_s / 1e6).toFixed(0)),
    },
    {
      title: 'All decoders: share of the time in garbage collection',
      columns,
      rows: rowsOf(({ gc_share }) => percent(gc_share)),
    },
    {
      title: 'All decoders: KiB left on the heap after so many events',
      columns,
      rows: rowsOf(({ heap_growth }) => kib(heap_growth)),
    },
  ]
}

function replayTable({ replay }) {
  if (replay === undefined) return []
  const { processes, connections, runs } = replay
  const rows = runs.map((run) => [
    titleOf(run.contender),
    thousands((run.requests / run.duration_us) * 1e6),
    ...[run.p50_us, run.p99_us, run.p999_us].map(ms),
    knownOf(run.contender).behind,
  ])
  return [
    {
      title: `An access log replayed by ${processes} clients with ${connections} connections each`,
      columns: ['', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'what stands behind its answer'],
      rows,
    },
  ]
}

export function targetTable(rows) {
  return {
    title: 'Targets',
    columns: ['', 'target', 'measured', ''],
    rows: rows.map(({ name, target, measured, verdict }) => [name, target, measured, verdict]),
  }
}

/** All of a record's tables but that of the targets. */
export function tables(record) {
  return [
    ...decoderTable(record),
    ...surveyTables(record),
    ...serverTables(record),
    ...constantTable(record),
    ...sizeTable(record.batches, 'events', 'Main-thread CPU a request in µs, by batch size', 'events'),
    ...sizeTable(record.sizes, 'bytes', 'Main-thread CPU a request in µs, by event size', 'bytes'),
    ...rivalTables(record),
    ...replayTable(record),
  ]
}

export function markdown({ columns, rows }) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  const isNumber = (index) => index > 0 && rows.every((row) => /^[\d .x%]*$/.test(row[index]))
  return [
    line(columns),
    line(columns.map((_, index) => (isNumber(index) ? '--:' : '---'))),
    ...rows.map(line),
  ].join('\n')
}

/** In columns for a terminal; a table with long texts becomes paragraphs. */
export function plain({ title, columns, rows }) {
  const all = [columns, ...rows]
  const widths = columns.map((_, index) => Math.max(...all.map((row) => row[index].length)))
  const line = (row) =>
    row.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index]))).join('  ')
  return [title, ...all.map((row) => `  ${line(row).trimEnd()}`)].join('\n')
}

const VERDICT_WIDTH = 13

/** @param {{name: string, text: string}[]} floors of floors.mjs */
export function plainTargets({ rows }, floors) {
  const bare = (text) => text.replaceAll('**', '').replaceAll('`', '')
  const floorOf = (name) => floors.find((one) => one.name === name)
  const indent = `\n${' '.repeat(VERDICT_WIDTH + 6)}`
  return rows
    .map(([name, target, measured, verdict]) => {
      const lines = [bare(target), bare(measured), floorOf(name)?.text].filter(Boolean)
      return `${name}  ${verdict.padEnd(VERDICT_WIDTH)}  ${lines.join(indent)}`
    })
    .join('\n')
}
