/** What stands in a topic, as consumers and Kafka's own tools see it. */
import { execFile, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { javaArgs } from './broker.js'
import type { Cluster } from './cluster.js'

const run = promisify(execFile)

export interface ConsumedRecord {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
  readonly timestampMs: number
}

interface KcatLine {
  readonly partition: number
  readonly offset: number
  readonly ts: number
  readonly key: string
  readonly payload: string
  readonly headers?: readonly string[]
}

/** Every record of a topic up to its end, read with kcat; order holds within a partition. */
export async function* consume(cluster: Cluster, topic: string): AsyncGenerator<ConsumedRecord> {
  const args = ['-b', cluster.internal, '-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-J']
  const kcat = spawn('kcat', [...args, '-X', 'check.crcs=true', '-X', 'fetch.wait.max.ms=10'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  kcat.stderr.on('data', (part) => (said += part))
  const ended = new Promise((resolve) => kcat.once('close', resolve))
  for await (const line of createInterface({ input: kcat.stdout, crlfDelay: Infinity })) {
    const { key, payload: value, headers = [], ts: timestampMs, ...place } = JSON.parse(line) as KcatLine
    const { partition, offset } = place
    yield { partition, offset, key, value, headers: pairs(headers), timestampMs }
  }
  const code = await ended
  if (code !== 0) throw new Error(`kcat: ${said}`)
}

export async function consumeAll(cluster: Cluster, topic: string): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = []
  for await (const record of consume(cluster, topic)) records.push(record)
  return records
}

function pairs(list: readonly string[]): Readonly<Record<string, string>> {
  const entries = list.flatMap((name, index) => (index % 2 === 0 ? [[name, list[index + 1]!] as const] : []))
  return Object.fromEntries(entries)
}

/** What DumpLogSegments says of a partition on one broker; it fails on batches that are not well formed. */
export async function dumpSegments(
  cluster: Cluster,
  topic: string,
  partition = 0,
  broker = 1,
): Promise<string> {
  const directory = join(cluster.broker(broker).place.directory, 'data', `${topic}-${partition}`)
  const files = readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(directory, name))
  // Written anew for Kafka 4.
  const main = cluster.jars.version.startsWith('3.')
    ? 'kafka.tools.DumpLogSegments'
    : 'org.apache.kafka.tools.DumpLogSegments'
  const args = ['--deep-iteration', '--files', files.join(',')]
  const java = javaArgs(cluster.jars, [], main, args)
  const { stdout } = await run('java', java, { maxBuffer: 256 * 2 ** 20 })
  return stdout
}
