// The servers of the story and today's: who they are, how they are built, what stands behind their answers.
import { contender } from '../http/contenders.mjs'
import { startChild } from '../http/child.mjs'
import { send } from '../http/proof.mjs'
import { recordsOf, startBroker } from './kafka/broker.mjs'
import { buildAxum, buildErlang, buildPython, findKafka } from './setup.mjs'

const SERVER = 'bench/baselines/node/server.mjs'
const BOTH = ['form', 'json']
const node = (...args) => ({ command: process.execPath, args: ['--expose-gc', SERVER, ...args] })

/** What a server with a queue in memory has on it. */
async function queueOf(child) {
  const { body } = await send(child.port, { path: '/queue', headers: {} }, 'GET')
  return JSON.parse(body).map(({ record }) => record)
}

/** @typedef {{name, title, behind, wraps, decodes, build: () => Promise<{reason?: string, start?}>, records?}} Rival */

export const RIVALS = [
  {
    name: 'python',
    title: 'Python: eventlet, simplejson',
    behind: 'decoded, checked, on a queue in memory',
    build: buildPython,
    records: queueOf,
  },
  ...['mochijson2', 'jiffy'].map((json) => ({
    name: `erlang-${json}`,
    title: `Erlang: mochiweb, ${json}`,
    behind: 'decoded, checked, on a queue in memory',
    build: () => buildErlang(json),
    records: queueOf,
  })),
  {
    name: 'fastify-js',
    title: 'Fastify, decoded in JavaScript',
    behind: 'decoded and checked, then dropped',
    build: async () => ({ start: (cpu) => startChild({ ...node('none'), cpu }) }),
  },
  {
    name: 'fastify-kafkajs',
    title: 'Fastify, kafkajs',
    behind: 'decoded, checked, acknowledged by Kafka (one send a request, acks=all)',
    build: async () => {
      const reason = findKafka()
      return reason === undefined ? { start: startWithKafka } : { reason }
    },
    records: async ({ broker }, count) => {
      return (await recordsOf(broker.address, count)).map((value) => JSON.parse(value).record)
    },
  },
  {
    name: 'axum',
    title: 'Rust: axum, serde_json',
    behind: 'decoded and checked, then dropped',
    build: buildAxum,
  },
].map((rival) => ({ ...rival, wraps: BOTH, decodes: true }))

/** The broker has the core of the load: its own work is in nobody's figure. */
async function startWithKafka(cpu, bench) {
  const broker = await startBroker(bench.cores.load)
  const child = await startChild({ ...node(broker.address), cpu })
  const stop = async () => {
    await Object.getPrototypeOf(child).stop.call(child)
    await broker.stop()
  }
  return Object.assign(child, { broker, stop })
}

/** @returns {Promise<{able: object[], unable: {name, title, reason}[]}>} */
export async function buildRivals(bench) {
  const able = [contender('sluicegate')]
  const unable = []
  for (const rival of RIVALS) {
    bench.progress(`building ${rival.title}`)
    const { start, reason } = await rival.build()
    if (reason === undefined) able.push({ ...rival, start: (cpu) => start(cpu, bench) })
    else unable.push({ name: rival.name, title: rival.title, reason })
  }
  return { able, unable }
}
