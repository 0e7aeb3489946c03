// Who is measured, and what stands behind its answer.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './child.mjs'

const server = (name) => `bench/http/servers/${name}.mjs`

/**
 * @typedef {object} Contender
 * @property {string} name in records
 * @property {string} title in tables
 * @property {string} behind what an answer says: what has become of the event by then
 * @property {string[]} wraps which forms of a payload it takes
 * @property {boolean} [decodes] it looks at events: what is no good is answered `0`
 * @property {'log' | 'null log' | undefined} [stores] where the proof finds its records
 * @property {(cpu: number) => Promise<import('./child.mjs').Child>} start
 */

/** Where servers of one run keep their data: beside each other, on the disk that TMPDIR names. */
function dataDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-bench-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const node = (...args) => ({ command: process.execPath, args: ['--expose-gc', ...args] })

async function startSluicegate(cpu, decoder, ...kafka) {
  const dataDir = dataDirectory()
  const child = await startChild({ ...node(server('sluicegate'), dataDir, decoder, ...kafka), cpu })
  return Object.assign(child, { dataDir })
}

const SHIPPED_MS_MAX = 120_000
/** Seldom enough for the questions' own cost to vanish in the figures. */
const ASK_EVERY_MS = 100

/** Until Kafka has acknowledged all that is in the log, and the cursor of that is on disk. */
async function shipped(opsAddress) {
  const giveUpMs = performance.now() + SHIPPED_MS_MAX
  for (;;) {
    const { log, ship } = await (await fetch(`${opsAddress}/status`)).json()
    if (ship.cursor === log.durable_offset && ship.records >= log.durable_offset) return
    if (performance.now() > giveUpMs) throw new Error(`not shipped in time: ${JSON.stringify(ship)}`)
    await sleep(ASK_EVERY_MS)
  }
}

/** Answers once an event is on disk (`--ack log`); the log is shipped meanwhile. */
export async function startShipping(cpu, broker, topicPrefix) {
  const child = await startSluicegate(cpu, 'native', broker, topicPrefix)
  const opsAddress = await child.ask('opsAddress')
  return Object.assign(child, { settle: () => shipped(opsAddress) })
}

const startNode =
  (name, ...args) =>
  (cpu) =>
    startChild({ ...node(server(name), ...args), cpu })
const BOTH = ['form', 'json']

/** @type {Contender[]} */
export const CONTENDERS = [
  {
    name: 'sluicegate',
    title: 'sluicegate',
    behind: 'decoded, checked, written and synced',
    wraps: BOTH,
    stores: 'log',
    decodes: true,
    start: (cpu) => startSluicegate(cpu, 'native'),
  },
  {
    name: 'sluicegate-no-log',
    title: 'sluicegate, no log',
    behind: 'decoded and checked, then dropped',
    wraps: BOTH,
    stores: 'null log',
    decodes: true,
    start: startNode('sluicegate', 'none', 'native'),
  },
  {
    name: 'sluicegate-reference',
    title: 'sluicegate, reference decoder',
    behind: 'the same as sluicegate, decoded in TypeScript',
    wraps: BOTH,
    stores: 'log',
    decodes: true,
    start: (cpu) => startSluicegate(cpu, 'reference'),
  },
  {
    name: 'fastify-tuned',
    title: 'Fastify tuned, no-op',
    behind: 'nothing: the body is collected and dropped',
    wraps: BOTH,
    start: startNode('fastify-tuned'),
  },
  {
    name: 'fastify-stock',
    title: 'Fastify stock, JSON no-op',
    behind: 'nothing: the body is parsed by its JSON parser and dropped',
    wraps: ['json'],
    start: startNode('fastify-stock'),
  },
  {
    name: 'node-http',
    title: 'bare node:http',
    behind: 'nothing: the body is collected and dropped',
    wraps: BOTH,
    start: startNode('node-http'),
  },
]

export const contender = (name) => CONTENDERS.find((one) => one.name === name)
