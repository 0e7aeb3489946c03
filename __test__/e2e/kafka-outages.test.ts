/** What docs/KAFKA.md section 4 says of each outage, one after the other, against a real broker. */
import { expect, it, onTestFinished } from 'vitest'
import { Cluster } from '../kafka/support/cluster.js'
import { describeKafka } from '../kafka/support/suite.js'
import { RawConnection, requestBytes } from '../support/http.js'
import { event, postJson } from './support/events.js'
import {
  drained,
  expectOrdered,
  expectSame,
  published,
  type Published,
  shipOf,
  startShipping,
} from './support/kafka.js'
import { cli, type ServerProcess, waitFor, workspace } from './support/server.js'

const LARGE = { 'max.message.bytes': '4194304' }
const KEYS = 20

async function send(
  server: ServerProcess,
  ns: readonly number[],
  pad = '',
  target = '/track',
): Promise<void> {
  const connection = await RawConnection.open(server.ingest)
  const events = ns.map((n) => event('e', { distinct_id: `u${n % KEYS}`, n, pad }))
  const profiles = ns.map((n) => ({ $token: 't0k', $distinct_id: `u${n % KEYS}`, $set: { n } }))
  connection.write(requestBytes(postJson(target, target === '/track' ? events : profiles)))
  expect((await connection.reply()).body.toString()).toBe('1')
  connection.destroy()
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at)
const numbers = (lines: readonly Published[]): number[] =>
  lines.map(({ record }) => record.properties!['n'] as number).toSorted((a, b) => a - b)

function state(server: ServerProcess, wanted: string, code: string): Promise<unknown> {
  return waitFor(async () => {
    const ship = await shipOf(server)
    return ship.state === wanted && ship.cause?.code === code ? ship : undefined
  }, 30_000)
}

async function create(cluster: Cluster, prefix: string, partitions = 2): Promise<void> {
  const flags = ['--kafka', cluster.addresses, '--topic-prefix', prefix, '--partitions', String(partitions)]
  const { code, stderr } = await cli(['topics', 'create', ...flags])
  expect(code, stderr).toBe(0)
}

await describeKafka('outages', { faults: true }, (cluster) => {
  const start = (prefix: string, dataDir: string): Promise<ServerProcess> =>
    startShipping(cluster(), dataDir, ['--topic-prefix', prefix])

  it('no broker at start: it serves, says so, and catches up', async () => {
    await create(cluster(), 'start.')
    const [proxy] = cluster().proxies
    proxy!.refuse()
    const dataDir = workspace()
    const server = await start('start.', dataDir)
    await send(server, range(0, 50))
    await waitFor(
      async () => ((await shipOf(server)).cause?.code === 'unreachable' ? true : undefined),
      20_000,
    )
    expect(await server.readiness()).toMatchObject({ status: 200, accepting: true })
    expect((await shipOf(server)).lag_records).toBe(50)
    proxy!.heal()
    await drained(server)
    await waitFor(async () => ((await shipOf(server)).state === 'shipping' ? true : undefined))
    await server.stop()
    await expectSame(dataDir, await published(cluster(), ['start.track']))
  })

  it('a missing topic is waited for, and the others go on', async () => {
    await cluster().createTopic('missing.engage', 1, LARGE)
    const dataDir = workspace()
    const server = await start('missing.', dataDir)
    await send(server, range(0, 10))
    await send(server, range(0, 10), '', '/engage')
    await state(server, 'degraded', 'topic_missing')
    await waitFor(async () =>
      (await published(cluster(), ['missing.engage'])).length === 10 ? true : undefined,
    )
    await waitFor(async () => ((await shipOf(server)).lag_records === 10 ? true : undefined))
    expect(await cluster().admin.listTopics()).not.toContain('missing.track')
    const flags = ['--data-dir', dataDir, '--kafka', cluster().addresses, '--topic-prefix', 'missing.']
    const doctor = await cli(['doctor', ...flags])
    expect(doctor.stdout).toMatch(/FAULT topic missing\.track: .*topics create/)
    await create(cluster(), 'missing.')
    await drained(server)
    await server.stop()
    await expectSame(dataDir, await published(cluster(), ['missing.track', 'missing.engage']))
  })

  it('a record too large goes to the rejects, once and with the reason, and does not block the others', async () => {
    await cluster().createTopic('large.track', 1, { 'max.message.bytes': '100000' })
    for (const kind of ['engage', 'groups', 'import']) await cluster().createTopic(`large.${kind}`, 1, LARGE)
    const dataDir = workspace()
    const server = await start('large.', dataDir)
    await send(server, range(0, 20))
    await send(server, [20], 'x'.repeat(300_000))
    await send(server, range(21, 40))
    await drained(server)
    expect(numbers(await published(cluster(), ['large.track']))).toEqual([...range(0, 20), ...range(21, 40)])
    await server.stop()
    const listed = await cli(['rejects', 'list', '--data-dir', dataDir])
    expect(listed.stdout).toMatch(/max\.message\.bytes|too.large/i)
    const rejected = await cli(['tail', '--data-dir', dataDir, '--kind', 'rejected'])
    expect(rejected.stdout.trimEnd().split('\n')).toHaveLength(1)
    // Shipped and refused records are not taken up again.
    const again = await start('large.', dataDir)
    await drained(again)
    await again.stop()
    expect(await published(cluster(), ['large.track'])).toHaveLength(39)
    const after = await cli(['tail', '--data-dir', dataDir, '--kind', 'rejected'])
    expect(after.stdout).toBe(rejected.stdout)
  })

  it('P6: partitions added: order per key holds up to one place in the log, and from there on', async () => {
    await create(cluster(), 'added.', 2)
    const dataDir = workspace()
    const server = await start('added.', dataDir)
    await send(server, range(0, 200))
    await drained(server)
    const topicPartitions = [{ topic: 'added.track', count: 5 }]
    await cluster().admin.createPartitions({ topicPartitions })
    let next = 200
    await waitFor(async () => {
      await send(server, range(next, next + 100))
      next += 100
      await drained(server)
      const lines = await published(cluster(), ['added.track'])
      return lines.some(({ partition }) => partition > 1) ? true : undefined
    }, 90_000)
    await send(server, range(next, next + 100))
    await drained(server)
    await server.stop()
    const lines = await published(cluster(), ['added.track'])
    await expectSame(dataDir, lines)
    expectOrdered(lines.filter(({ partition }) => partition > 1))
    // Of keys that have moved: all that stands in the old partition comes before all that stands in the new one.
    const byKey = new Map<string, Published[]>()
    for (const line of lines.toSorted((a, b) => a.offset - b.offset)) {
      byKey.set(line.key, [...(byKey.get(line.key) ?? []), line])
    }
    const moved = [...byKey.values()].filter((own) => own[0]!.partition !== own.at(-1)!.partition)
    expect(moved.length).toBeGreaterThan(0)
    const [old, young] = [moved.map((own) => own[0]!.partition), moved.map((own) => own.at(-1)!.partition)]
    const offsets = (partitions: readonly number[]): number[] =>
      moved.flatMap((own, at) =>
        own.filter((one) => one.partition === partitions[at]).map(({ offset }) => offset),
      )
    expect(Math.max(...offsets(old))).toBeLessThan(Math.min(...offsets(young)))
    expect(offsets(old).length + offsets(young).length).toBe(moved.flat().length)
  }, 150_000)

  it('a topic deleted and made again gets what was not acknowledged, and nothing twice', async () => {
    await create(cluster(), 'again.', 1)
    const dataDir = workspace()
    const server = await start('again.', dataDir)
    await send(server, range(0, 10))
    await drained(server)
    await cluster().admin.deleteTopics({ topics: ['again.track'] })
    await send(server, range(10, 20))
    await waitFor(async () => ((await shipOf(server)).cause === null ? undefined : true), 40_000)
    await cluster().createTopic('again.track', 1, LARGE)
    await drained(server, 60_000)
    await send(server, range(20, 30))
    await drained(server)
    await server.stop()
    expect(numbers(await published(cluster(), ['again.track']))).toEqual(range(10, 30))
  }, 150_000)

  it('another cluster is recognised: what the first has acknowledged is not sent again', async () => {
    const second = await Cluster.start({ jars: cluster().jars })
    onTestFinished(() => second.remove())
    await create(cluster(), 'moved.', 1)
    await create(second, 'moved.', 1)
    const dataDir = workspace()
    const before = await start('moved.', dataDir)
    await send(before, range(0, 10))
    await drained(before)
    await before.stop()
    const after = await startShipping(second, dataDir, ['--topic-prefix', 'moved.'])
    await send(after, range(10, 20))
    await drained(after)
    await after.stop()
    expect(numbers(await published(cluster(), ['moved.track']))).toEqual(range(0, 10))
    expect(numbers(await published(second, ['moved.track']))).toEqual(range(10, 20))
  })
})
