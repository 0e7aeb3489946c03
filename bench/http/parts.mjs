// What is measured of the servers; each part is one member of the record (bench/README.md).
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runLoad } from './load.mjs'
import { rssOf } from './cpu.mjs'
import { fileOf, interleave } from './measure.mjs'
import { EVENT_BYTES, SHAPES } from './requests.mjs'
import { median } from '../report/statistics.mjs'

const shapeNamed = (name) => SHAPES.find((shape) => shape.name === name)

export const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 200, 500, 2000]
export const EVENT_SIZES = [60, 400, 1000, 4000, 16_000, 64_000, 256_000, 1_000_000]
const QUICK_BATCH_SIZES = [1, 50, 2000]
const QUICK_EVENT_SIZES = [60, 16_000]

const batchShape = (events) => ({ name: `batch-${events}`, wrap: 'json', events, bytes: EVENT_BYTES })
const sizeShape = (bytes) => ({ name: `size-${bytes}`, wrap: 'json', events: 1, bytes })

export const batchShapes = ({ quick }) => (quick ? QUICK_BATCH_SIZES : BATCH_SIZES).map(batchShape)
export const sizeShapes = ({ quick }) => (quick ? QUICK_EVENT_SIZES : EVENT_SIZES).map(sizeShape)

const pick = (started, names) => started.filter(({ contender }) => names.includes(contender.name))

/** All contenders, all shapes, few and many connections. */
export function matrix(bench, started) {
  const connections = (shape) => (bench.quick || shape.events > 1 ? [64] : [64, 256])
  const cells = SHAPES.flatMap((shape) =>
    connections(shape).flatMap((count) =>
      started
        .filter(({ contender }) => contender.wraps.includes(shape.wrap))
        .map((one) => ({ ...one, shape, connections: count })),
    ),
  )
  return interleave(bench, 'servers', cells, { rounds: bench.rounds, seconds: bench.seconds })
}

const SIZED = ['sluicegate', 'sluicegate-no-log', 'sluicegate-reference', 'fastify-stock']
const QUICK_SIZED = ['sluicegate', 'sluicegate-no-log']

/** What a request costs by how many events it brings, or by how large its one event is. */
export function bySize(bench, started, label, shapes, rounds = bench.rounds) {
  const servers = pick(started, bench.quick ? QUICK_SIZED : SIZED)
  const cells = shapes.flatMap((shape) => servers.map((one) => ({ ...one, shape, connections: 64 })))
  return interleave(bench, label, cells, { rounds, seconds: 1 })
}

const CONSTANT_SHARE = 0.8
const CONSTANT_CONNECTIONS = 256
const BIG = { name: 'big', wrap: 'json', events: 2000, bytes: 1000 }
const BIG_PER_S = 10
const BESIDE_BIG_PER_S = 1000

/** A constant rate at a share of the highest one, and the delays of the event loop while bodies of 2 MB arrive. */
export async function constant(bench, started, maxPerS) {
  const [{ child }] = pick(started, ['sluicegate'])
  const [control] = pick(started, ['fastify-tuned'])
  const seconds = bench.quick ? 2 : 15
  const rate = Math.round(CONSTANT_SHARE * maxPerS)
  const load = { port: child.port, cpu: bench.cores.load, seconds }
  bench.progress(`constant rate: ${rate} requests/s for ${seconds} s`)
  const form = fileOf(bench, shapeNamed('form'))
  const runs = []
  for (let round = 0; round < (bench.quick ? 1 : 3); round++) {
    runs.push(await runLoad({ ...load, files: [form], connections: CONSTANT_CONNECTIONS, rate }))
  }
  bench.progress('constant rate: the same for a server that does nothing')
  const noOp = await runLoad({
    ...load,
    port: control.child.port,
    files: [form],
    connections: CONSTANT_CONNECTIONS,
    rate,
  })
  bench.progress(`bodies of 2 MB, ${BIG_PER_S} a second, for ${seconds} s`)
  await child.ask('mark', { loop: true })
  const [big, beside] = await Promise.all([
    runLoad({ ...load, files: [fileOf(bench, BIG)], connections: 4, rate: BIG_PER_S }),
    runLoad({ ...load, files: [form], connections: 32, rate: BESIDE_BIG_PER_S }),
  ])
  const { loop } = await child.ask('stats')
  await child.ask('mark')
  return {
    rate,
    max_per_s: maxPerS,
    connections: CONSTANT_CONNECTIONS,
    seconds,
    runs,
    no_op: noOp,
    big,
    beside,
    loop_ms: loop,
  }
}

/** A batch of the log as it is at full load with 64 connections: half of them wait for a sync, half fill the next one. */
const DISK_BATCH_BYTES = 32 * 1024
const DISK = fileURLToPath(new URL('disk.mjs', import.meta.url))

/** A durable write by itself, in a process that does nothing else (disk.mjs). */
export function disk(bench) {
  bench.progress('a durable write by itself')
  const options = { directory: bench.directory, bytes: DISK_BATCH_BYTES, batches: bench.quick ? 1000 : 4000 }
  const args = ['-c', String(bench.cores.server), process.execPath, DISK, JSON.stringify(options)]
  const { status, stdout, stderr } = spawnSync('taskset', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`bench/http/disk.mjs ended with code ${status}:\n${stderr}`)
  return JSON.parse(stdout)
}

const STEADY_PER_S = 5000
const SAMPLE_MS = 500

/** A steady rate: what memory and garbage collection do. A server of its own, whose heap no other part has shaped. */
export async function steady(bench, contender) {
  const child = await contender.start(bench.cores.server)
  const [windows, seconds] = bench.quick ? [1, 5] : [5, 8]
  const load = { port: child.port, cpu: bench.cores.load, files: [fileOf(bench, shapeNamed('form'))] }
  bench.progress(`steady: ${STEADY_PER_S} requests/s for ${windows} times ${seconds} s`)
  await runLoad({ ...load, connections: 64, seconds: bench.quick ? 2 : 15, rate: STEADY_PER_S })
  const heapBefore = await child.ask('collect')
  const rss = []
  const sampler = setInterval(() => rss.push(rssOf(child.pid)), SAMPLE_MS)
  const measured = async (more) => {
    await child.ask('mark')
    const { requests, p99_us } = await runLoad({ ...load, connections: 64, ...more })
    const { gcMs, gcCount, wallMs } = await child.ask('stats')
    return { requests, p99_us, gc_count: gcCount, gc_share: gcMs / wallMs }
  }
  const atRate = await inTurn(windows, () => measured({ seconds, rate: STEADY_PER_S }))
  clearInterval(sampler)
  const heapAfter = await child.ask('collect')
  const full = await inTurn(windows, () => measured({ seconds: bench.quick ? 1 : 2 }))
  await child.stop()
  const of = (list, name) => median(list.map((one) => one[name]))
  return {
    rate: STEADY_PER_S,
    windows,
    seconds,
    requests: of(atRate, 'requests'),
    p99_us: of(atRate, 'p99_us'),
    heap_before_bytes: heapBefore,
    heap_after_bytes: heapAfter,
    rss_max_bytes: Math.max(...rss),
    gc_count: of(atRate, 'gc_count'),
    gc_share: of(atRate, 'gc_share'),
    gc_share_full_load: of(full, 'gc_share'),
  }
}

async function inTurn(times, run) {
  const results = []
  for (let time = 0; time < times; time++) results.push(await run())
  return results
}
