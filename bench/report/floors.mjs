// What stands in the way of a target that is not met, in figures of the same record.
import { cellOf, figure } from './statistics.mjs'

const us = (value) => `${value.toFixed(1)} µs`
const thousands = (value) => `${(value / 1000).toFixed(1)} k/s`

function decoding({ decoders }) {
  const [json, form] = ['JSON body', 'base64 form'].map((name) => decoders.find((one) => one.name === name))
  if (form.ratio >= form.target) return undefined
  const wanted = form.javascript.median / form.target
  const [plain, whole] = [json.native.median, form.native.median]
  return (
    `${form.target}x for a form would be ${wanted.toFixed(0)} ns. The same event as plain JSON takes ${plain.toFixed(0)} ns ` +
    `of them, so query, form and ${form.bytes} bytes of base64 would have to take ${(wanted - plain).toFixed(0)} ns ` +
    `instead of ${(whole - plain).toFixed(0)}.`
  )
}

const SINGLE = { shape: 'json', connections: 64 }

function withoutLog({ servers }) {
  const [ours, noOp] = ['sluicegate-no-log', 'fastify-tuned'].map((contender) =>
    figure(cellOf(servers, { contender, shape: 'form', connections: 64 }), 'main_us'),
  )
  if (ours === undefined) return undefined
  return (
    `A form takes ${us(ours - noOp)} more than the no-op; the decoder's own part of it is in the decoders' table, the rest is ` +
    `limits, memory budget, counting, order and the reply.`
  )
}

function withLog({ servers, disk }) {
  const of = (contender, name) => figure(cellOf(servers, { ...SINGLE, contender }), name)
  const [main, all, noLog] = [
    of('sluicegate', 'main_us'),
    of('sluicegate', 'process_us'),
    of('sluicegate-no-log', 'process_us'),
  ]
  if (main === undefined || noLog === undefined) return undefined
  return (
    `All threads share one core here: of ${us(all)} a JSON request at 64 connections ${us(all - main)} are the threads that ` +
    `write and sync, which have a core of their own elsewhere; the main thread alone would allow ${thousands(1e6 / main)}. ` +
    `Without log the process takes ${us(noLog)}, stock Fastify ${us(of('fastify-stock', 'process_us'))}. A durable write of ` +
    `${disk.bytes / 1024} KiB by itself takes ${us(disk.main_us)} of main thread and ${us(disk.process_us)} in all, shared ` +
    `by the requests of a batch.`
  )
}

function manyEvents({ batches, decoders }) {
  const cell = (contender) => cellOf(batches, { contender, events: 50 })
  const [ours, noLog] = [cell('sluicegate'), cell('sluicegate-no-log')]
  if (ours === undefined || noLog === undefined) return undefined
  const [all, main] = [figure(ours, 'process_us'), figure(ours, 'main_us')]
  const alone = decoders?.find(({ name }) => name === 'JSON body, 50 events')
  return (
    `Of ${us(all)} for 50 events ${us(all - main)} are the kernel's work for write and sync of their records, on the ` +
    `same core; without log the process takes ${us(figure(noLog, 'process_us'))}.` +
    (alone === undefined ? '' : ` ${speedOf(alone)}`)
  )
}

/** The limit is a time, and machines differ, from one hour to the next, too: what it is a part of tells how fast this one is. */
function speedOf({ native, javascript }) {
  return (
    `To decode one of them takes ${(native.median / 1000).toFixed(2)} µs by itself in this run, and the fastest JavaScript ` +
    `${(javascript.median / 1000).toFixed(1)} µs.`
  )
}

function latency({ constant, disk }) {
  if (constant?.no_op === undefined) return undefined
  return (
    `A server that does nothing has a p99 of ${(constant.no_op.p99_us / 1000).toFixed(1)} ms at the same rate from the same ` +
    `load generator on this machine; a durable write by itself has one of ${(disk.p99_us / 1000).toFixed(1)} ms.`
  )
}

/** bare node:http on the same core: nothing that answers through it can take less. */
function bare({ servers }, shape) {
  return figure(cellOf(servers, { contender: 'node-http', shape, connections: 64 }), 'process_us')
}

function against(record, rivals) {
  const [form, batch] = ['form', 'batch'].map((shape) => bare(record, shape))
  if (form === undefined || record.baselines === undefined) return undefined
  const parts = rivals.flatMap(([contender, formShare, batchShare]) => {
    const of = (shape) => figure(cellOf(record.baselines.cells, { contender, shape }), 'process_us')
    if (of('form') === undefined) return []
    return [`${contender}: ${us(of('form') * formShare)} and ${us(of('batch') * batchShare)}`]
  })
  return (
    `What the limits allow for a form and for a batch of 50: ${parts.join('; ')}. Bare node:http, which reads the body and ` +
    `answers, takes ${us(form)} and ${us(batch)} of process CPU.`
  )
}

const story = (record) =>
  against(record, [
    ['python', 1 / 7, 1 / 15],
    ['erlang-mochijson2', 1 / 5, 1 / 25],
    ['erlang-jiffy', 1 / 4, 1 / 10],
  ])

function today(record) {
  const of = (contender) => figure(cellOf(record.baselines.cells, { contender, shape: 'form' }), 'process_us')
  const texts = [against(record, [['axum', 0.85, 0.15]])]
  const [shipping, synced, rival] = ['sluicegate-kafka', 'sluicegate', 'axum-kafka'].map(of)
  if (shipping !== undefined && rival !== undefined) {
    texts.push(
      `With Kafka the limit allows ${us(rival * 0.6)} for a form; the synced answer alone takes ${us(synced)}, ` +
        `shipping ${us(shipping - synced)} more.`,
    )
  }
  return texts.filter(Boolean).join(' ') || undefined
}

const FLOORS = new Map([
  ['T1', decoding],
  ['T2', withoutLog],
  ['T3', withLog],
  ['T4', manyEvents],
  ['T5', latency],
  ['T7', story],
  ['T8', today],
])

/** @returns {{name: string, text: string}[]} of the targets that fall short */
export function floors(record) {
  return record.targets.flatMap(({ name, verdict }) => {
    const text = verdict === 'falls short' ? FLOORS.get(name)?.(record) : undefined
    return text === undefined ? [] : [{ name, text }]
  })
}
