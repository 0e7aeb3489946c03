/** P5 and P6 into Kafka: real requests, read back with Kafka's own tools. */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import type { Cluster } from '../kafka/support/cluster.js'
import { consumeAll, dumpSegments } from '../kafka/support/read.js'
import { describeKafka } from '../kafka/support/suite.js'
import { drained, expectOrdered, expectSame, published, startShipping } from './support/kafka.js'
import { cli, ROOT, workspace } from './support/server.js'

const run = promisify(execFile)
const TOPIC = 'sluicegate.track'
const PARTITIONS = 6
const EVENTS = 10_000

/** Lines of a real access log, often enough; each place in the file makes an event of its own. */
function accessLog(directory: string): string {
  const text = readFileSync(join(ROOT, '__test__/vectors/access.log'), 'utf8')
  const path = join(directory, 'access.log')
  writeFileSync(path, text.repeat(Math.ceil(EVENTS / (text.split('\n').length - 1))))
  return path
}

/** Where librdkafka's `murmur2` partitioner, which is that of Java's client, puts keys. */
async function partitionsOfJava(cluster: Cluster, keys: readonly string[]): Promise<Map<string, number>> {
  await cluster.createTopic('oracle', PARTITIONS)
  const args = ['-P', '-b', cluster.internal, '-t', 'oracle', '-K', '\t', '-X', 'topic.partitioner=murmur2']
  const producing = run('kcat', args)
  producing.child.stdin!.end(keys.map((key) => `${key}\tx\n`).join(''))
  await producing
  const records = await consumeAll(cluster, 'oracle')
  return new Map(records.map(({ key, partition }) => [key, partition]))
}

const CLUSTERS = [
  { version: '4.3.1', compression: 'none' },
  { version: '3.9.2', compression: 'lz4' },
] as const

for (const { version, compression } of CLUSTERS) {
  await describeKafka(`P5, P6: events of an access log into Kafka ${version}`, { version }, (cluster) => {
    it('stand there once, byte for byte, where the Java client would put them, in well-formed batches', async () => {
      const dataDir = workspace()
      const made = await cli([
        'topics',
        'create',
        '--kafka',
        cluster().addresses,
        '--partitions',
        String(PARTITIONS),
      ])
      expect(made.code, made.stderr).toBe(0)
      const server = await startShipping(cluster(), dataDir, ['--kafka-compression', compression])
      const replay = join(ROOT, 'bench/replay/replay.mjs')
      const flags = ['--url', server.ingest, '--file', accessLog(dataDir), '--mode', 'json', '--json']
      const { stdout } = await run(process.execPath, [replay, ...flags, '--lines', String(EVENTS)])
      expect(JSON.parse(stdout)).toMatchObject({ lines: EVENTS })
      await drained(server)
      const lines = await published(cluster(), [TOPIC])
      expect(lines.length).toBeGreaterThan(EVENTS * 0.9)
      await expectSame(dataDir, lines)
      expectOrdered(lines)

      const keys = [...new Set(lines.map(({ key }) => key))]
      expect(keys.length).toBeGreaterThan(PARTITIONS)
      const java = await partitionsOfJava(cluster(), keys)
      expect(lines.filter(({ key, partition }) => java.get(key) !== partition)).toEqual([])

      for (let partition = 0; partition < PARTITIONS; partition++) {
        if (!lines.some((line) => line.partition === partition)) continue
        expectWellFormed(await dumpSegments(cluster(), TOPIC, partition), compression)
      }
      expect((await server.stop()).code).toBe(0)
    })
  })
}

/** As DumpLogSegments sees the batches of a partition. */
function expectWellFormed(dump: string, compression: string): void {
  const batches = dump.split('\n').filter((line) => line.startsWith('baseOffset:'))
  expect(batches.length).toBeGreaterThan(0)
  let sequence = 0
  for (const batch of batches) {
    const of = (name: string): number => Number(new RegExp(`${name}: (-?\\d+)`).exec(batch)?.[1])
    expect(batch).toMatch(/isvalid: true/)
    expect(batch).toMatch(/magic: 2/)
    expect(batch).toContain(`compresscodec: ${compression}`)
    expect([of('baseSequence'), of('producerEpoch')]).toEqual([sequence, 0])
    expect(of('producerId')).toBeGreaterThanOrEqual(0)
    sequence = of('lastSequence') + 1
  }
}
