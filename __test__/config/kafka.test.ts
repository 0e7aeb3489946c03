/** Settings of Kafka: what belongs together, the topics file, and that no secret is ever shown. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { configWith, loadConfig, printConfig, type Environment, type Flags } from '../../src/config.js'
import { KEYS, settingOf } from '../../src/config/schema.js'
import { parseTopics, topicOf, topicsOf } from '../../src/config/topics.js'
import { run } from '../commands/support/run.js'
import { describeWith } from '../support/require.js'

const directory = mkdtempSync(join(tmpdir(), 'sluicegate-config-kafka-'))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
function file(text: string): string {
  const path = join(directory, `${files++}`)
  writeFileSync(path, text)
  return path
}

function message(flags: Flags, env: Environment = {}): string {
  try {
    loadConfig(flags, env)
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('nothing was wrong')
}

const KAFKA = { kafka: 'a:9092, b.example:9093' }
const SCRAM = { ...KAFKA, kafkaSasl: 'SCRAM-SHA-512', kafkaSaslUsername: 'gate' }
const PASSWORD = 'SLUICEGATE_KAFKA_SASL_PASSWORD'
const PASSPHRASE = 'SLUICEGATE_KAFKA_TLS_KEY_PASSPHRASE'

/** A key pair as openssl makes them, the key under a passphrase. */
function clientCertificate(): { kafkaTlsCertFile: string; kafkaTlsKeyFile: string } {
  const key = join(directory, 'client.key')
  const cert = join(directory, 'client.crt')
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-subj', '/CN=gate', '-days', '1']
  execFileSync('openssl', [...request, '-passout', 'pass:w0rd', '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  return { kafkaTlsCertFile: cert, kafkaTlsKeyFile: key }
}

describe('brokers', () => {
  it('are a list, in text and in the file', () => {
    expect(loadConfig(KAFKA, {}).config.kafka).toEqual(['a:9092', 'b.example:9093'])
    const config = file('{"kafka":["a:1","b:2"],"ack":"kafka"}')
    expect(loadConfig({ config }, {}).config.kafka).toEqual(['a:1', 'b:2'])
    expect(loadConfig({}, {}).config.kafka).toEqual([])
  })
})

it('zstd is refused where this Node has none, with what to do', () => {
  const load = (): unknown => loadConfig({ ...KAFKA, kafkaCompression: 'zstd' }, {})
  if ('zstdCompressSync' in zlib) expect(load).not.toThrow()
  else expect(load).toThrow(/--kafka-compression zstd needs Node 22\.15 or newer, this is .*: use lz4/)
})

describe('settings that belong together', () => {
  it.each<[Flags, Environment, string]>([
    [{ ack: 'kafka' }, {}, '--ack kafka needs --kafka'],
    [
      { ...SCRAM, kafkaSaslUsername: undefined! },
      {},
      '--kafka-sasl scram-sha-512 needs --kafka-sasl-username',
    ],
    [SCRAM, {}, `--kafka-sasl-password-file FILE or the variable ${PASSWORD}`],
    [{ ...SCRAM, kafkaSaslPasswordFile: 'f' }, { [PASSWORD]: 's3cr3t' }, 'needs the password once'],
    [{ ...KAFKA, kafkaSaslUsername: 'gate' }, {}, 'but --kafka-sasl is none'],
    [KAFKA, { [PASSWORD]: 's3cr3t' }, 'but --kafka-sasl is none'],
    [{ ...KAFKA, kafkaTlsCaFile: 'f' }, {}, '--kafka-tls-ca-file needs --kafka-tls on'],
    [KAFKA, { [PASSPHRASE]: 'w0rd' }, `${PASSPHRASE} needs --kafka-tls on`],
    [{ ...KAFKA, kafkaTls: 'on', kafkaTlsKeyFile: 'f' }, {}, 'belong together'],
    [
      { ...KAFKA, kafkaTls: 'on', kafkaTlsKeyPassphraseFile: 'f' },
      { [PASSPHRASE]: 'w0rd' },
      'give the passphrase once',
    ],
  ])('%j', (flags, env, expected) => {
    const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
    expect(message(given, env)).toContain(expected)
    expect(message(given, env)).not.toMatch(/s3cr3t|w0rd/)
  })

  it('warn where they are only unwise', () => {
    const plain = { ...SCRAM, kafkaSasl: 'plain' }
    expect(loadConfig(plain, { [PASSWORD]: 's3cr3t' }).warnings.join()).toContain('can be read on the way')
    expect(loadConfig({ ...plain, kafkaTls: 'on' }, { [PASSWORD]: 's3cr3t' }).warnings).toEqual([])
    expect(loadConfig({ kafkaTls: 'on' }, {}).warnings.join()).toContain('nothing is published')
  })
})

describe('secrets', () => {
  it('are read from a file without the newline at its end, or from the environment', () => {
    const sasl = { mechanism: 'scram-sha-512', username: 'gate', password: ' s3cr3t ' }
    const fromFile = loadConfig({ ...SCRAM, kafkaSaslPasswordFile: file(' s3cr3t \r\n') }, {})
    expect(fromFile.config.kafkaAccess).toEqual({ tls: undefined, sasl })
    const fromEnvironment = loadConfig(SCRAM, { [PASSWORD]: ' s3cr3t ' })
    expect(fromEnvironment.config.kafkaAccess.sasl).toEqual(sasl)
  })

  describeWith('openssl', 'of a client certificate', () =>
    it('are tried at start', () => {
      const flags = { ...KAFKA, kafkaTls: 'on', ...clientCertificate() }
      const right = loadConfig({ ...flags, kafkaTlsKeyPassphraseFile: file('w0rd\n') }, {}).config.kafkaAccess
      expect(right.tls).toEqual({
        cert: readFileSync(flags.kafkaTlsCertFile, 'utf8'),
        key: readFileSync(flags.kafkaTlsKeyFile, 'utf8'),
        passphrase: 'w0rd',
      })
      expect(message(flags, { [PASSPHRASE]: 'other' })).toMatch(
        /^--kafka-tls-key-file .* is not a private key in PEM, or its passphrase is another$/,
      )
      const swapped = { ...flags, kafkaTlsCertFile: flags.kafkaTlsKeyFile }
      expect(message(swapped, { [PASSPHRASE]: 'w0rd' })).toContain('is not a certificate in PEM')
    }),
  )

  it('are not looked for without brokers, and files that are missing or empty are refused', () => {
    const absent = join(directory, 'absent')
    expect(message({ ...SCRAM, kafkaSaslPasswordFile: absent })).toBe(
      `--kafka-sasl-password-file ${absent}: cannot be read (ENOENT)`,
    )
    expect(message({ ...SCRAM, kafkaSaslPasswordFile: file('\n') })).toContain('is empty')
    expect(loadConfig({ ...SCRAM, kafka: '', kafkaSaslPasswordFile: absent }, {}).config.kafkaAccess).toEqual(
      {
        tls: undefined,
        sasl: undefined,
      },
    )
  })

  it('have no flag, and are masked by --print-config and doctor', async () => {
    const secrets = KEYS.filter((key) => settingOf(key).secret === true)
    expect(secrets).toEqual(['kafkaTlsKeyPassphrase', 'kafkaSaslPassword'])
    const { err, code } = await run('serve', '--kafka-sasl-password', 's3cr3t')
    expect([code, err]).toEqual([2, expect.not.stringContaining('s3cr3t')])
    expect((await run('serve', '--help-all')).out).toMatch(/\(no flag\)\n.*password.*\n.*KAFKA_SASL_PASSWORD/)

    const { config } = loadConfig(SCRAM, { [PASSWORD]: 's3cr3t' })
    expect(JSON.parse(printConfig(config))).toMatchObject({ kafka_sasl_password: '***' })
    const path = file(JSON.stringify({ kafka_sasl_password: 's3cr3t', kafka_sasl: 'plain' }))
    const flags = ['--config', path, '--kafka-sasl-username', 'gate', '--data-dir', join(directory, 'none')]
    const doctor = await run('doctor', ...flags)
    expect(doctor.out).toContain('kafka-sasl-password = ***, from kafka_sasl_password in')
    expect(doctor.out + doctor.err).not.toContain('s3cr3t')
    // Wrong types are told without the value.
    const wrong = file('{"kafka_sasl_password":{"s3cr3t":1}}')
    expect(message({ config: wrong })).toContain('it is the value given')
  })
})

describe('the topics file', () => {
  const content = {
    topics: [
      { token: 'a', prefix: 'shop.' },
      { token: 'b', track: 'app', import: 'app' },
    ],
  }

  it('gives tokens a prefix, or topics, of their own', () => {
    const { topics } = loadConfig({ topicsFile: file(JSON.stringify(content)) }, {}).config
    const [a, b] = topics!
    expect(topicOf('engage', 'p.', a)).toBe('shop.engage')
    expect(topicOf('import', 'p.', b)).toBe('app')
    expect(topicOf('engage', 'p.', b)).toBe('p.engage')
    expect(topicOf('track', 'p.')).toBe('p.track')
    expect(topicsOf('p.', topics)).toEqual([
      'p.track',
      'p.engage',
      'p.groups',
      'p.import',
      'shop.track',
      'shop.engage',
      'shop.groups',
      'shop.import',
      'app',
    ])
    expect(configWith({ topics: topics! }).topics).toEqual(content.topics)
  })

  it.each<[unknown, string]>([
    [{ topics: [{ token: 's3cr3t' }] }, 'topics[0] needs a prefix or a topic (track'],
    [
      { topics: [{ token: 's3cr3t', trak: 'x' }] },
      'topics[0] has an unknown member trak; did you mean track?',
    ],
    [{ topics: [{ token: 's3cr3t', track: 'a b' }] }, 'topics[0].track must be a name for Kafka'],
    [{ topics: [{ token: 's3cr3t', track: '..' }] }, 'topics[0].track must be a name'],
    [{ topics: [{ prefix: 'x' }] }, 'topics[0].token must be text'],
    [
      {
        topics: [
          { token: 's3cr3t', prefix: 'x' },
          { token: 's3cr3t', prefix: 'y' },
        ],
      },
      'topics[1].token is the same as topics[0].token',
    ],
    [{ topics: {} }, 'topics must be a list'],
    [[], 'the file must be an object'],
  ])('%j is refused, without repeating the token', (wrong, expected) => {
    expect(() => parseTopics(wrong, 'f.json')).toThrow(`topics file f.json: ${expected}`)
    expect(() => parseTopics(wrong, 'f.json')).not.toThrow(/s3cr3t/)
  })
})
