/** The shipper's thread: builds the shipper over files and Kafka, and speaks with the main thread (shipping.ts). */
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../clock.js'
import { Cursors } from '../log/cursor.js'
import { nodeDisk } from '../log/node-disk.js'
import { systemRandom } from '../random.js'
import type { Say } from '../say.js'
import { createKafka } from './kafka/client.js'
import { createSink } from './kafka/select.js'
import { FileLogSource } from './log-source.js'
import { type FromShipper, SharedOffset, type ShipWorkerData, type ToShipper } from './messages.js'
import { isInRejects } from './refused.js'
import type { RefusedRecord, ShipperOptions } from './parts.js'
import { Shipper } from './shipper.js'
import type { Sink } from './sink.js'
import { ShipStore } from './store.js'

/** Records in memory: what bounds the thread whatever the lag. */
const MEMORY_BYTES_MAX = 16 * 2 ** 20
/** More in a batch costs latency and saves nothing. */
const BATCH_RECORDS_MAX = 1000
const STATUS_MS = 500

const port = parentPort!
const data = workerData as ShipWorkerData
const { settings, directory, writerId } = data

const tell = (message: FromShipper): void => port.postMessage(message)
const say: Say = (level, message, fields) => tell({ type: 'say', level, message, fields })

const source = new FileLogSource(
  join(directory, 'log'),
  new SharedOffset(data.shared),
  () => shipper.lingerMs / 2,
  say,
)

async function openSink(): Promise<Sink> {
  const kafka = createKafka(settings, (level, message, fields) => {
    // Its own errors come with every try of an outage; what matters is said by the sink.
    if (level === 'error') say('info', `kafkajs: ${message}`, { ...fields })
  })
  return createSink({
    kafka,
    brokers: settings.kafka,
    exactlyOnce: settings.kafkaExactlyOnce,
    compression: settings.kafkaCompression,
    connectTimeoutMs: settings.kafkaConnectTimeoutMs,
    requestTimeoutMs: settings.kafkaRequestTimeoutMs,
    writer: { id: writerId, epoch: data.epoch },
    clock: systemClock,
    onDowngrade: (reason) => say('warn', `records are published at least once only: ${reason}`),
  })
}

const cursors = new Cursors(directory, nodeDisk, systemClock)
const kept = new Map<number, (error: string | undefined) => void>()
let nextId = 0

/** The log of rejects belongs to the main thread. */
async function refuse(record: RefusedRecord): Promise<void> {
  if (record.again && (await isInRejects(directory, writerId, record.offset))) return
  const id = nextId++
  const error = await new Promise<string | undefined>((resolve) => {
    kept.set(id, resolve)
    tell({ type: 'refuse', id, record })
  })
  if (error !== undefined) throw new Error(error)
}

let acknowledged: number[] = []

/** One message a turn, whatever the number of batches. */
function onAcknowledged(offsets: readonly number[]): void {
  if (!data.tellsAcknowledged) return
  if (acknowledged.length === 0) setImmediate(tellAcknowledged)
  for (const offset of offsets) acknowledged.push(offset)
}

function tellAcknowledged(): void {
  const offsets = Float64Array.from(acknowledged)
  acknowledged = []
  port.postMessage({ type: 'acknowledged', offsets } satisfies FromShipper, [offsets.buffer])
}

function options(): ShipperOptions {
  return {
    routes: data.routes,
    from: settings.kafkaFrom,
    lingerMs: settings.kafkaLingerMs,
    batchBytesMax: settings.kafkaBatchBytes,
    batchRecordsMax: BATCH_RECORDS_MAX,
    memoryBytesMax: MEMORY_BYTES_MAX,
  }
}

const sink = await openSink()
const shipper = new Shipper(
  {
    sink,
    source,
    store: await ShipStore.open(directory, nodeDisk),
    cursor: { get: () => cursors.get('kafka'), set: (offset) => cursors.set('kafka', offset) },
    writerId,
    firstOffset: data.firstOffset,
    clock: systemClock,
    random: systemRandom,
    say,
    refuse,
    onAcknowledged,
  },
  options(),
)

port.on('message', (message: ToShipper) => {
  if (message.type === 'wake') source.wake()
  if (message.type === 'stop') shipper.stop()
  if (message.type === 'kept') {
    kept.get(message.id)?.(message.error)
    kept.delete(message.id)
  }
})

const tellStatus = (): void => tell({ type: 'status', status: shipper.status() })
const timer = setInterval(tellStatus, STATUS_MS)
shipper.onLooked = tellStatus
await shipper.run()
clearInterval(timer)
tellStatus()
await sink.close()
// Sockets on which somebody still waits for an answer would keep the thread for as long.
process.exit(0)
