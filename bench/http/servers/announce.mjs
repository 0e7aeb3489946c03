// What every server of ours under measurement does beside serving: it says where it listens, and answers questions about
// itself. Nothing of this runs between two questions but an observer that is called once a garbage collection.
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'

const LOOP_RESOLUTION_MS = 1

/** @param {Record<string, (message: object) => unknown>} answers to questions beside those below */
export function announce(port, answers = {}) {
  const gc = { count: 0, ms: 0 }
  let markedMs = performance.now()
  let loop
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      gc.count++
      gc.ms += duration
    }
  }).observe({ entryTypes: ['gc'] })

  const known = {
    /** From here on; `loop`: with the delays of the event loop, whose watching costs something. */
    mark({ loop: watched = false }) {
      gc.count = gc.ms = 0
      markedMs = performance.now()
      loop?.disable()
      loop = watched ? monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS }) : undefined
      loop?.enable()
    },
    stats() {
      const { heapUsed, rss } = process.memoryUsage()
      const wallMs = performance.now() - markedMs
      return { heapUsed, rss, gcCount: gc.count, gcMs: gc.ms, wallMs, loop: delays(loop) }
    },
    /** What is left on the heap when all is collected that can be. */
    collect() {
      for (let turn = 0; turn < 3; turn++) globalThis.gc()
      return process.memoryUsage().heapUsed
    },
    ...answers,
  }
  process.on('message', async ({ id, question, ...more }) => {
    process.send({ id, answer: (await known[question](more)) ?? null })
  })
  process.on('disconnect', () => process.exit(0))
  process.on('SIGTERM', () => process.exit(0))
  console.log(`ready ${port}`)
}

/** Milliseconds beyond the resolution, which the histogram has in every value. */
function delays(loop) {
  if (loop === undefined) return undefined
  const ms = (ns) => Math.max(0, ns / 1e6 - LOOP_RESOLUTION_MS)
  return { p50: ms(loop.percentile(50)), p99: ms(loop.percentile(99)), max: ms(loop.max) }
}
