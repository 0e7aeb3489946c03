/** P1 with `--ack kafka`: success is answered once Kafka has the record, and never without it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PartitionMetadata } from 'kafkajs'
import { expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/record.js'
import type { Cluster } from '../kafka/support/cluster.js'
import { API } from '../kafka/support/fault-proxy.js'
import { describeKafka } from '../kafka/support/suite.js'
import { event, postJson } from './support/events.js'
import { drained, expectSame, published, shipOf, shippingArgs, startShipping } from './support/kafka.js'
import { type ServerProcess, spawnServer, waitFor, workspace } from './support/server.js'
import { RawConnection, requestBytes } from '../support/http.js'

const TOPIC = 'sluicegate.track'
const ACK = ['--ack', 'kafka', '--ack-deadline-ms', '1500ms']

interface Timed {
  readonly status: number
  readonly body: string
  readonly headers: ReadonlyMap<string, string>
  readonly ms: number
}

async function send(server: ServerProcess, n: number, target = '/track'): Promise<Timed> {
  const started = performance.now()
  const connection = await RawConnection.open(server.ingest)
  connection.write(requestBytes(postJson(target, event('acked', { n }), { Origin: 'https://shop.example' })))
  const { status, body, headers } = await connection.reply()
  connection.destroy()
  return { status, body: body.toString(), headers, ms: performance.now() - started }
}

const numbers = async (cluster: Cluster): Promise<unknown[]> =>
  (await published(cluster, [TOPIC])).map(({ record }) => record.properties!['n'])

await describeKafka('P1: --ack kafka', { faults: true }, (cluster) => {
  it('success comes after the acknowledgement, and the record is in the topic by then', async () => {
    for (const kind of ENDPOINTS)
      await cluster().createTopic(`sluicegate.${kind}`, 1, { 'max.message.bytes': '4194304' })
    const dataDir = workspace()
    const server = await startShipping(cluster(), dataDir, ACK)
    expect(await send(server, 0)).toMatchObject({ status: 200, body: '1' })
    expect(await numbers(cluster())).toEqual([0])
    expect((await send(server, 1, '/track?verbose=2')).body).toContain('"durable":"kafka"')

    const [proxy] = cluster().proxies
    const delayed = proxy!.next(API.produce, { kind: 'delay', ms: 800 })
    const late = await send(server, 2)
    await delayed
    expect(late).toMatchObject({ status: 200, body: '1' })
    expect(late.ms).toBeGreaterThan(795)
    await server.stop()
    await expectSame(dataDir, await published(cluster(), [TOPIC]))
  })

  it('Kafka away: 503 after the deadline; --ack log answers at once', async () => {
    const [proxy] = cluster().proxies
    const waiting = await startShipping(cluster(), workspace(), ACK)
    const log = await startShipping(cluster(), workspace())
    proxy!.refuse()
    await sleep(100)
    expect(await send(waiting, 20)).toMatchObject({ status: 503 })
    const quick = await send(log, 21)
    expect(quick).toMatchObject({ status: 200, body: '1' })
    expect(quick.ms).toBeLessThan(1000)
    proxy!.heal()
    await Promise.all([drained(waiting), drained(log)])
    expect((await numbers(cluster())).slice(-2).toSorted()).toEqual([20, 21])
    await Promise.all([waiting.stop(), log.stop()])
  })

  it('refuses to start on a topic that cannot take the largest event', async () => {
    await cluster().createTopic('small.track', 1)
    for (const kind of ['engage', 'groups', 'import'])
      await cluster().createTopic(`small.${kind}`, 1, { 'max.message.bytes': '4194304' })
    const args = shippingArgs(cluster(), [...ACK, '--topic-prefix', 'small.'])
    const { process: launched } = spawnServer({ dataDir: workspace(), args })
    const { code } = await launched.exited
    expect(code).toBe(1)
    expect(launched.stderr).toMatch(/small\.track.*max\.message\.bytes/)
  })
})

await describeKafka('P1: --ack kafka with min.insync.replicas 2', { brokers: 3 }, (cluster) => {
  it('without enough replicas no success is answered, and all follows once there are', async () => {
    for (const kind of ENDPOINTS) {
      const config = { 'max.message.bytes': '4194304', 'min.insync.replicas': '2' }
      await cluster().createTopic(`sluicegate.${kind}`, 1, config, 2)
    }
    const dataDir = workspace()
    const server = await startShipping(cluster(), dataDir, ACK)
    expect(await send(server, 0)).toMatchObject({ status: 200, body: '1' })
    const { topics } = await cluster().admin.fetchTopicMetadata({ topics: [TOPIC] })
    const [{ leader, replicas }] = topics[0]!.partitions as [PartitionMetadata]
    const follower = cluster().broker(replicas.find((id) => id !== leader)!)
    await follower.kill()
    const refused = await Promise.all([1, 2, 3].map((n) => send(server, n)))
    for (const { status, headers, ms } of refused) {
      expect(status).toBe(503)
      expect(headers.get('retry-after')).toMatch(/^\d+$/)
      expect(headers.get('access-control-allow-origin')).toBeDefined()
      expect(ms).toBeGreaterThan(1400)
      expect(ms).toBeLessThan(10_000)
    }
    await waitFor(async () => {
      return (await shipOf(server)).cause?.code === 'not_enough_replicas' ? true : undefined
    }, 30_000)
    expect(await send(server, 4)).toMatchObject({ status: 503 })
    follower.start()
    await drained(server, 60_000)
    expect(await send(server, 5)).toMatchObject({ status: 200, body: '1' })
    await server.stop()
    const lines = await published(cluster(), [TOPIC])
    expect(lines.map(({ record }) => record.properties!['n'] as number).toSorted()).toEqual([
      0, 1, 2, 3, 4, 5,
    ])
    await expectSame(dataDir, lines)
  }, 150_000)
})
