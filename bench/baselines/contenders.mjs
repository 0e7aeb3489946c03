// The servers of the story and today's: who they are, how they are built, what stands behind their answers.
import { contender, startShipping } from '../http/contenders.mjs'
import { startChild } from '../http/child.mjs'
import { send } from '../http/proof.mjs'
import { fetchKafka, recordsOf, startBroker } from './kafka/broker.mjs'
import { buildAxum, buildErlang, buildPython } from './setup.mjs'

const SERVER = 'bench/baselines/node/server.mjs'
const BOTH = ['form', 'json']
const SHIPPED_PREFIX = 'bench.sluicegate.'
const node = (...args) => ({ command: process.execPath, args: ['--expose-gc', SERVER, ...args] })

/** What a server with a queue in memory has on it. */
async function queueOf(child) {
  const { body } = await send(child.port, { path: '/queue', headers: {} }, 'GET')
  return JSON.parse(body).map(({ record }) => record)
}

/**
 * @typedef {{name, title, behind, wraps, decodes, build: () => Promise<{reason?: string, start?}>, records?, topic?}} Rival
 *   `topic`: where it hands on to; `start` is told the broker's address and the topic
 */

/** @type {Rival[]} */
export const RIVALS = [
  {
    name: 'sluicegate-kafka',
    title: 'sluicegate, ships to Kafka',
    behind: 'decoded, checked, written and synced; shipping to Kafka (acks=all) is counted in',
    stores: 'log',
    build: async () => ({ start: (cpu, broker) => startShipping(cpu, broker, SHIPPED_PREFIX) }),
    topic: `${SHIPPED_PREFIX}track`,
  },
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
    build: async () => ({ start: (cpu, ...kafka) => startChild({ ...node(...kafka), cpu }) }),
    topic: 'bench.fastify-kafkajs',
  },
  {
    name: 'axum',
    title: 'Rust: axum, serde_json',
    behind: 'decoded and checked, then dropped',
    build: () => buildAxum('bench-axum'),
  },
  {
    name: 'axum-kafka',
    title: 'Rust: axum, rdkafka',
    behind: 'decoded, checked, acknowledged by Kafka (one send an event, acks=all, idempotent)',
    build: () => buildAxum('bench-axum-kafka', 'kafka'),
    topic: 'bench.axum-kafka',
  },
].map((rival) => ({ ...rival, wraps: BOTH, decodes: true }))

/** One broker for all. It has the core of the load: its own work is in nobody's figure. */
async function startKafka(bench) {
  const reason = fetchKafka()
  if (reason !== undefined) return { reason, stop: async () => {} }
  const topics = RIVALS.flatMap(({ topic }) => topic ?? [])
  return startBroker(bench.cores.load, topics)
}

/** What it stores is in its topic. */
function handingOn(rival, { address }) {
  const { topic, start } = rival
  const records = async (_child, count) => {
    return (await recordsOf(address, topic, count)).map((value) => JSON.parse(value).record)
  }
  return { ...rival, records, start: (cpu) => start(cpu, address, topic) }
}

/** @returns {Promise<{able: object[], unable: {name, title, reason}[], stop: () => Promise<void>}>} */
export async function buildRivals(bench) {
  bench.progress('starting Kafka')
  const kafka = await startKafka(bench)
  const able = [contender('sluicegate')]
  const unable = []
  for (const rival of RIVALS) {
    const { name, title, topic } = rival
    bench.progress(`building ${title}`)
    const { start, reason } = topic !== undefined && kafka.reason !== undefined ? kafka : await rival.build()
    if (reason !== undefined) unable.push({ name, title, reason })
    else able.push(topic === undefined ? { ...rival, start } : handingOn({ ...rival, start }, kafka))
  }
  return { able, unable, stop: kafka.stop }
}
