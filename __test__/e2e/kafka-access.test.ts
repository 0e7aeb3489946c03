/** The server publishes through TLS, with passwords and with a client certificate, and shows no secret anywhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { createAuthority } from '../kafka/support/certificates.js'
import { describeKafka } from '../kafka/support/suite.js'
import { missing } from '../support/require.js'
import { event, postJson } from './support/events.js'
import { drained, expectSame, published, shipOf } from './support/kafka.js'
import { startServer, waitFor, workspace, type ServerProcess } from './support/server.js'
import { RawConnection, requestBytes } from '../support/http.js'

const directory = mkdtempSync(join(tmpdir(), 'sluicegate-access-'))
afterAll(() => rmSync(directory, { recursive: true }))

const PASSWORD = 's3cr3t-passw0rd'
const PASSPHRASE = 'w0rd-of-the-key'
const authority = missing('openssl') === undefined ? createAuthority(directory, 'authority') : undefined
const store = authority?.issue('broker').storeFile ?? ''
const own = authority?.issue('gate', PASSPHRASE)

/** The listener wants both: a certificate of its authority and a password. */
const options = {
  parts: ['openssl'],
  protocol: 'SASL_SSL',
  properties: {
    'listener.name.client.ssl.keystore.type': 'PEM',
    'listener.name.client.ssl.keystore.location': store,
    'listener.name.client.ssl.truststore.type': 'PEM',
    'listener.name.client.ssl.truststore.location': authority?.caFile ?? '',
    'listener.name.client.ssl.client.auth': 'required',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.client.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_gate="${PASSWORD}";`,
    'listener.name.client.scram-sha-256.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'listener.name.client.scram-sha-512.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  },
  formatArgs: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    '--add-scram',
    `${mechanism}=[name=gate,password=${PASSWORD}]`,
  ]),
} as const

await describeKafka('P1: publishing with TLS, a client certificate and a password', options, (cluster) => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), `${text}\n`)
    return join(directory, name)
  }
  const settings = (mechanism: string, password: string): Record<string, string> => ({
    SLUICEGATE_KAFKA: cluster().addresses,
    SLUICEGATE_KAFKA_TLS: 'on',
    SLUICEGATE_KAFKA_TLS_CA_FILE: authority!.caFile,
    SLUICEGATE_KAFKA_TLS_CERT_FILE: own!.certFile,
    SLUICEGATE_KAFKA_TLS_KEY_FILE: own!.keyFile,
    SLUICEGATE_KAFKA_TLS_KEY_PASSPHRASE_FILE: file('passphrase', PASSPHRASE),
    SLUICEGATE_KAFKA_SASL: mechanism,
    SLUICEGATE_KAFKA_SASL_USERNAME: 'gate',
    SLUICEGATE_KAFKA_SASL_PASSWORD: password,
    SLUICEGATE_TOPIC_PREFIX: `${mechanism}.`,
  })

  async function start(mechanism: string, password: string): Promise<ServerProcess> {
    await cluster().createTopic(`${mechanism}.track`, 1, { 'max.message.bytes': '4194304' })
    const server = await startServer({
      dataDir: workspace(),
      args: ['--log-level', 'debug'],
      env: settings(mechanism, password),
    })
    const connection = await RawConnection.open(server.ingest)
    connection.write(requestBytes(postJson('/track', event('e', { n: 1 }))))
    expect((await connection.reply()).body.toString()).toBe('1')
    connection.destroy()
    return server
  }

  async function expectNoSecret(server: ServerProcess): Promise<void> {
    const shown = [JSON.stringify(await server.status()), await (await fetch(`${server.ops}/metrics`)).text()]
    await server.stop()
    shown.push(server.process.stdout, server.process.stderr)
    for (const secret of [PASSWORD, PASSPHRASE]) expect(shown.join('\n')).not.toContain(secret)
  }

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])('%s', async (mechanism) => {
    const server = await start(mechanism, PASSWORD)
    await drained(server)
    await expectNoSecret(server)
    await expectSame(server.dataDir, await published(cluster(), [`${mechanism}.track`]))
  })

  it('a wrong password is told in /status, and the event waits in the log', async () => {
    const { SLUICEGATE_TOPIC_PREFIX: _prefix, ...wrong } = settings('plain', `not-${PASSWORD}`)
    const server = await startServer({ dataDir: workspace(), args: ['--log-level', 'debug'], env: wrong })
    await waitFor(async () => {
      return (await shipOf(server)).cause?.code === 'authentication_failed' ? true : undefined
    }, 20_000)
    expect((await server.readiness()).status).toBe(200)
    await expectNoSecret(server)
  })
})
