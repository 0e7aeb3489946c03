// All decoders on all payloads, in turns:
//
//   node --expose-gc bench/decoders/survey.mjs --json FILE [--rounds 7] [--quick]
//
// Two groups, each of which first has to give equal results: those that make the bytes of records (native, reference,
// the fastest JavaScript), and those that hand out an object of each event (JavaScript, native with an object made of
// each record, Rust that builds the objects through Node-API). Nanoseconds an event, bytes of payload a second, the share
// of the time in garbage collection, and what is left on the heap afterwards.
import { deepStrictEqual, strictEqual } from 'node:assert'
import { writeFileSync } from 'node:fs'
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { createNativeDecoder } from '../../dist/decode/native.js'
import { createReferenceDecoder } from '../../dist/decode/reference/decoder.js'
import { CONTEXT } from './events.mjs'
import { javaScriptObjects, nodeApiObjects, recordObjects } from './objects.mjs'
import { OPTIONS } from './options.mjs'
import { payloads } from './payloads.mjs'
import { result as recordsOf } from './proof.mjs'
import { JavaScriptDecoder } from './rival.mjs'

const { values } = parseArgs({
  options: { json: { type: 'string' }, rounds: { type: 'string', default: '7' }, quick: { type: 'boolean' } },
})

const SLICE_MS = values.quick ? 3 : 8
/** What one slice leaves behind drowns in what V8 itself keeps now and then. */
const GROWTH_SLICES = 8
const ROOM_BYTES = 8 << 20
const room = { bytes: Buffer.from(new SharedArrayBuffer(ROOM_BYTES)), position: 0, end: ROOM_BYTES }

/** Compressed bodies are inflated by everybody in the same way. */
const plain = (request) => (request.isGzip ? { ...request, body: gunzipSync(request.body) } : request)

function contenders() {
  const decoders = {
    native: createNativeDecoder(OPTIONS),
    javascript: new JavaScriptDecoder(),
    reference: createReferenceDecoder(OPTIONS),
  }
  const records = Object.entries(decoders).map(([name, decoder]) => ({
    name,
    makes: 'records',
    run: (request) => decoder.decode(request, CONTEXT, room),
    resultOf: (request) => recordsOf(decoder, request, room),
  }))
  const objects = [
    ['javascript-objects', javaScriptObjects()],
    ['native-objects', recordObjects(createNativeDecoder(OPTIONS), CONTEXT, room)],
    ['node-api-objects', nodeApiObjects()],
  ].filter(([, run]) => run !== undefined)
  return [
    ...records,
    ...objects.map(([name, run]) => ({ name, makes: 'objects', run, resultOf: (request) => run(request) })),
  ]
}

/** Throws when two of a group differ anywhere. */
function prove(sides, cells) {
  for (const { requests, isRespelled } of cells) {
    for (const request of requests.map(plain)) {
      const results = new Map()
      for (const { name, makes, resultOf } of sides) {
        const respelled = isRespelled && name === 'javascript'
        const own = respelled ? envelopesOf(resultOf(request)) : resultOf(request)
        const first = results.get(makes) ?? own
        results.set(makes, first)
        if (respelled) deepStrictEqual(own, envelopesOf(first), name)
        else if (typeof own === 'string') strictEqual(own, first, name)
        else deepStrictEqual(own, first, name)
      }
    }
  }
}

/** JSON.stringify spells strings in a way of its own (`\\u00e9` becomes `é`): what was sent so is compared by its meaning. */
function envelopesOf(result) {
  const texts = Buffer.from(result, 'latin1').toString().split('{"v":1,').slice(1)
  return texts.map((text) => JSON.parse(`{${text.slice(0, text.lastIndexOf('}') + 1)}`))
}

const gc = { ms: 0 }
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gc.ms += duration
}).observe({ entryTypes: ['gc'] })

function decodeAll({ run }, requests, turns) {
  for (let count = 0; count < turns; count++) {
    for (let index = 0; index < requests.length; index++) run(plain(requests[index]))
  }
}

/** Milliseconds, and how many of them were garbage collection, whose entries come after a turn of the event loop. */
async function timed(side, { requests }, turns) {
  gc.ms = 0
  const startMs = performance.now()
  decodeAll(side, requests, turns)
  const ms = performance.now() - startMs
  await turn()
  await turn()
  return { ms, gcMs: gc.ms }
}

async function turnsFor(side, cell) {
  for (let turns = 1; ; turns *= 2) {
    const { ms } = await timed(side, cell, turns)
    if (ms > SLICE_MS) return Math.max(1, Math.round((turns * SLICE_MS) / ms))
  }
}

/** Bytes that decoding for some slices leaves on the heap when all is collected that can be. */
function heapGrowth(side, { requests }, turns) {
  const used = () => {
    globalThis.gc()
    globalThis.gc()
    return process.memoryUsage().heapUsed
  }
  const before = used()
  decodeAll(side, requests, turns * GROWTH_SLICES)
  return used() - before
}

const sorted = (list) => list.toSorted((one, other) => one - other)
const median = (list) => sorted(list)[list.length >> 1]
const sum = (list) => list.reduce((all, value) => all + value, 0)

function figuresOf({ turns, slices, growth }, { events, bytes }) {
  const decoded = turns * events
  const ns = slices.map(({ ms }) => (ms * 1e6) / decoded)
  return {
    ns: { median: median(ns), min: Math.min(...ns) },
    bytes_per_s: Math.round((turns * bytes * 1000) / median(slices.map(({ ms }) => ms))),
    gc_share: sum(slices.map(({ gcMs }) => gcMs)) / sum(slices.map(({ ms }) => ms)),
    heap_growth: { bytes: growth, events: decoded * GROWTH_SLICES },
  }
}

/** Events and payload bytes of all requests of a cell; how many events a recorded request brings is not written on it. */
function sizesOf(cell, native) {
  const batches = cell.requests.map((request) => native.run(plain(request)).rows)
  const bytes = cell.requests.map(({ body, query }) => (body.length > 0 ? body.length : query.length))
  return { events: sum(batches), bytes: sum(bytes) }
}

async function measureCell(cell, sides, rounds) {
  const own = []
  for (const side of sides) own.push({ side, turns: await turnsFor(side, cell), slices: [] })
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 === 0 ? own : own.toReversed()) {
      one.slices.push(await timed(one.side, cell, one.turns))
    }
  }
  const { wrap, payload, events, requests } = cell
  const sizes = sizesOf(cell, sides[0])
  const figures = own.map((one) => {
    const growth = heapGrowth(one.side, cell, one.turns)
    return [one.side.name, figuresOf({ ...one, growth }, sizes)]
  })
  const perRequest = Math.round(sizes.bytes / requests.length)
  return { wrap, payload, events: events ?? null, request_bytes: perRequest, ...Object.fromEntries(figures) }
}

const cells = await payloads(values.quick)
const sides = contenders()
prove(sides, cells)
const results = []
for (const cell of cells) results.push(await measureCell(cell, sides, Number(values.rounds)))
writeFileSync(values.json, JSON.stringify(results))
