/**
 * The Kafka client, set up from our settings: brokers, TLS, SASL, time-outs. The sink, doctor and `topics create` connect
 * alike, so what doctor finds reachable is what the sink will reach.
 */
import { Kafka, logLevel, type KafkaConfig, type LogEntry, type SASLOptions } from 'kafkajs'
import type { Config } from '../../config.js'

/** What it takes to connect; plain values, so that they can be handed to a worker thread. */
export type KafkaSettings = Pick<
  Config,
  'kafka' | 'kafkaAccess' | 'kafkaClientId' | 'kafkaConnectTimeoutMs' | 'kafkaRequestTimeoutMs'
>

/** Takes what the client has to say. Its own levels are loud: a failed connection is `error` at every try. */
export type KafkaLines = (
  level: 'error' | 'warn' | 'info' | 'debug',
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void

const LEVELS = { [logLevel.ERROR]: 'error', [logLevel.WARN]: 'warn', [logLevel.INFO]: 'info' } as const

/**
 * @param lines where the client's own lines go; left out, they are dropped
 * @param settings `kafka` must name at least one broker
 */
export function createKafka(settings: KafkaSettings, lines: KafkaLines = () => {}): Kafka {
  const {
    kafka: brokers,
    kafkaAccess,
    kafkaClientId,
    kafkaConnectTimeoutMs,
    kafkaRequestTimeoutMs,
  } = settings
  return new Kafka({
    brokers: [...brokers],
    clientId: kafkaClientId,
    connectionTimeout: kafkaConnectTimeoutMs,
    authenticationTimeout: kafkaConnectTimeoutMs,
    requestTimeout: kafkaRequestTimeoutMs,
    enforceRequestTimeout: true,
    ...accessOf(kafkaAccess),
    // Every seed broker is tried once, and the first once more; all further patience is the caller's.
    retry: { retries: brokers.length, initialRetryTime: 100, maxRetryTime: 1000 },
    logLevel: logLevel.INFO,
    logCreator: () => (entry) => lines(levelOf(entry), entry.log.message, fieldsOf(entry)),
  })
}

function accessOf({ tls, sasl }: KafkaSettings['kafkaAccess']): Pick<KafkaConfig, 'ssl' | 'sasl'> {
  return {
    ...(tls !== undefined && {
      ssl: { ...tls, minVersion: 'TLSv1.2', ...(tls.ca !== undefined && { ca: [tls.ca] }) },
    }),
    // The type wants to know which of the three it is; all have a user and a password.
    ...(sasl !== undefined && { sasl: sasl as SASLOptions }),
  }
}

function levelOf({ level }: LogEntry): 'error' | 'warn' | 'info' | 'debug' {
  return level === logLevel.NOTHING || level === logLevel.DEBUG ? 'debug' : LEVELS[level]
}

function fieldsOf({ namespace, log }: LogEntry): Readonly<Record<string, unknown>> {
  const { message: _message, timestamp: _timestamp, ...fields } = log
  return { kafkajs: namespace, ...fields }
}
