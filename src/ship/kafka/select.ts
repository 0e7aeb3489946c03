/** Which sink ships: exactly once where kafkajs and brokers are as expected, or what was asked for instead. */
import type { Kafka } from 'kafkajs'
import type { Clock } from '../../clock.js'
import type { Sink } from '../sink.js'
import { Cluster } from './cluster.js'
import type { Compression } from './compression.js'
import { loadCrc32c } from './crc32c.js'
import { checkKafkajs, connectorOf, KafkajsUnknown } from './kafkajs-inside.js'
import { PreferringSink } from './preferring-sink.js'
import { PublicProducerSink } from './public-sink.js'
import { RecordBatchEncoder, type Writer } from './record-batch.js'
import { KafkaSink } from './sink.js'

export interface SinkOptions {
  readonly kafka: Kafka
  /** `host:port`, those that `kafka` was made with. */
  readonly brokers: readonly string[]
  /** `require`: exactly once or not at all. `prefer`: at least once rather than not at all. */
  readonly exactlyOnce: 'require' | 'prefer'
  readonly compression: Compression
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly writer: Writer
  readonly clock: Clock
  /** Told once, in a sentence, why only at least once is promised. */
  readonly onDowngrade?: (reason: string) => void
}

/** A question that any broker can answer is put to the next one after this. */
const ASK_TIMEOUT_MS_MAX = 5000

/** Throws KafkajsUnknown under `require`, and SluicegateError `compression_unavailable`. Opens no connection. */
export async function createSink(options: SinkOptions): Promise<Sink> {
  const { kafka, compression, requestTimeoutMs, writer, exactlyOnce, onDowngrade = () => {} } = options
  const atLeastOnce = (): Sink => new PublicProducerSink({ kafka, compression, requestTimeoutMs, writer })
  try {
    await checkKafkajs(kafka)
  } catch (error) {
    if (exactlyOnce === 'require' || !(error instanceof KafkajsUnknown)) throw error
    onDowngrade(error.message)
    return atLeastOnce()
  }
  const sink = await createKafkaSink(options)
  return exactlyOnce === 'require' ? sink : new PreferringSink(sink, atLeastOnce, onDowngrade)
}

async function createKafkaSink(options: SinkOptions): Promise<KafkaSink> {
  const { kafka, brokers, compression, connectTimeoutMs, requestTimeoutMs, writer, clock } = options
  const crc32c = await loadCrc32c()
  const cluster = new Cluster({
    connector: connectorOf(kafka),
    seeds: brokers,
    connectTimeoutMs,
    askTimeoutMs: Math.min(requestTimeoutMs, ASK_TIMEOUT_MS_MAX),
  })
  const encoder = new RecordBatchEncoder({ writer, compression, crc32c })
  return new KafkaSink({ cluster, encoder, crc32c, clock, requestTimeoutMs })
}
