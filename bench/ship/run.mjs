// CPU of publishing, per message: the sink for exactly once beside kafkajs's public producer, in turns, against a broker:
//
//   node bench/ship/run.mjs --kafka 127.0.0.1:9092 [--rounds 7] [--messages 60000] [--codecs] [--check]
//
// Process CPU (user and system, all threads of this process; the broker is another one) of encoding, sending and waiting
// for acks=all, with 600-byte values and five batches under way. Makes a topic for each row and removes it again.
// `--codecs` adds the compressed rows. `--check`: exit code 1 when more than 3 µs a message are used in batches of 250.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const VALUE_BYTES = 600
const IN_FLIGHT = 5
const MICROSECONDS_MAX = 3

const { values } = parseArgs({
  options: {
    kafka: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    messages: { type: 'string', default: '60000' },
    codecs: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
})
const [rounds, messages] = [Number(values.rounds), Number(values.messages)]
if (values.kafka === undefined || !(rounds >= 1) || !(messages >= 1)) {
  console.error(
    'usage: node bench/ship/run.mjs --kafka HOST:PORT [--rounds N] [--messages N] [--codecs] [--check]',
  )
  process.exit(2)
}

for (const command of [
  ['scripts/build-native.mjs'],
  ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
]) {
  const { status } = spawnSync(process.execPath, command, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}
const load = (path) => import(join(root, 'dist', path))
const { systemClock } = await load('clock.js')
const { createKafka } = await load('ship/kafka/client.js')
const { OutRecord } = await load('ship/sink.js')
const { createSink } = await load('ship/kafka/select.js')
const { PublicProducerSink } = await load('ship/kafka/public-sink.js')
const { canCompress } = await load('ship/kafka/compression.js')

const brokers = values.kafka.split(',')
const kafka = createKafka({
  kafka: brokers,
  kafkaAccess: { tls: undefined, sasl: undefined },
  kafkaClientId: 'sluicegate-bench',
  kafkaConnectTimeoutMs: 5000,
  kafkaRequestTimeoutMs: 30_000,
})
const options = (compression) => ({
  kafka,
  brokers,
  exactlyOnce: 'require',
  compression,
  connectTimeoutMs: 5000,
  requestTimeoutMs: 30_000,
  writer: { id: '0123456789abcdef0123456789abcdef', epoch: 1 },
  clock: systemClock,
})

/** Envelopes of VALUE_BYTES: names that repeat, and a third that no codec makes small. */
const records = Array.from({ length: 5000 }, (_, offset) => {
  const noise = createHash('shake256', { outputLength: 150 }).update(String(offset)).digest('base64url')
  const event = `"event":"page","distinct_id":"${noise.slice(0, 20)}","$insert_id":"${noise.slice(20, 40)}"`
  const head = `{"v":1,"kind":"track","token":"0123456789abcdef0123456789abcdef","received_ms":${1.7e12 + offset},`
  const page = `"page":"/shop/${noise.slice(40)}","browser":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"`
  const start = `${head}${event},${page},"referrer":"https://example.org/`
  const value = `${start}${'search?q=shoes&page='.repeat(20).slice(0, VALUE_BYTES - start.length - 2)}"}`
  const key = Buffer.from(`0123456789abcdef0123456789abcdef:${noise.slice(0, 20)}`)
  const memory = Buffer.concat([key, Buffer.from(value)])
  return new OutRecord(offset, memory, 0, key.length, memory.length)
})

const rows = [250, 500, 1000].flatMap((size) => {
  const codecs = values.codecs ? ['none', 'lz4', 'gzip', 'zstd'].filter(canCompress) : ['none']
  return [
    ...codecs.map((codec) => ({
      name: `exactly once, ${codec}`,
      size,
      make: () => createSink(options(codec)),
    })),
    { name: 'public producer, none', size, make: async () => new PublicProducerSink(options('none')) },
  ]
})

const admin = kafka.admin()
await admin.connect()
for (const [index, row] of rows.entries()) {
  row.topic = `bench-${process.pid}-${index}`
  row.cpu = []
  row.rate = []
  row.sequence = 0
}
await admin.createTopics({
  topics: rows.map(({ topic }) => ({ topic, numPartitions: 1 })),
  waitForLeaders: true,
})
try {
  for (const row of rows) await open(row)
  for (let round = 0; round <= rounds; round++) {
    for (const row of round % 2 === 0 ? rows : rows.toReversed()) await measure(row, round > 0)
  }
} finally {
  for (const { sink } of rows) await sink?.close()
  await admin.deleteTopics({ topics: rows.map(({ topic }) => topic) }).catch(() => {})
  await admin.disconnect()
}
report()

async function open(row) {
  row.sink = await row.make()
  await row.sink.describe([row.topic])
  for (let tries = 0; row.sink.exactlyOnce && row.producer === undefined; tries++) {
    row.producer = await row.sink.producerIdentity().catch((error) => {
      if (tries === 100) throw error
      return new Promise((resolve) => setTimeout(resolve, 100))
    })
  }
  row.producer ??= { id: -1n, epoch: -1 }
}

/** The first round warms up and does not count. */
async function measure(row, counts) {
  const batches = Math.ceil(messages / row.size)
  const under = new Set()
  const start = process.hrtime.bigint()
  const before = process.cpuUsage()
  for (let index = 0; index < batches; index++) {
    const publishing = publish(row, index).finally(() => under.delete(publishing))
    under.add(publishing)
    if (under.size >= IN_FLIGHT) await Promise.race(under)
  }
  await Promise.all(under)
  const { user, system } = process.cpuUsage(before)
  if (!counts) return
  row.cpu.push((user + system) / (batches * row.size))
  row.rate.push((batches * row.size) / (Number(process.hrtime.bigint() - start) / 1e9))
}

async function publish({ sink, topic, producer, size, ...row }, index) {
  const from = (index * size) % (records.length - size)
  const firstSequence = rows.find((one) => one.topic === topic).sequence
  rows.find((one) => one.topic === topic).sequence = (firstSequence + size) % 2 ** 31
  const slice = records.slice(from, from + size)
  const batch = { topic, partition: 0, producer, firstSequence, records: slice, possibleDuplicate: false }
  const outcome = await sink.publish(batch)
  if (outcome.kind !== 'delivered') throw new Error(`${row.name}: ${JSON.stringify(outcome)}`)
}

function report() {
  const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
  console.log('batch  sink                       CPU µs/message (median, min)   messages/s (median)')
  for (const { name, size, cpu, rate } of rows) {
    const figures = `${median(cpu).toFixed(2).padStart(12)} ${Math.min(...cpu)
      .toFixed(2)
      .padStart(8)}`
    console.log(
      `${String(size).padStart(5)}  ${name.padEnd(24)} ${figures} ${median(rate).toFixed(0).padStart(24)}`,
    )
  }
  const over = rows.filter(({ name, cpu }) => name === 'exactly once, none' && median(cpu) > MICROSECONDS_MAX)
  for (const { size } of over)
    console.error(`more than ${MICROSECONDS_MAX} µs a message in batches of ${size}`)
  if (values.check && over.length > 0) process.exitCode = 1
}
