/**
 * What shipping costs: those who wait for an answer CPU of the main thread and latency, with Kafka and without, in turns;
 * the machine CPU a message, from reading the log to Kafka's acknowledgement.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { RawConnection, requestBytes } from '../support/http.js'
import { describeKafka } from '../kafka/support/suite.js'
import { event, postJson } from './support/events.js'
import { drained, startShipping } from './support/kafka.js'
import { type ServerProcess, startServer, workspace } from './support/server.js'

const ROUNDS = 11
const REQUESTS = 3000
const EVENTS_A_REQUEST = 10
const CONNECTIONS = 4

interface Round {
  readonly cpuUsPerRequest: number
  readonly p99Ms: number
}

/**
 * The main thread on one processor, all other threads and the broker on another: what is measured is the work, not how
 * caches are shared where there are few processors.
 */
function pin({ pid }: ServerProcess, brokerPid: number): void {
  const put = (cpu: number, id: number | string): unknown => spawnSync('taskset', ['-cp', `${cpu}`, `${id}`])
  for (const thread of readdirSync(`/proc/${pid}/task`)) put(thread === String(pid) ? 0 : 1, thread)
  for (const thread of readdirSync(`/proc/${brokerPid}/task`)) put(1, thread)
}

/** Time of the main thread on a processor, in microseconds. */
function mainThreadCpuUs({ pid }: ServerProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000
}

async function round(server: ServerProcess): Promise<Round> {
  const events = Array.from({ length: EVENTS_A_REQUEST }, (_, n) =>
    event('cost', { distinct_id: `u${n}`, pad: 'x'.repeat(400) }),
  )
  const request = requestBytes(postJson('/track', events))
  const before = mainThreadCpuUs(server)
  const latencies: number[] = []
  const client = async (): Promise<void> => {
    const connection = await RawConnection.open(server.ingest)
    for (let at = 0; at < REQUESTS / CONNECTIONS; at++) {
      const started = performance.now()
      connection.write(request)
      await connection.reply()
      latencies.push(performance.now() - started)
    }
    connection.destroy()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  const cpuUsPerRequest = (mainThreadCpuUs(server) - before) / REQUESTS
  latencies.sort((a, b) => a - b)
  return { cpuUsPerRequest, p99Ms: latencies[Math.floor(0.99 * latencies.length)]! }
}

const BACKLOG = 600_000
const BACKLOG_A_REQUEST = 1000
/** By then the thread has started, and its code is compiled. */
const WARM_MESSAGES = 200_000
const MICROSECONDS_A_MESSAGE_MAX = 3
const ASK_MS = 250

async function fillLog(dataDir: string): Promise<void> {
  const server = await startServer({ dataDir, args: ['--log-level', 'warn'] })
  const connection = await RawConnection.open(server.ingest)
  for (let sent = 0; sent < BACKLOG; sent += BACKLOG_A_REQUEST) {
    const events = Array.from({ length: BACKLOG_A_REQUEST }, (_, n) =>
      event('cost', { distinct_id: `u${(sent + n) % 10_007}`, pad: 'x'.repeat(200) }),
    )
    connection.write(requestBytes(postJson('/track', events)))
    expect(String((await connection.reply()).body)).toBe('1')
  }
  connection.destroy()
  await server.stop()
}

/** What all threads of the process have taken so far, and what Kafka has acknowledged by now. */
async function taken(server: ServerProcess): Promise<{ cpuUs: number; messages: number; batches: number }> {
  const metrics = await server.metrics()
  const cpuUs = readdirSync(`/proc/${server.pid}/task`)
    .map(
      (id) => Number(readFileSync(`/proc/${server.pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]) / 1000,
    )
    .reduce((sum, us) => sum + us, 0)
  const [messages, batches] = ['records', 'batches'].map(
    (of) => metrics.get(`sluicegate_ship_${of}_total`) ?? 0,
  )
  return { cpuUs, messages: messages!, batches: batches! }
}

/** Once so many messages are acknowledged; asked for seldom, since the answer costs the main thread something, too. */
async function takenAt(server: ServerProcess, messages: number): ReturnType<typeof taken> {
  for (;;) {
    const now = await taken(server)
    if (now.messages >= messages) return now
    await sleep(ASK_MS)
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

await describeKafka('the cost of shipping', {}, (cluster) => {
  it("is not the main thread's: at most a tenth more a request", async () => {
    await cluster().createTopic('sluicegate.track', 6, { 'max.message.bytes': '4194304' })
    const shipping = await startShipping(cluster(), workspace())
    const plain = await startServer({ dataDir: workspace(), args: ['--log-level', 'warn'] })
    const rounds: { readonly with: Round; readonly without: Round }[] = []
    for (const server of [shipping, plain]) {
      await round(server)
      pin(server, cluster().brokers[0]!.pid!)
    }
    for (let at = 0; at < ROUNDS; at++) {
      await drained(shipping)
      rounds.push({ with: await round(shipping), without: await round(plain) })
    }
    const ratio = median(rounds.map((one) => one.with.cpuUsPerRequest / one.without.cpuUsPerRequest))
    console.log({
      ratio,
      cpuUsWith: median(rounds.map((one) => one.with.cpuUsPerRequest)),
      cpuUsWithout: median(rounds.map((one) => one.without.cpuUsPerRequest)),
      p99MsWith: median(rounds.map((one) => one.with.p99Ms)),
      p99MsWithout: median(rounds.map((one) => one.without.p99Ms)),
    })
    expect(ratio).toBeLessThanOrEqual(1.1)
    await Promise.all([shipping.stop(), plain.stop()])
  })

  it('is at most 3 µs a message of a backlog, all threads and the whole way from the log together', async () => {
    await cluster().createTopic('sluicegate.track', 6, { 'max.message.bytes': '4194304' })
    const dataDir = workspace()
    await fillLog(dataDir)
    const server = await startShipping(cluster(), dataDir)
    const warm = await takenAt(server, WARM_MESSAGES)
    const end = await takenAt(server, BACKLOG)
    const messages = end.messages - warm.messages
    const cpuUsPerMessage = (end.cpuUs - warm.cpuUs) / messages
    const messagesPerBatch = messages / (end.batches - warm.batches)
    console.log({ messages, cpuUsPerMessage, messagesPerBatch })
    expect(end.messages).toBe(BACKLOG)
    expect(messagesPerBatch).toBeGreaterThanOrEqual(250)
    expect(cpuUsPerMessage).toBeLessThanOrEqual(MICROSECONDS_A_MESSAGE_MAX)
    await server.stop()
  })
})
