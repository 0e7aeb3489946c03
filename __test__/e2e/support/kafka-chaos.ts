/** Everything at once: the server is killed, leaders are killed and frozen, replies are lost, while clients send on. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '../../kafka/support/cluster.js'
import { API, type Fault } from '../../kafka/support/fault-proxy.js'
import { random } from '../../log/support/random.js'
import { addVerdicts, judge, Load, type Verdict } from './load.js'
import { drained, published, type Published, shippingArgs } from './kafka.js'
import { type ServerProcess, startServer, waitFor } from './server.js'

export interface ChaosOptions {
  /** Sent at least, acknowledged or not. */
  readonly events: number
  readonly serverKills: number
  readonly leaderKills: number
  /** One leader hangs for so long. */
  readonly frozenMs: number
  readonly seed: number
  readonly args?: readonly string[]
  /** The program and what comes before its flags; that of the build unless given. */
  readonly command?: readonly string[]
}

export interface ChaosResult {
  readonly verdict: Verdict
  readonly lines: readonly Published[]
  /** Requests with batches that were lost, or whose replies were. */
  readonly faults: number
  readonly drainMs: number
}

export const CHAOS_TOPIC = 'sluicegate.track'
/** Records of several segments: kills also hit the roll from one to the next. */
const ARGS = ['--log-segment-bytes', '4MiB', '--batch-bytes-max', '10MiB', '--log-max-bytes', '4GiB']
const LOST: readonly Fault['kind'][] = ['lose_reply', 'lose_request', 'cut_reply', 'half_close', 'hang']
const DRAIN_MS_MAX = 180_000

/** @param dataDir of the one server that is started again and again */
export async function chaos(cluster: Cluster, dataDir: string, options: ChaosOptions): Promise<ChaosResult> {
  const numbers = random(options.seed)
  for (const proxy of cluster.proxies) proxy.faults(loseSome(numbers))
  const { command, args = [] } = options
  const start = (): Promise<ServerProcess> =>
    startServer({
      dataDir,
      args: [...shippingArgs(cluster), ...ARGS, ...args],
      ...(command !== undefined && { command }),
    })
  const brokers = disturb(cluster, options)
  const loads: Load[] = []
  let server = await start()
  const sent = (): number => loads.flatMap((load) => load.sent).reduce((sum, { count }) => sum + count, 0)
  for (let life = 0; life <= options.serverKills; life++) {
    const load = new Load(server.ingest, { name: `l${life}`, connections: 6, random: numbers, pipelined: 2 })
    loads.push(load)
    load.start()
    const share = (options.events * (life + 1)) / (options.serverKills + 1)
    await waitFor(() => (sent() >= share ? true : undefined), 120_000)
    if (life === options.serverKills) await load.stop()
    else {
      await server.kill()
      await load.broken()
      server = await start()
    }
  }
  await brokers
  const faults = cluster.proxies.flatMap(({ happened }) => [...happened.values()]).reduce((a, b) => a + b, 0)
  for (const proxy of cluster.proxies) proxy.heal()
  const drainMs = await drained(server, DRAIN_MS_MAX)
  await server.stop()
  const lines = await published(cluster, [CHAOS_TOPIC])
  const verdict = loads.map((load) => judge(load, lines)).reduce((sum, one) => addVerdicts(sum, one))
  return { verdict, lines, faults, drainMs }
}

/** Of requests with batches, which are large under load. */
const FAULTY = 0.04
/** Of each broker: however few requests a quick machine makes of a short run, some are lost. */
const SURELY_FAULTY = [3, 6, 9]

function loseSome(numbers: () => number): (request: { readonly apiKey: number }) => Fault | undefined {
  let nth = 0
  return ({ apiKey }) => {
    if (apiKey !== API.produce) return undefined
    nth++
    if (!SURELY_FAULTY.includes(nth) && numbers() > FAULTY) return undefined
    const kind = LOST[Math.floor(numbers() * LOST.length)]!
    return kind === 'delay' ? { kind, ms: 200 } : { kind }
  }
}

/** One after the other, so that two of three brokers are always in step. */
async function disturb(cluster: Cluster, { leaderKills, frozenMs }: ChaosOptions): Promise<void> {
  for (let kill = 0; kill < leaderKills; kill++) {
    await sleep(1000)
    const leader = await cluster.leaderOf(CHAOS_TOPIC, kill)
    await leader.kill()
    await sleep(2000)
    leader.start()
    await cluster.ready()
    await cluster.inSync(CHAOS_TOPIC)
  }
  const frozen = await cluster.leaderOf(CHAOS_TOPIC)
  frozen.pause()
  await sleep(frozenMs)
  frozen.resume()
  await cluster.inSync(CHAOS_TOPIC)
}
