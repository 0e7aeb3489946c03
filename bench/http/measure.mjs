// One slice of a measurement, and rounds of them in turns.
import { join } from 'node:path'
import { cpuOf, rssOf } from './cpu.mjs'
import { fullLoad } from './load.mjs'
import { requestsOf, writeRequests } from './requests.mjs'

/** Writes a shape's requests once a run; the path that the load generators read. */
export function fileOf(bench, shape) {
  const path = join(bench.directory, `${shape.name}.requests`)
  if (!bench.files.has(path)) writeRequests(path, requestsOf(shape, bench.nowS))
  bench.files.add(path)
  return path
}

/** A slice without a single answer says that the machine had no time for it, and nothing about the server: a longer one does. */
const TRIES = 5

/**
 * Full load for some seconds.
 *
 * @returns {Promise<object>} requests and events a second, CPU microseconds a request of the server's main thread and
 *   of its whole process, latencies in microseconds, resident bytes
 */
export async function slice(bench, { child, shape, connections, seconds }) {
  const file = fileOf(bench, shape)
  for (let tries = 0; tries < TRIES; tries++) {
    const before = cpuOf(child.pid)
    // What the last try left unanswered is served first.
    const duration = seconds * 2 ** tries
    const load = await fullLoad({
      port: child.port,
      connections,
      seconds: duration,
      file,
      cpu: bench.cores.load,
    })
    // What answered requests have left to do is their cost, too.
    await child.settle?.()
    const after = cpuOf(child.pid)
    if (load.requests > 0) return figuresOf(load, before, after, { shape, rss: rssOf(child.pid) })
  }
  throw new Error(
    `not one answer in ${seconds * 2 ** (TRIES - 1)} s (${shape.name}): this machine is too busy to measure anything`,
  )
}

function figuresOf(load, before, after, { shape, rss }) {
  const requestsPerS = (load.requests / load.duration_us) * 1e6
  return {
    requests_per_s: Math.round(requestsPerS),
    events_per_s: Math.round(requestsPerS * shape.events),
    main_us: rounded((after.mainNs - before.mainNs) / 1000 / load.requests),
    process_us: rounded((after.processNs - before.processNs) / 1000 / load.requests),
    p50_us: load.p50_us,
    p99_us: load.p99_us,
    p999_us: load.p999_us,
    rss_bytes: rss,
  }
}

const rounded = (us) => Number(us.toFixed(3))

/**
 * Measures all cells once a round, in an order that turns round from one to the next: what disturbs the machine for a
 * while disturbs all of them.
 *
 * @param {{contender: object, child: object, shape: object, connections: number}[]} cells
 * @returns {Promise<object[]>} one a cell: what it is of, and the figures of its rounds
 */
export async function interleave(bench, label, cells, { rounds, seconds }) {
  const results = cells.map(({ contender, shape, connections }) => {
    const { name, events, bytes, wrap } = shape
    return { contender: contender.name, shape: name, wrap, events, bytes, connections, rounds: [] }
  })
  for (let round = 0; round < rounds; round++) {
    const order = cells.map((_, index) => (round % 2 === 0 ? index : cells.length - 1 - index))
    for (const [done, index] of order.entries()) {
      const { contender, shape, connections } = cells[index]
      bench.progress(
        `${label}: round ${round + 1}/${rounds}, ${done + 1}/${cells.length}, ` +
          `${contender.title}, ${shape.name}, ${connections} connections`,
      )
      results[index].rounds.push(await slice(bench, { ...cells[index], seconds }))
    }
  }
  return results
}
