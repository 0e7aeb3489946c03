// Starts contenders for the whole of a run: while one is measured the others wait for requests, at no cost.
import { slice } from './measure.mjs'
import { prove } from './proof.mjs'
import { requestsOf, SHAPES } from './requests.mjs'

/** Machine code and heap of a server find their shape in the first seconds. */
const WARM_CONNECTIONS = 64
/** Of each shape. */
const QUICK_REQUESTS_PROVED = 8

/** Starts, proves and warms up. */
export async function startServers(bench, contenders, shapes) {
  const started = []
  for (const contender of contenders) {
    bench.progress(`starting ${contender.title}`)
    started.push({ contender, child: await contender.start(bench.cores.server) })
  }
  bench.progress('comparing answers and records')
  const most = bench.quick ? QUICK_REQUESTS_PROVED : undefined
  const requests = shapes.flatMap((shape) => requestsOf(shape, bench.nowS).slice(0, most))
  const proof = await prove(started, requests)
  const names = contenders.map(({ name }) => name).join(', ')
  bench.say(`equal answers to ${proof.answers} requests, equal records of ${proof.records} events: ${names}`)
  await warmUp(bench, started)
  return { started, proof, stop: () => Promise.all(started.map(({ child }) => child.stop())) }
}

async function warmUp(bench, started) {
  const shapes = bench.quick ? SHAPES.slice(0, 1) : SHAPES
  for (const { contender, child } of started) {
    for (const shape of shapes) {
      if (!contender.wraps.includes(shape.wrap)) continue
      bench.progress(`warming up ${contender.title}, ${shape.name}`)
      await slice(bench, { child, shape, connections: WARM_CONNECTIONS, seconds: 1 })
    }
  }
}
