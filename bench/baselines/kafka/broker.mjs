// A real Kafka broker for all that hand on to it: from Maven's packages, cached below .cache/, alone on 127.0.0.1, its
// data thrown away afterwards.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { root } from '../../http/child.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
/** Which Kafka it is, and what it writes down: as the brokers of the tests. */
const TEST_BROKER = join(root, '__test__/kafka/broker')
const LIBRARIES = join(root, '.cache/bench/kafka')
const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const READY_MS_MAX = 60_000
const RETRY_MS = 200
const STOP_MS_MAX = 10_000
const PARTITIONS = 4

/** Fetches the broker's jars once. @returns {string | undefined} why there can be no broker */
export function fetchKafka() {
  if (existsSync(join(LIBRARIES, 'complete'))) return undefined
  if (spawnSync('java', ['-version']).error) return 'there is no java'
  if (spawnSync('mvn', ['-version']).error) return 'there is no mvn (maven) to fetch the broker with'
  const goals = ['-B', '-q', '-f', join(TEST_BROKER, 'pom.xml'), COPY]
  const { status, stdout } = spawnSync('mvn', [
    ...goals,
    '-DincludeScope=runtime',
    `-DoutputDirectory=${LIBRARIES}`,
  ])
  if (status !== 0) return `maven could not fetch the broker: ${String(stdout).split('\n', 1)[0]}`
  writeFileSync(join(LIBRARIES, 'complete'), '')
  return undefined
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** @returns {Promise<{address: string, stop: () => Promise<void>}>} once the topics are there */
export async function startBroker(cpu, topics) {
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-bench-kafka-'))
  const [port, controllerPort] = [await freePort(), await freePort()]
  const properties = join(directory, 'server.properties')
  const text = readFileSync(join(here, 'server.properties'), 'utf8')
    .replaceAll('@DIR@', join(directory, 'data'))
    .replaceAll('@CONTROLLER_PORT@', controllerPort)
    .replaceAll('@PORT@', port)
  writeFileSync(properties, text)
  const java = (main, ...args) => ['java', '-Xms64m', '-Xmx512m', '-cp', `${LIBRARIES}/*`, main, ...args]
  const format = java('kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties)
  const formatted = spawnSync(format[0], format.slice(1))
  if (formatted.status !== 0) throw new Error(`formatting the broker's data failed: ${formatted.stderr}`)
  const logging = `-Dlog4j2.configurationFile=${join(TEST_BROKER, 'log4j2.properties')}`
  const [command, ...args] = java('kafka.Kafka', properties)
  const child = spawn('taskset', ['-c', String(cpu), command, logging, ...args], { stdio: 'ignore' })
  const kill = () => child.kill('SIGKILL')
  process.on('exit', kill)
  const stop = async () => {
    await ended(child)
    process.off('exit', kill)
    rmSync(directory, { recursive: true, force: true })
  }
  const address = `127.0.0.1:${port}`
  try {
    await createTopics(address, topics)
  } catch (error) {
    await stop()
    throw error
  }
  return { address, stop }
}

async function createTopics(address, names) {
  const admin = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
  const topics = names.map((topic) => ({ topic, numPartitions: PARTITIONS }))
  const giveUpMs = performance.now() + READY_MS_MAX
  for (;;) {
    try {
      await admin.connect()
      await admin.createTopics({ topics, waitForLeaders: true })
      return await admin.disconnect()
    } catch (error) {
      if (performance.now() > giveUpMs) throw error
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const giveUp = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  await exit
  clearTimeout(giveUp)
}

/** The values of all records in a topic. */
export async function recordsOf(address, topic, count) {
  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `proof.${topic}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const values = []
  await new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => reject(new Error(`only ${values.length} records came`)), READY_MS_MAX)
    const eachMessage = async ({ message }) => {
      values.push(message.value.toString())
      if (values.length < count) return
      clearTimeout(giveUp)
      resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return values
}
