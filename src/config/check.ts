/** Checks between settings: each message names both values and what to change. */
import * as zlib from 'node:zlib'
import { UsageError } from '../errors.js'
import { showBytes } from './kinds.js'
import { envName, flagName, settingOf, type Key, type Settings } from './schema.js'

type Check = (settings: Settings) => string | undefined

const flag = (key: Key): string => `--${flagName(key)}`
const size = (key: Key, settings: Settings): string => `${flag(key)} (${showBytes(Number(settings[key]))})`

const TLS_KEYS = [
  'kafkaTlsCaFile',
  'kafkaTlsCertFile',
  'kafkaTlsKeyFile',
  'kafkaTlsKeyPassphrase',
  'kafkaTlsKeyPassphraseFile',
] as const
/** What the 2000 records of a request may ordinarily grow by, and what each byte of a small body may. */
const GROWTH_BYTES = 4 * 2 ** 20
const GROWTH_RATIO = 50

const ERRORS: readonly Check[] = [
  (s) =>
    s.ack === 'kafka' && s.kafka.length === 0
      ? '--ack kafka needs --kafka HOST:PORT,…, the brokers to wait for'
      : undefined,
  (s) =>
    s.kafkaSasl !== 'none' && s.kafkaSaslUsername === undefined
      ? `--kafka-sasl ${s.kafkaSasl} needs --kafka-sasl-username NAME`
      : undefined,
  (s) =>
    s.kafkaSasl !== 'none' && (s.kafkaSaslPassword === undefined) === (s.kafkaSaslPasswordFile === undefined)
      ? `--kafka-sasl ${s.kafkaSasl} needs the password once: ` +
        `--kafka-sasl-password-file FILE or the variable ${envName('kafkaSaslPassword')}`
      : undefined,
  (s) =>
    s.kafkaSasl === 'none' &&
    (s.kafkaSaslUsername ?? s.kafkaSaslPassword ?? s.kafkaSaslPasswordFile) !== undefined
      ? 'a user or password for Kafka is given, but --kafka-sasl is none: give plain, scram-sha-256 or scram-sha-512'
      : undefined,
  (s) => {
    const given = TLS_KEYS.find((key) => s[key] !== undefined)
    if (s.kafkaTls === 'on' || given === undefined) return undefined
    return `${settingOf(given).secret === true ? envName(given) : flag(given)} needs --kafka-tls on`
  },
  (s) =>
    (s.kafkaTlsCertFile === undefined) !== (s.kafkaTlsKeyFile === undefined)
      ? '--kafka-tls-cert-file and --kafka-tls-key-file belong together: give both or none'
      : undefined,
  (s) =>
    s.kafkaTlsKeyPassphrase !== undefined && s.kafkaTlsKeyPassphraseFile !== undefined
      ? `give the passphrase once: --kafka-tls-key-passphrase-file or ${envName('kafkaTlsKeyPassphrase')}`
      : undefined,
  (s) =>
    s.kafkaCompression === 'zstd' && !('zstdCompressSync' in zlib)
      ? `--kafka-compression zstd needs Node 22.15 or newer, this is ${process.versions.node}: use lz4`
      : undefined,
  (s) =>
    s.port !== 0 && s.port === s.opsPort && s.host === s.opsHost
      ? `--port and --ops-port are both ${s.port}: give the ops listener a port of its own`
      : undefined,
  (s) =>
    s.auth === 'tokens' && s.tokensFile === undefined
      ? '--auth tokens needs --tokens-file FILE, the list of tokens to take'
      : undefined,
  (s) =>
    s.batchBytesMax < s.bodyLimitBytes
      ? `${size('batchBytesMax', s)} must be at least ${size('bodyLimitBytes', s)}, or full bodies never fit`
      : undefined,
  (s) =>
    s.logMaxBytes !== undefined && s.logMaxBytes < 2 * s.logSegmentBytes
      ? `${size('logMaxBytes', s)} must hold two segments of ${size('logSegmentBytes', s)}`
      : undefined,
  (s) =>
    s.logMaxBytes !== undefined && s.logMaxBytes < 2 * s.batchBytesMax
      ? `${size('logMaxBytes', s)} must hold two batches of ${size('batchBytesMax', s)}`
      : undefined,
  (s) =>
    s.logMaxBytes !== undefined && (s.rejectBytesMax ?? 0) > s.logMaxBytes
      ? `${size('rejectBytesMax', s)} must not be more than ${size('logMaxBytes', s)}`
      : undefined,
  (s) =>
    s.memoryInflightBytes < s.bodyLimitBytes + 2 * s.batchBytesMax
      ? `${size('memoryInflightBytes', s)} must hold one body (${size('bodyLimitBytes', s)}) and two ` +
        `batches (${size('batchBytesMax', s)} each)`
      : undefined,
]

const WARNINGS: readonly Check[] = [
  (s) =>
    s.kafka.length > 0 && s.kafkaSasl === 'plain' && s.kafkaTls === 'off'
      ? '--kafka-sasl plain without --kafka-tls on: the password can be read on the way'
      : undefined,
  (s) =>
    s.kafka.length === 0 && (s.kafkaTls === 'on' || s.kafkaSasl !== 'none' || s.topicsFile !== undefined)
      ? 'settings of Kafka are given, but no brokers (--kafka HOST:PORT,…): nothing is published'
      : undefined,
  (s) =>
    s.auth === 'open' && s.tokensFile !== undefined
      ? '--tokens-file gives credentials for /import, but with --auth open any token is taken'
      : undefined,
  (s) =>
    s.batchBytesMax < s.bodyLimitBytes + Math.min(GROWTH_BYTES, GROWTH_RATIO * s.bodyLimitBytes)
      ? `${size('batchBytesMax', s)} should be 4 MiB above ${size('bodyLimitBytes', s)}: records grow by their ` +
        'envelopes, and full bodies that do not fit are answered 413'
      : undefined,
  (s) =>
    s.keepAliveTimeoutMs < 75_000
      ? '--keep-alive-timeout-ms below 75 s: load balancers and SDKs keep connections that long and do not ' +
        'repeat a POST on one that has just closed'
      : undefined,
  (s) =>
    /^(0\.0\.0\.0|::)$/.test(s.opsHost)
      ? '--ops-host takes connections from everywhere: its answers are meant for operators alone'
      : undefined,
]

/** @throws UsageError with the first contradiction. */
export function checkSettings(settings: Settings): string[] {
  const say = (check: Check): string | undefined => check(settings)
  const error = ERRORS.map(say).find((message) => message !== undefined)
  if (error !== undefined) throw new UsageError(error)
  return WARNINGS.map(say).filter((message) => message !== undefined)
}
