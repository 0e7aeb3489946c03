// The servers' parts of the benchmark, in their order; each is a member of the record.
import { buildRivals } from './baselines/contenders.mjs'
import { CONTENDERS, contender } from './http/contenders.mjs'
import { interleave } from './http/measure.mjs'
import { batchShapes, bySize, constant, disk, matrix, sizeShapes, steady } from './http/parts.mjs'
import { accessLogShape, replay } from './http/replay.mjs'
import { SHAPES } from './http/requests.mjs'
import { startServers } from './http/servers.mjs'
import { cellOf, figure } from './report/statistics.mjs'

const TOGETHER = ['servers', 'batches', 'sizes', 'constant']
/** No target is about them: fewer rounds. */
const SIZE_ROUNDS = 3
/** How often full load is tried when only the constant rate is asked for. */
const TRIES = 3

export async function measureServers(bench) {
  const record = {}
  if (TOGETHER.some((part) => bench.only.has(part))) await measureOurs(bench, record)
  if (bench.only.has('steady')) record.steady = await steady(bench, contender('sluicegate'))
  if (bench.only.has('baselines') || bench.only.has('replay')) await measureRivals(bench, record)
  return record
}

async function measureOurs(bench, record) {
  const { only } = bench
  const [batches, sizes] = [batchShapes(bench), sizeShapes(bench)]
  const { started, proof, stop } = await startServers(bench, CONTENDERS, [...SHAPES, ...batches, ...sizes])
  record.proof = proof
  record.disk = disk(bench)
  if (only.has('servers')) record.servers = await matrix(bench, started)
  if (only.has('batches')) record.batches = await bySize(bench, started, 'batch sizes', batches)
  if (only.has('sizes'))
    record.sizes = await bySize(bench, started, 'event sizes', sizes, Math.min(SIZE_ROUNDS, bench.rounds))
  if (only.has('constant'))
    record.constant = await constant(bench, started, await highestRate(bench, started, record))
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

/** In the replay: the servers of the story, and Fastify and our server with a decoder in JavaScript. */
const IN_REPLAY = [
  'sluicegate',
  'sluicegate-reference',
  'fastify-js',
  'python',
  'erlang-mochijson2',
  'erlang-jiffy',
]

async function measureRivals(bench, record) {
  const rivals = await buildRivals(bench)
  const { able, unable } = rivals
  for (const { title, reason } of unable) bench.say(`not measured: ${title}: ${reason}`)
  const log = await accessLogShape()
  const contenders = [...able, contender('sluicegate-reference')]
  const { started, proof, stop } = await startServers(bench, contenders, [...SHAPES, log])
  if (bench.only.has('baselines')) {
    const cells = SHAPES.filter(({ name }) => name !== 'json').flatMap((shape) =>
      started.map((one) => ({ ...one, shape, connections: 64 })),
    )
    const measured = await interleave(bench, 'rivals', cells, bench)
    record.baselines = { proof, cells: measured, unable }
  }
  if (bench.only.has('replay')) {
    const taking = started.filter(({ contender: { name } }) => IN_REPLAY.includes(name))
    record.replay = { proof, ...(await replay(bench, taking, log)) }
  }
  await stop()
  await rivals.stop()
}
