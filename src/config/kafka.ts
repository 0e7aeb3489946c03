/** What it takes to be let in by the brokers, read from the files that settings name. */
import { readFileSync } from 'node:fs'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { UsageError } from '../errors.js'
import { flagName, type Key, type Settings } from './schema.js'

/** Texts are PEM. Plain values, so that they can be handed to a worker thread. */
export interface KafkaTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

export interface KafkaAccess {
  readonly tls: KafkaTls | undefined
  readonly sasl: KafkaSasl | undefined
}

export const NO_ACCESS: KafkaAccess = Object.freeze({ tls: undefined, sasl: undefined })

/** @throws UsageError for a file that cannot be read or is not what it should be; no message holds a secret */
export function readKafkaAccess(settings: Settings): KafkaAccess {
  if (settings.kafka.length === 0) return NO_ACCESS
  return { tls: settings.kafkaTls === 'on' ? tlsOf(settings) : undefined, sasl: saslOf(settings) }
}

function tlsOf(settings: Settings): KafkaTls {
  const file = (key: FileKey): string | undefined => fileOf(settings, key)
  const tls = {
    ca: file('kafkaTlsCaFile'),
    cert: file('kafkaTlsCertFile'),
    key: file('kafkaTlsKeyFile'),
    passphrase: secretOf(settings, 'kafkaTlsKeyPassphrase'),
  }
  const check = (key: FileKey, what: string, look: () => unknown): void => {
    try {
      look()
    } catch {
      throw new UsageError(`--${flagName(key)} ${settings[key]}: ${what}`)
    }
  }
  const { ca, cert, key, passphrase } = tls
  if (ca !== undefined) check('kafkaTlsCaFile', 'is not a certificate in PEM', () => new X509Certificate(ca))
  if (cert !== undefined)
    check('kafkaTlsCertFile', 'is not a certificate in PEM', () => new X509Certificate(cert))
  if (key !== undefined) {
    const what = 'is not a private key in PEM, or its passphrase is another'
    check('kafkaTlsKeyFile', what, () => createPrivateKey({ key, passphrase }))
  }
  return Object.fromEntries(Object.entries(tls).filter(([, text]) => text !== undefined))
}

function saslOf(settings: Settings): KafkaSasl | undefined {
  const { kafkaSasl: mechanism, kafkaSaslUsername: username } = settings
  const password = secretOf(settings, 'kafkaSaslPassword')
  if (mechanism === 'none' || username === undefined || password === undefined) return undefined
  return { mechanism, username, password }
}

/** Given itself, or in a file, where an editor's newline at the end is not part of it. */
function secretOf(
  settings: Settings,
  key: 'kafkaTlsKeyPassphrase' | 'kafkaSaslPassword',
): string | undefined {
  return settings[key] ?? fileOf(settings, `${key}File`)?.replace(/\r?\n$/, '')
}

type FileKey = Extract<Key, `kafka${string}File`>

function fileOf(settings: Settings, key: FileKey): string | undefined {
  const path = settings[key]
  if (path === undefined) return undefined
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new UsageError(`--${flagName(key)} ${path}: cannot be read (${code})`, { cause })
  }
  if (text.trim() === '') throw new UsageError(`--${flagName(key)} ${path}: is empty`)
  return text
}
