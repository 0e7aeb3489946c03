// The pictures of a record: file name → SVG.
import { figure } from './statistics.mjs'
import { lineChart, short } from './svg.mjs'
import { titleOf } from './tables.mjs'

const milliseconds = (us) => `${short(us / 1000)} ms`

const seconds = { label: 'seconds' }

/** Of a run over time: `[second, value]`; the first window, in which connections open, is left out. */
const overTime = (series, value) =>
  series.slice(1).flatMap((window) => (value(window) > 0 ? [[window.at_ms / 1000, value(window)]] : []))

const sent = ({ processes, connections }) =>
  `an access log as base64 forms, ${processes} clients with ${connections} connections each, server on one core`

function requestRate({ replay }) {
  return lineChart({
    title: 'Requests per second over time',
    note: `${sent(replay)}; sluicegate answers once it is on disk`,
    x: seconds,
    y: {},
    series: replay.runs.map(({ contender, series }, colour) => {
      const windowS = (series[1].at_ms - series[0].at_ms) / 1000
      const points = overTime(series, ({ requests }) => requests / windowS)
      return { name: titleOf(contender), colour, points }
    }),
  })
}

function roundTrips({ replay }) {
  return lineChart({
    title: 'Round trip over time, at full load',
    note: `${sent(replay)}; median`,
    x: seconds,
    y: { log: true, format: milliseconds },
    series: replay.runs.map(({ contender, series }, colour) => ({
      name: titleOf(contender),
      colour,
      points: overTime(series, (window) => window.p50_us),
    })),
  })
}

/** 99.9 % is as far from 99 % as that is from 90 %. */
const NINES = [50, 90, 99, 99.9, 99.99]
const rarity = (percent) => 1 / (1 - percent / 100)
const tail = (curve) =>
  curve.filter(([percent]) => percent >= 50 && percent < 100).map(([percent, us]) => [rarity(percent), us])

function percentiles({ constant, replay }) {
  const ours = constant.runs.map((run, index) => ({
    name: `sluicegate at 80 %, run ${index + 1}`,
    colour: 0,
    dashed: index > 0,
    points: tail(run.curve),
  }))
  const full = replay.runs.map(({ contender, curve }, colour) => {
    return { name: titleOf(contender), colour: colour + 1, points: tail(curve) }
  })
  return lineChart({
    title: 'Round-trip latency percentiles',
    note: `constant ${constant.rate} requests/s counted from the intended send time; others: the replay at full load`,
    x: {
      label: 'percentile',
      log: true,
      ticks: NINES.map(rarity),
      format: (value) => `${Number((100 - 100 / value).toFixed(2))} %`,
    },
    y: { log: true, format: milliseconds },
    series: [...ours, ...full],
  })
}

function cost(cells, by, { title, note, label, each = () => 1 }) {
  const names = [...new Set(cells.map(({ contender }) => contender))]
  const series = names.map((name, colour) => {
    const own = cells.filter(({ contender }) => contender === name)
    const points = own.map((cell) => [cell[by], figure(cell, 'main_us') / each(cell)])
    return { name: titleOf(name), colour, points }
  })
  return lineChart({
    title,
    note,
    x: { label, log: true },
    y: { log: true, format: (us) => `${short(us)} µs` },
    series,
  })
}

const byEventSize = ({ sizes }) =>
  cost(sizes, 'bytes', {
    title: 'Main-thread CPU a request, by event size',
    note: 'single JSON events, 64 connections',
    label: 'bytes of the event',
  })

const byBatchSize = ({ batches }) =>
  cost(batches, 'events', {
    title: 'Main-thread CPU an event, by batch size',
    note: 'JSON events of 400 bytes, 64 connections',
    label: 'events a request',
    each: ({ events }) => events,
  })

/** @returns {Map<string, string>} of what the record has */
export function pictures(record) {
  const all = [
    ['requests-over-time', requestRate, ['replay']],
    ['latency-over-time', roundTrips, ['replay']],
    ['latency-percentiles', percentiles, ['constant', 'replay']],
    ['cost-by-event-size', byEventSize, ['sizes']],
    ['cost-by-batch-size', byBatchSize, ['batches']],
  ]
  const able = all.filter(([, , needs]) => needs.every((part) => record[part] !== undefined))
  return new Map(able.map(([name, draw]) => [`${name}.svg`, draw(record)]))
}
