// The servers' parts of the benchmark, in their order; each is a member of the record.
import { buildRivals } from './baselines/contenders.mjs'
import { CONTENDERS, contender } from './http/contenders.mjs'
import { interleave } from './http/measure.mjs'
import { batchShapes, bySize, constant, matrix, overTime, sizeShapes, steady } from './http/parts.mjs'
import { SHAPES } from './http/requests.mjs'
import { startServers } from './http/servers.mjs'
import { cellOf, figure } from './report/statistics.mjs'

const TOGETHER = ['servers', 'batches', 'sizes', 'constant', 'time']
/** How often full load is tried when only the constant rate is asked for. */
const TRIES = 3

export async function measureServers(bench) {
  const record = {}
  if (TOGETHER.some((part) => bench.only.has(part))) await measureOurs(bench, record)
  if (bench.only.has('steady')) record.steady = await steady(bench, contender('sluicegate'))
  if (bench.only.has('baselines')) record.baselines = await measureRivals(bench)
  return record
}

async function measureOurs(bench, record) {
  const { only } = bench
  const [batches, sizes] = [batchShapes(bench), sizeShapes(bench)]
  const { started, proof, stop } = await startServers(bench, CONTENDERS, [...SHAPES, ...batches, ...sizes])
  record.proof = proof
  if (only.has('servers')) record.servers = await matrix(bench, started)
  if (only.has('batches')) record.batches = await bySize(bench, started, 'batch sizes', batches)
  if (only.has('sizes')) record.sizes = await bySize(bench, started, 'event sizes', sizes)
  if (only.has('constant'))
    record.constant = await constant(bench, started, await highestRate(bench, started, record))
  if (only.has('time')) record.time = await overTime(bench, started)
  await stop()
}

/** Requests a second of single forms at full load. */
async function highestRate(bench, started, { servers }) {
  const wanted = { contender: 'sluicegate', shape: 'form' }
  if (servers !== undefined) return figure(cellOf(servers, { ...wanted, connections: 64 }), 'requests_per_s')
  const [one] = started.filter((each) => each.contender.name === 'sluicegate')
  const [cell] = await interleave(bench, 'highest rate', [{ ...one, shape: SHAPES[0], connections: 64 }], {
    rounds: TRIES,
    seconds: bench.seconds,
  })
  return figure(cell, 'requests_per_s')
}

async function measureRivals(bench) {
  const { able, unable } = await buildRivals(bench)
  for (const { title, reason } of unable) bench.say(`not measured: ${title}: ${reason}`)
  const { started, proof, stop } = await startServers(bench, able, SHAPES)
  const shapes = SHAPES.filter(({ name }) => name !== 'json')
  const cells = shapes.flatMap((shape) => started.map((one) => ({ ...one, shape, connections: 64 })))
  const measured = await interleave(bench, 'rivals', cells, { rounds: bench.rounds, seconds: bench.seconds })
  await stop()
  return { proof, cells: measured, unable }
}
