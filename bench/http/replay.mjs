// What the story did: four client processes with 25 connections each replay an access log in random order, over time.
import { join } from 'node:path'
import { accessLogEvents } from '../decoders/real.mjs'
import { generator } from '../random.mjs'
import { runLoad } from './load.mjs'
import { requestOf, writeRequests } from './requests.mjs'

const PROCESSES = 4
const CONNECTIONS = 25

/** Fisher and Yates; each process has an order of its own, the same in every run. */
function shuffled(list, seed) {
  const random = generator(seed)
  const all = [...list]
  for (let index = all.length - 1; index > 0; index--) {
    const other = random(index + 1)
    const taken = all[index]
    all[index] = all[other]
    all[other] = taken
  }
  return all
}

/** Forms, as the clients of the story sent them. */
export async function accessLogShape() {
  const requests = (await accessLogEvents()).map((event) => requestOf('form', event, [event]))
  return { name: 'replay', wrap: 'form', events: 1, requests }
}

function writeOrders({ directory }, { requests }) {
  return Array.from({ length: PROCESSES }, (_, index) => {
    const path = join(directory, `replay-${index}.requests`)
    writeRequests(path, shuffled(requests, index + 1))
    return path
  })
}

/**
 * @param {{contender: object, child: object}[]} started
 * @param {object} log what accessLogShape makes
 * @returns {Promise<object>} `runs`: a contender each, with its figures and their `series` over time
 */
export async function replay(bench, started, log) {
  const files = writeOrders(bench, log)
  const seconds = bench.quick ? 1 : 12
  const runs = []
  for (const { contender, child } of started) {
    bench.progress(`replay: ${contender.title}, ${seconds} s`)
    const load = { port: child.port, connections: CONNECTIONS, seconds, cpu: bench.cores.load, files }
    const figures = await runLoad({ ...load, windowMs: bench.quick ? 100 : 250 })
    runs.push({ contender: contender.name, ...figures })
  }
  return { processes: PROCESSES, connections: CONNECTIONS, events: log.requests.length, seconds, runs }
}
