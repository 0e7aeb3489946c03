/** The test broker itself: what the other tests rely on. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { expect, it, onTestFinished } from 'vitest'
import type { Cluster } from './support/cluster.js'
import { API } from './support/fault-proxy.js'
import { consumeAll, dumpSegments } from './support/read.js'
import { describeKafka } from './support/suite.js'

const execFileAsync = promisify(execFile)

async function send(cluster: Cluster, topic: string, values: readonly string[]): Promise<void> {
  const kafka = new Kafka({
    brokers: cluster.addresses.split(','),
    requestTimeout: 1000,
    retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 200 },
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer()
  onTestFinished(() => producer.disconnect())
  await producer.connect()
  await producer.send({
    topic,
    acks: -1,
    messages: values.map((value) => ({ key: 'k"é', value, headers: { h: 'x' } })),
  })
  await producer.disconnect()
}

/** kcat, which outlives what kafkajs's producer does not: a seed broker that is frozen. */
async function sendPatiently(cluster: Cluster, topic: string, value: string): Promise<void> {
  const args = ['-P', '-b', cluster.internal, '-t', topic, '-X', 'acks=all', '-X', 'socket.timeout.ms=1000']
  const sending = execFileAsync('kcat', args)
  sending.child.stdin!.end(`${value}\n`)
  await sending
}

const values = async (cluster: Cluster, topic: string): Promise<string[]> =>
  (await consumeAll(cluster, topic)).map(({ value }) => value)

await describeKafka('one broker behind a proxy', { faults: true }, (cluster) => {
  it('takes records, and gives them back with keys, headers and offsets', async () => {
    await cluster().createTopic('plain', 2, { 'max.message.bytes': '2000000' })
    await send(cluster(), 'plain', ['a', 'b'])
    const [first, second] = await consumeAll(cluster(), 'plain')
    expect(first).toMatchObject({ key: 'k"é', value: 'a', headers: { h: 'x' }, offset: 0 })
    expect(second).toMatchObject({ value: 'b', offset: 1, partition: first!.partition })
    expect(first!.timestampMs).toBeGreaterThan(Date.now() - 60_000)
    const dump = await dumpSegments(cluster(), 'plain', first!.partition)
    expect(dump).toMatch(/baseOffset: 0 lastOffset: 1 .* isvalid: true/)
  })

  it('survives kill -9 on the same directory and ports', async () => {
    await cluster().createTopic('killed')
    await send(cluster(), 'killed', ['before'])
    const [broker] = cluster().brokers
    await broker!.kill()
    expect(broker!.running).toBe(false)
    broker!.start()
    await cluster().ready()
    await send(cluster(), 'killed', ['after'])
    expect(await values(cluster(), 'killed')).toEqual(['before', 'after'])
  })

  // The client sends again after each of them; without its idempotence that shows whether the broker had written.
  it.each([
    [{ kind: 'lose_request' }, 1],
    [{ kind: 'lose_reply' }, 2],
    [{ kind: 'cut_reply' }, 2],
    [{ kind: 'half_close' }, 2],
    [{ kind: 'hang' }, 2],
    [{ kind: 'delay', ms: 100 }, 1],
  ] as const)('$0 of a produce request: kept $1 times', async (fault, times) => {
    const topic = `fault-${fault.kind}`
    await cluster().createTopic(topic)
    const [proxy] = cluster().proxies
    const happened = proxy!.next(API.produce, fault)
    await send(cluster(), topic, [fault.kind])
    await happened
    expect(await values(cluster(), topic)).toEqual(Array.from({ length: times }, () => fault.kind))
  })

  it('is away while the proxy refuses, and back when it is healed', async () => {
    await cluster().createTopic('away')
    const [proxy] = cluster().proxies
    proxy!.refuse()
    const sending = send(cluster(), 'away', ['later'])
    await sleep(300)
    expect(await values(cluster(), 'away')).toEqual([])
    proxy!.heal()
    await sending
    expect(await values(cluster(), 'away')).toEqual(['later'])
  })
})

await describeKafka('three brokers', { brokers: 3 }, (cluster) => {
  it('go on without a leader that is killed or frozen', async () => {
    await cluster().createTopic('replicated')
    await sendPatiently(cluster(), 'replicated', 'three')
    const killed = await cluster().leaderOf('replicated')
    await killed.kill()
    await sendPatiently(cluster(), 'replicated', 'two')
    killed.start()
    await cluster().ready()
    await cluster().inSync('replicated')
    const frozen = await cluster().leaderOf('replicated')
    frozen.pause()
    await sendPatiently(cluster(), 'replicated', 'again two')
    frozen.resume()
    await cluster().inSync('replicated')
    // It publishes at least once: what a frozen broker had taken may stand there twice.
    expect([...new Set(await values(cluster(), 'replicated'))]).toEqual(['three', 'two', 'again two'])
  })
})
