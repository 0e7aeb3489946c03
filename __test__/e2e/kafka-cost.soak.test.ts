/** What shipping costs those who wait for an answer: CPU of the main thread and latency, with Kafka and without, in turns. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
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
})
