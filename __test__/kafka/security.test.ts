/** TLS, SASL and client certificates against real brokers: who is let in, what is said to whom is not, and no secret in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs'
import { afterAll, expect, it } from 'vitest'
import { run, type Ran } from '../commands/support/run.js'
import { waitFor } from '../e2e/support/server.js'
import { missing } from '../support/require.js'
import { createAuthority, type Authority } from './support/certificates.js'
import type { Cluster } from './support/cluster.js'
import type { Properties } from './support/properties.js'
import { describeKafka } from './support/suite.js'

const directory = mkdtempSync(join(tmpdir(), 'sluicegate-security-'))
afterAll(() => rmSync(directory, { recursive: true }))

const PASSWORD = 's3cr3t-passw0rd'
const PASSPHRASE = 'w0rd-of-the-key'

function secretFile(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, `${text}\n`)
  return path
}

const doctor = (...args: string[]): Promise<Ran> =>
  run('doctor', '--data-dir', join(directory, 'none'), ...args)

/** Of a broker: its own key, and whose clients it believes. */
function tlsProperties(authority: Authority): Properties {
  const { storeFile } = authority.issue('broker')
  return {
    'listener.name.client.ssl.keystore.type': 'PEM',
    'listener.name.client.ssl.keystore.location': storeFile,
    'listener.name.client.ssl.truststore.type': 'PEM',
    'listener.name.client.ssl.truststore.location': authority.caFile,
  }
}

function saslProperties(): Properties {
  const module = (name: string): string => `org.apache.kafka.common.security.${name}LoginModule required`
  return {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    // Brokers and the tests' own tools, who do not log in, and one user; `limited` may do what a test allows.
    'super.users': 'User:ANONYMOUS;User:gate',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.client.plain.sasl.jaas.config': `${module('plain.Plain')} user_gate="${PASSWORD}" user_limited="${PASSWORD}";`,
    'listener.name.client.scram-sha-256.sasl.jaas.config': `${module('scram.Scram')};`,
    'listener.name.client.scram-sha-512.sasl.jaas.config': `${module('scram.Scram')};`,
  }
}

const scramUser = (mechanism: string): string[] => [
  '--add-scram',
  `${mechanism}=[name=gate,password=${PASSWORD}]`,
]

const withoutOpenssl = missing('openssl')
const ours = withoutOpenssl === undefined ? createAuthority(directory, 'ours') : undefined
const others = withoutOpenssl === undefined ? createAuthority(directory, 'others') : undefined

const sasl = {
  parts: ['openssl'],
  protocol: 'SASL_SSL',
  properties: ours === undefined ? {} : { ...tlsProperties(ours), ...saslProperties() },
  formatArgs: [...scramUser('SCRAM-SHA-256'), ...scramUser('SCRAM-SHA-512')],
} as const

await describeKafka('TLS and SASL', sasl, (cluster) => {
  const passwordFile = secretFile('password', PASSWORD)
  const wrongFile = secretFile('wrong-password', `not-${PASSWORD}`)
  const flags = (mechanism: string, file: string, user = 'gate'): string[] => [
    ...access(cluster(), ours!.caFile),
    '--kafka-sasl',
    mechanism,
    '--kafka-sasl-username',
    user,
    '--kafka-sasl-password-file',
    file,
  ]

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])(
    '%s lets in who knows the password',
    async (mechanism) => {
      const prefix = ['--topic-prefix', `${mechanism}.`]
      const made = await run('topics', 'create', ...flags(mechanism, passwordFile), ...prefix)
      expect([made.code, made.err]).toEqual([0, ''])
      const ran = await doctor(...flags(mechanism, passwordFile), ...prefix)
      expect(ran.out).toContain(`topic ${mechanism}.track: 6 partitions`)
      expect(ran.out).not.toContain(PASSWORD)
    },
  )

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])(
    '%s: a wrong password is told as such',
    async (mechanism) => {
      const ran = await doctor(...flags(mechanism, wrongFile))
      expect(ran.code).toBe(1)
      expect(ran.out).toMatch(/FAULT 127\.0\.0\.1:\d+: .*[Aa]uthentication failed/)
      const create = await run('topics', 'create', ...flags(mechanism, wrongFile))
      expect(create.code).toBe(1)
      expect(create.err).toMatch(/^sluicegate: .*[Aa]uthentication failed.*\n$/)
      for (const said of [ran, create]) expect(said.out + said.err).not.toContain(PASSWORD)
    },
  )

  it('a broker that another authority has signed is refused', async () => {
    const login = flags('plain', passwordFile).slice(access(cluster(), '').length)
    const ran = await doctor(...access(cluster(), others!.caFile), ...login)
    expect(ran.out).toMatch(/FAULT 127\.0\.0\.1:\d+: .*(self-signed|unable to verify|signature failure)/)
    // Without a list of our own Node's counts, where it is not either.
    const plain = ['--kafka', cluster().addresses, '--kafka-tls', 'on', ...login]
    expect((await doctor(...plain)).out).toMatch(/FAULT 127\.0\.0\.1:\d+: .*(self-signed|unable to)/)
  })

  it('doctor says which rights are missing', async () => {
    await cluster().createTopic('acl.track', 1, { 'max.message.bytes': '4194304' })
    const look = async (): Promise<string[]> => {
      const ran = await doctor(...flags('plain', passwordFile, 'limited'), '--topic-prefix', 'acl.')
      return ran.out.split('\n').filter((line) => line.includes('topic acl.track'))
    }
    const allow = (operation: AclOperationTypes): Promise<boolean> =>
      cluster().admin.createAcls({
        acl: [
          {
            resourceType: AclResourceTypes.TOPIC,
            resourceName: 'acl.',
            resourcePatternType: ResourcePatternTypes.PREFIXED,
            principal: 'User:limited',
            host: '*',
            operation,
            permissionType: AclPermissionTypes.ALLOW,
          },
        ],
      })
    expect(await look()).toEqual([expect.stringMatching(/FAULT .*lacks a right.*TOPIC_AUTHORIZATION_FAILED/)])
    const says = (text: string, isSaid: boolean): Promise<unknown> =>
      waitFor(async () => ((await look()).join().includes(text) === isSaid ? true : undefined))
    await allow(AclOperationTypes.DESCRIBE)
    await says('FAULT topic acl.track: this user may not write to it: allow Write', true)
    await allow(AclOperationTypes.WRITE)
    await says('may not write', false)
    expect(await look()).toEqual([
      expect.stringMatching(/ok {4}topic acl.track: 1 partitions, 1 replicas$/),
      expect.stringMatching(/note .*allow DescribeConfigs$/),
      expect.stringMatching(/note .*come twice, marked: allow Read$/),
    ])
    await allow(AclOperationTypes.READ)
    await says('allow Read', false)
    await allow(AclOperationTypes.DESCRIBE_CONFIGS)
    await says('DescribeConfigs', false)
    expect(await look()).toEqual([expect.stringMatching(/ok .*messages up to 4 MiB$/)])
  })

  it('without TLS the connection comes to an end in time', async () => {
    const plain = ['--kafka', cluster().addresses, '--kafka-connect-timeout-ms', '2s']
    const ran = await doctor(...plain, '--kafka-request-timeout-ms', '2s')
    expect(ran.out).toMatch(/FAULT 127\.0\.0\.1:\d+: /)
  })
})

const certificates = {
  parts: ['openssl'],
  protocol: 'SSL',
  properties:
    ours === undefined ? {} : { ...tlsProperties(ours), 'listener.name.client.ssl.client.auth': 'required' },
} as const

await describeKafka('client certificates', certificates, (cluster) => {
  const key = (authority: Authority, name: string): string[] => {
    const { certFile, keyFile } = authority.issue(name, PASSPHRASE)
    const files = ['--kafka-tls-cert-file', certFile, '--kafka-tls-key-file', keyFile]
    return [...files, '--kafka-tls-key-passphrase-file', secretFile('passphrase', PASSPHRASE)]
  }

  it('let in whom our authority has signed', async () => {
    const flags = [...access(cluster(), ours!.caFile), ...key(ours!, 'gate')]
    const made = await run('topics', 'create', ...flags)
    expect([made.code, made.err]).toEqual([0, ''])
    const ran = await doctor(...flags)
    expect(ran.out).toContain('topic sluicegate.track: 6 partitions')
    expect(ran.out).not.toContain(PASSPHRASE)
  })

  it('keep out everyone else', async () => {
    const nobody = await doctor(...access(cluster(), ours!.caFile))
    expect(nobody.out).toMatch(
      /FAULT 127\.0\.0\.1:\d+: .*(certificate required|handshake failure|bad certificate)/i,
    )
    const stranger = await doctor(...access(cluster(), ours!.caFile), ...key(others!, 'stranger'))
    expect(stranger.out).toMatch(/FAULT 127\.0\.0\.1:\d+: .*(certificate|handshake)/i)
  })
})

function access(cluster: Cluster, caFile: string): string[] {
  return ['--kafka', cluster.addresses, '--kafka-tls', 'on', '--kafka-tls-ca-file', caFile]
}
