// The pictures of a record: file name → SVG.
import { CONTENDERS } from '../http/contenders.mjs'
import { figure } from './statistics.mjs'
import { lineChart, short } from './svg.mjs'

const titleOf = (name) => CONTENDERS.find((one) => one.name === name).title
const colourOf = (name) => CONTENDERS.findIndex((one) => one.name === name)
const milliseconds = (us) => `${short(us / 1000)} ms`

const seconds = { label: 'seconds' }

/** Of a run over time: `[second, value]`; the first window, in which connections open, is left out. */
const overTime = (series, value) =>
  series.slice(1).flatMap((window) => (value(window) > 0 ? [[window.at_ms / 1000, value(window)]] : []))

function requestRate({ time }) {
  return lineChart({
    title: 'Requests per second over time',
    note: 'single JSON events, 100 connections, server on one core; sluicegate answers after the sync',
    x: seconds,
    y: {},
    series: time.map(({ contender, series }) => {
      const windowS = (series[1].at_ms - series[0].at_ms) / 1000
      const points = overTime(series, ({ requests }) => requests / windowS)
      return { name: titleOf(contender), colour: colourOf(contender), points }
    }),
  })
}

function roundTrips({ time }) {
  return lineChart({
    title: 'Round trip over time, at full load',
    note: 'median (line) and 99th percentile (dashed), 100 connections',
    x: seconds,
    y: { log: true, format: milliseconds },
    series: time.flatMap(({ contender, series }) => [
      {
        name: titleOf(contender),
        colour: colourOf(contender),
        points: overTime(series, (window) => window.p50_us),
      },
      {
        name: `${titleOf(contender)}, p99`,
        colour: colourOf(contender),
        dashed: true,
        points: overTime(series, (window) => window.p99_us),
      },
    ]),
  })
}

/** 99.9 % is as far from 99 % as that is from 90 %. */
const NINES = [50, 90, 99, 99.9, 99.99]
const rarity = (percent) => 1 / (1 - percent / 100)
const tail = (curve) =>
  curve.filter(([percent]) => percent >= 50 && percent < 100).map(([percent, us]) => [rarity(percent), us])

function percentiles({ constant, time }) {
  const ours = constant.runs.map((run, index) => ({
    name: `sluicegate at 80 %, run ${index + 1}`,
    colour: 0,
    dashed: index > 0,
    points: tail(run.curve),
  }))
  const full = time.map(({ contender, curve }) => {
    return { name: `${titleOf(contender)}, full load`, colour: colourOf(contender) + 1, points: tail(curve) }
  })
  return lineChart({
    title: 'Round-trip latency percentiles',
    note: `constant ${constant.rate} requests/s counted from the intended send time; others with 100 connections at full load`,
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
  const series = names.map((name) => {
    const own = cells.filter(({ contender }) => contender === name)
    const points = own.map((cell) => [cell[by], figure(cell, 'main_us') / each(cell)])
    return { name: titleOf(name), colour: colourOf(name), points }
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
    ['requests-over-time', requestRate, ['time']],
    ['latency-over-time', roundTrips, ['time']],
    ['latency-percentiles', percentiles, ['constant', 'time']],
    ['cost-by-event-size', byEventSize, ['sizes']],
    ['cost-by-batch-size', byBatchSize, ['batches']],
  ]
  const able = all.filter(([, , needs]) => needs.every((part) => record[part] !== undefined))
  return new Map(able.map(([name, draw]) => [`${name}.svg`, draw(record)]))
}
