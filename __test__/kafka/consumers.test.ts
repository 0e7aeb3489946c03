/** The programs of docs/KAFKA.md as they stand there, reading a real topic. */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Kafka, logLevel, type Message } from 'kafkajs'
import { expect, it, onTestFinished } from 'vitest'
import { readDocument, ROOT } from '../docs/markdown.js'
import { inTime, waitFor } from '../e2e/support/server.js'
import { describeKafka } from './support/suite.js'

const WRITER = '0123456789abcdef0123456789abcdef'
const blocks = readDocument('docs/KAFKA.md').blocks
const run = promisify(execFile)

function envelope(n: number): string {
  const common = {
    v: 1,
    kind: 'track',
    token: 't0k',
    insert_id: `id-${n}`,
    distinct_id: 'u',
    time_ms: 1000 + n,
  }
  return JSON.stringify({ ...common, record: { event: `e${n}`, properties: {} } })
}

function message(n: number, offset = n, again = false): Message {
  const headers = { log_position: `${WRITER}.1.${offset}`, ...(again && { possible_duplicate: '1' }) }
  return { key: 't0k:u', value: envelope(n), headers }
}

await describeKafka('the examples of docs/KAFKA.md', {}, (cluster) => {
  async function produce(messages: readonly Message[]): Promise<void> {
    const kafka = new Kafka({ brokers: [cluster().addresses], logLevel: logLevel.NOTHING })
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: 'sluicegate.track', messages: [...messages] })
    await producer.disconnect()
  }

  it('a consumer in TypeScript handles each record, and drops what it has seen', async () => {
    await cluster().createTopic('sluicegate.track')
    await cluster().createTopic('sluicegate.import')
    // 1 and 2 were sent again because nobody knew whether they had arrived; 3 had not.
    const again = [message(1, 1, true), message(2, 2, true), message(3, 3, true)]
    await produce([message(0), message(1), message(2), ...again, message(4)])
    const program = compile(blocks.filter(({ language }) => language === 'ts').map(({ text }) => text))
    const env = { ...process.env, KAFKA: cluster().addresses }
    const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    const lines = (): string[] => out.split('\n').filter((line) => line.includes(' track '))
    await waitFor(() => (lines().some((line) => line.includes('id-4')) ? true : undefined), 30_000)
    child.kill('SIGTERM')
    const ended = new Promise((resolve) => child.once('close', resolve))
    expect(await inTime('the consumer ends on SIGTERM', ended)).toBe(0)
    expect(lines()).toEqual([0, 1, 2, 3, 4].map((n) => `${1000 + n} track e${n} id-${n}`))
  })

  it('kcat prints one envelope a line, and keys with their places in the log', async () => {
    const commands = blocks.filter(({ language, text }) => language === 'sh' && text.startsWith('kcat'))
    const [values, places] = await Promise.all(
      commands.map(async ({ text }) => {
        const command = text.replaceAll('127.0.0.1:9092', cluster().addresses)
        return (await run('bash', ['-c', command])).stdout.trimEnd().split('\n')
      }),
    )
    expect(commands).toHaveLength(2)
    expect(values![0]).toBe(envelope(0))
    expect(values).toHaveLength(7)
    expect(places![4]).toBe(`0 4 t0k:u log_position=${WRITER}.1.2,possible_duplicate=1`)
  })
})

/** Checked as strictly as the project itself; where kafkajs can be found from. */
function compile(texts: readonly string[]): string {
  expect(texts).toHaveLength(1)
  const directory = join(ROOT, '.cache', `consumer-${process.pid}`)
  mkdirSync(directory, { recursive: true })
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const source = join(directory, 'consumer.mts')
  writeFileSync(source, texts[0]!)
  const flags = ['--ignoreConfig', '--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes']
  flags.push('--types', 'node', '--target', 'es2023', '--module', 'nodenext', '--outDir', directory)
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...flags, source], {
    stdio: 'inherit',
  })
  return join(directory, 'consumer.mjs')
}
