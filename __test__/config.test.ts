import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, expectTypeOf, it } from 'vitest'
import { configWith, loadConfig, printConfig, type Environment, type Flags } from '../src/config.js'
import { editDistance, suggest } from '../src/config/suggest.js'
import { fileKey, flagName, envName, KEYS, settingOf } from '../src/config/schema.js'
import { UsageError } from '../src/errors.js'

const directory = mkdtempSync(join(tmpdir(), 'sluicegate-config-'))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
function file(content: unknown): string {
  const path = join(directory, `${files++}.json`)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

function message(flags: Flags, env: Environment = {}): string {
  try {
    loadConfig(flags, env)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as Error).message
  }
  throw new Error('nothing was wrong')
}

describe('precedence: flags > environment > file > default', () => {
  const config = file({ port: 4, ops_port: 14 })
  it.each<[string, Flags, Environment, number, string | undefined]>([
    ['default', {}, {}, 8080, undefined],
    ['file', { config }, {}, 4, `port in ${config}`],
    ['file named by the environment', {}, { SLUICEGATE_CONFIG: config }, 4, `port in ${config}`],
    ['common name', { config }, { PORT: '3' }, 3, 'PORT'],
    ['our name before the common one', { config }, { PORT: '3', SLUICEGATE_PORT: '2' }, 2, 'SLUICEGATE_PORT'],
    ['flag', { config, port: '1' }, { PORT: '3', SLUICEGATE_PORT: '2' }, 1, '--port'],
    ['an empty variable is absent', { config }, { SLUICEGATE_PORT: '', PORT: '' }, 4, `port in ${config}`],
  ])('%s', (_, flags, env, port, origin) => {
    const loaded = loadConfig(flags, env)
    expect(loaded.config.port).toBe(port)
    expect(loaded.sources.get('port')?.origin).toBe(origin)
  })

  it('holds for every setting: flag and variable are read under the names that the schema gives', () => {
    for (const key of KEYS) {
      const { kind } = settingOf(key)
      // What the kind accepts at all is tried until it takes one.
      const tries = ['7777', '77777777', '/seven', 'track=/t', 'loopback', 'kafka:9092', '64KiB', 'seven']
      const value = tries.find((text) => accepted(kind, text))
      const word = value ?? kind.placeholder.split('|').at(-1)!
      const contents: Readonly<Record<string, unknown>> = {
        tokensFile: { tokens: [{ token: 'a' }] },
        topicsFile: { topics: [{ token: 'a', prefix: 'b.' }] },
      }
      const text = contents[key] === undefined ? word : file(contents[key])
      const only = [key]
      expect(loadConfig({ [key]: text }, {}, only).sources.get(key)?.origin).toBe(`--${flagName(key)}`)
      expect(loadConfig({}, { [envName(key)]: text }, only).sources.get(key)?.origin).toBe(envName(key))
      const path = file({ [fileKey(key)]: text })
      expect(loadConfig({ config: path }, {}, only).sources.get(key)?.from).toBe('file')
    }
  })

  function accepted(kind: { parse(text: string): unknown }, text: string): boolean {
    try {
      kind.parse(text)
      return true
    } catch {
      return false
    }
  }

  it('is typed as narrowly as the kinds are', () => {
    expectTypeOf(configWith().storeIp).toEqualTypeOf<'unless-refused' | 'always' | 'never'>()
    expectTypeOf(configWith().logMaxBytes).toEqualTypeOf<number | undefined>()
    expectTypeOf(configWith().port).toEqualTypeOf<number>()
  })

  it('gives one frozen object', () => {
    expect(Object.isFrozen(loadConfig({}, {}).config)).toBe(true)
    expect(Object.isFrozen(configWith({ port: 0 }))).toBe(true)
  })
})

describe('configWith, for embedding', () => {
  it('takes what the file takes, and what it has given', () => {
    const config = configWith({ bodyLimitBytes: '1MiB' as unknown as number, trustedProxies: ['loopback'] })
    expect(config).toMatchObject({ bodyLimitBytes: 2 ** 20, trustedProxies: ['127.0.0.0/8', '::1/128'] })
    expect(configWith(config)).toEqual(config)
    expect(configWith({ ...configWith(), logMaxBytes: undefined })).toEqual(configWith())
  })

  it.each([
    [{ bodyLimitBytes: NaN }, /^config\.bodyLimitBytes must be bytes .*; it is null$/],
    [{ bodyTimeoutMs: -1 }, /^config\.bodyTimeoutMs must be milliseconds/],
    [{ dataDir: '' }, /^config\.dataDir must be text/],
    [{ logLevel: 'loud' }, /^config\.logLevel must be one of trace/],
    [{ bodyLimitByte: 5000 }, /^config\.bodyLimitByte is not a setting; did you mean bodyLimitBytes\?$/],
    [{ constructor: 1 }, /^config\.constructor is not a setting$/],
    [{ tokensFile: '/nowhere.json' }, /^tokens file \/nowhere\.json: cannot be read/],
  ])('refuses %j', (values: object, reason) => {
    expect(() => configWith(values)).toThrow(UsageError)
    expect(() => configWith(values)).toThrow(reason)
  })

  it('reads the tokens file: with auth tokens, none but those are taken', () => {
    const tokensFile = file({ tokens: [{ token: 't0k' }] })
    const { tokens } = configWith({ auth: 'tokens', tokensFile })
    expect(tokens?.map(({ token }) => token)).toEqual(['t0k'])
  })
})

describe('Kubernetes', () => {
  it('ignores the variables it injects for services named like us', () => {
    const env = {
      SLUICEGATE_SERVICE_HOST: '10.0.0.7',
      SLUICEGATE_SERVICE_PORT: '8080',
      SLUICEGATE_SERVICE_PORT_INGEST: '8080',
      SLUICEGATE_PORT: 'tcp://10.0.0.7:8080',
      SLUICEGATE_PORT_8080_TCP: 'tcp://10.0.0.7:8080',
      SLUICEGATE_PORT_8080_TCP_PROTO: 'tcp',
      SLUICEGATE_PORT_8080_TCP_PORT: '8080',
      SLUICEGATE_PORT_8080_TCP_ADDR: '10.0.0.7',
      SLUICEGATE_OPS_SERVICE_HOST: '10.0.0.8',
      SLUICEGATE_OPS_PORT: 'tcp://10.0.0.8:8081',
    }
    const loaded = loadConfig({}, env)
    expect(loaded.warnings).toEqual([])
    expect(loaded.config.port).toBe(8080)
    expect(loaded.config.opsPort).toBe(8081)
    expect(loadConfig({}, { ...env, PORT: '9000' }).config.port).toBe(9000)
  })
})

describe('unknown names', () => {
  it('are errors in the file, with a suggestion', () => {
    const path = file({ data_dri: 'x' })
    expect(message({ config: path })).toBe(`${path}: data_dri is not a setting; did you mean data_dir?`)
    expect(message({ config: file({ frobnicate: 1 }) })).toMatch(/frobnicate is not a setting$/)
  })

  it('only warn in the environment', () => {
    expect(
      loadConfig({}, { SLUICEGATE_DATADIR: 'x', SLUICEGATE_TEST_REQUIRE: 'all', OTHER: 'y' }).warnings,
    ).toEqual(['environment: SLUICEGATE_DATADIR is not a setting; did you mean SLUICEGATE_DATA_DIR?'])
  })

  it('are compared by insertions, removals, replacements and swaps', () => {
    expect(editDistance('port', 'port')).toBe(0)
    expect(editDistance('prot', 'port')).toBe(1)
    expect(editDistance('kitten', 'sitting')).toBe(3)
    expect(editDistance('', 'abc')).toBe(3)
    expect(suggest('tial', ['tail', 'serve'])).toBe('; did you mean tail?')
    expect(suggest('xyzzy', ['tail', 'serve'])).toBe('')
  })
})

describe('values', () => {
  it.each([
    ['67108864', 67_108_864],
    ['64MiB', 67_108_864],
    ['64 mib', 67_108_864],
    ['64MB', 64_000_000],
    ['1.5GiB', 1_610_612_736],
  ])('size %s', (text, expected) => {
    expect(loadConfig({ logSegmentBytes: text }, {}).config.logSegmentBytes).toBe(expected)
  })

  it.each([
    ['250', 250],
    ['250ms', 250],
    ['5s', 5000],
    ['1.5s', 1500],
    ['2m', 120_000],
  ])('time %s', (text, expected) => {
    expect(loadConfig({ drainMs: text }, {}).config.drainMs).toBe(expected)
  })

  it.each<[Flags, string]>([
    [{ port: '65536' }, '--port must be a whole number from 0 to 65535; it is "65536"'],
    [{ port: '-1' }, '--port must be'],
    [{ port: '8080.5' }, '--port must be'],
    [{ port: '0x10' }, '--port must be'],
    [{ decoder: 'rust' }, '--decoder must be one of auto, native, reference; it is "rust"'],
    [{ ack: 'disk' }, '--ack must be one of log, kafka; it is "disk"'],
    [{ kafka: 'kafka' }, '--kafka must be brokers (HOST:PORT); it is "kafka"'],
    [{ topicPrefix: 'a/b' }, '--topic-prefix must be up to 200 letters'],
    [
      { bodyLimitBytes: '64M' },
      '--body-limit-bytes must be bytes (67108864, 64MiB, 1GB), from 1 KiB to 256 MiB',
    ],
    [{ bodyLimitBytes: '1GiB' }, 'from 1 KiB to 256 MiB'],
    [{ drainMs: '5 parsecs' }, '--drain-ms must be milliseconds or a time (5000, 5s, 10m, 7d)'],
    [{ writer: '../other' }, '--writer must be'],
    [{ mountPrefix: 'mp' }, '--mount-prefix must be a path'],
    [{ mountPrefix: '/mp/' }, '--mount-prefix must be a path'],
    [{ trustedProxies: '10.0.0.0/33' }, '`10.0.0.0/33` is none of them'],
    [{ trustedProxies: 'nginx' }, '`nginx` is none of them'],
    [{ trustedProxies: 'constructor' }, '`constructor` is none of them'],
    [{ trustedProxies: '17' }, 'a number of hops (1-16)'],
    [{ aliases: 'track=t' }, 'ENDPOINT=/PATH'],
    [{ aliases: 'tracks=/t' }, 'ENDPOINT=/PATH'],
    [{ aliases: 'track=/t,engage=/t' }, '/t already stands for track'],
    [{ aliases: 'track=/engage' }, '/engage already stands for engage'],
    [{ redirectHosts: 'https://example.org/' }, 'host names'],
    [{ dataDir: '' }, '--data-dir must be text that is not empty'],
  ])('%j is refused', (flags, expected) => {
    expect(message(flags)).toContain(expected)
  })

  it('are read from the file in their own types', () => {
    const config = file({
      port: 9,
      ops_host: '::1',
      log_max_bytes: '2GiB',
      trusted_proxies: ['loopback', '10.1.2.3'],
      redirect_hosts: ['example.org'],
      aliases: { track: ['/t', '/collect/t'], import: '/i' },
      tokens_file: null,
    })
    expect(loadConfig({ config }, {}).config).toMatchObject({
      port: 9,
      opsHost: '::1',
      logMaxBytes: 2 ** 31,
      trustedProxies: ['127.0.0.0/8', '::1/128', '10.1.2.3'],
      redirectHosts: ['example.org'],
      aliases: { track: ['/t', '/collect/t'], engage: [], groups: [], import: ['/i'] },
      tokensFile: undefined,
    })
    expect(loadConfig({ config: file({ trusted_proxies: 2 }) }, {}).config.trustedProxies).toBe(2)
    expect(message({ config: file({ port: true }) })).toMatch(
      /^port in .* must be a whole number .*; it is true$/,
    )
    expect(message({ config: file({ redirect_hosts: 7 }) })).toContain('a list of host names')
  })

  it('are refused from a file that is none, with the place', () => {
    expect(message({ config: join(directory, 'absent.json') })).toContain('cannot be read (ENOENT)')
    expect(message({ config: file('{\n  "port": 1,\n}') })).toMatch(/json:3:1: is not JSON$/)
    expect(message({ config: file('[]') })).toContain('must hold one JSON object')
  })
})

describe('settings that contradict each other', () => {
  it.each<[Flags, string]>([
    [{ port: '9000', opsPort: '9000' }, '--port and --ops-port are both 9000'],
    [{ auth: 'tokens' }, '--auth tokens needs --tokens-file'],
    [{ bodyLimitBytes: '32MiB' }, '--batch-bytes-max (16 MiB) must be at least --body-limit-bytes (32 MiB)'],
    [
      { logMaxBytes: '100MiB' },
      '--log-max-bytes (100 MiB) must hold two segments of --log-segment-bytes (64 MiB)',
    ],
    [
      { logMaxBytes: '16MiB', logSegmentBytes: '1MiB' },
      'must hold two batches of --batch-bytes-max (16 MiB)',
    ],
    [{ logMaxBytes: '1GiB', rejectBytesMax: '2GiB' }, '--reject-bytes-max (2 GiB) must not be more than'],
    [
      { memoryInflightBytes: '32MiB' },
      '--memory-inflight-bytes (32 MiB) must hold one body (--body-limit-bytes',
    ],
  ])('%j', (flags, expected) => {
    expect(message(flags)).toContain(expected)
  })

  it('may share a number where they do not meet', () => {
    expect(loadConfig({ port: '0', opsPort: '0' }, {}).config.opsPort).toBe(0)
    expect(loadConfig({ port: '9000', opsPort: '9000', host: '::1' }, {}).config.port).toBe(9000)
  })

  it('warn where they are only unwise', () => {
    expect(loadConfig({ keepAliveTimeoutMs: '5s' }, {}).warnings.join()).toContain('below 75 s')
    expect(loadConfig({ opsHost: '0.0.0.0' }, {}).warnings.join()).toContain('operators')
    const batch = (batchBytesMax: string, bodyLimitBytes: string): string =>
      loadConfig({ batchBytesMax, bodyLimitBytes }, {}).warnings.join()
    expect(batch('13MiB', '10MiB')).toContain('--batch-bytes-max (13 MiB) should be 4 MiB above --body-limit')
    expect([batch('14MiB', '10MiB'), batch('1MiB', '16KiB')]).toEqual(['', ''])
  })

  it('do not keep a command from running that does not need them', () => {
    const loaded = loadConfig({ dataDir: 'd' }, { SLUICEGATE_PORT: 'nonsense' }, ['dataDir', 'writer'])
    expect(loaded.config.dataDir).toBe('d')
  })
})

describe('--print-config', () => {
  it('prints what --config reads back to the same values', () => {
    const flags: Flags = {
      port: '0',
      aliases: 'track=/t',
      trustedProxies: '2',
      logMaxBytes: '1GiB',
      logLevel: 'WARN',
    }
    const first = loadConfig(flags, {}).config
    const again = loadConfig({ config: file(printConfig(first)) }, {}).config
    expect(again).toEqual(first)
    expect(JSON.parse(printConfig(first))).toMatchObject({
      port: 0,
      log_level: 'warn',
      log_max_bytes: 2 ** 30,
    })
  })

  it('never shows what stands in the tokens file', () => {
    const tokensFile = file({ tokens: [{ token: 'very-secret-token', secrets: ['s3cr3t'] }] })
    const printed = printConfig(loadConfig({ tokensFile, auth: 'tokens' }, {}).config)
    expect(printed).toContain(tokensFile)
    expect(printed).not.toMatch(/very-secret-token|s3cr3t/)
  })
})

describe('the tokens file', () => {
  const account = { username: 'u', secret: 's' }
  it('is read into entries', () => {
    const tokensFile = file({
      tokens: [
        { token: 'a', project_id: 7, api_keys: ['k'], secrets: ['x'], service_accounts: [account] },
        { token: 'b', project_id: '8', service_accounts: [account] },
        { token: 'c' },
      ],
    })
    expect(loadConfig({ tokensFile, auth: 'tokens' }, {}).config.tokens).toEqual([
      { token: 'a', projectId: '7', apiKeys: ['k'], secrets: ['x'], serviceAccounts: [account] },
      { token: 'b', projectId: '8', apiKeys: [], secrets: [], serviceAccounts: [account] },
      { token: 'c', projectId: null, apiKeys: [], secrets: [], serviceAccounts: [] },
    ])
  })

  it.each<[unknown, string]>([
    [[], 'the file must be an object'],
    [{ token: [] }, 'the file has an unknown member token; did you mean tokens?'],
    [{}, 'tokens must be a list'],
    [{ tokens: [] }, 'tokens must not be empty'],
    [{ tokens: ['a'] }, 'tokens[0] must be an object'],
    [{ tokens: [{ token: '' }] }, 'tokens[0].token must be text that is not empty'],
    [{ tokens: [{ token: 'x'.repeat(257) }] }, 'tokens[0].token must have at most 256 bytes'],
    [{ tokens: [{ token: 'a', projectid: 1 }] }, 'unknown member projectid; did you mean project_id?'],
    [{ tokens: [{ token: 'a', project_id: 'x1' }] }, 'tokens[0].project_id must consist of digits'],
    [{ tokens: [{ token: 'a', secrets: 'x' }] }, 'tokens[0].secrets must be a list'],
    [{ tokens: [{ token: 'a', secrets: [1] }] }, 'tokens[0].secrets[0] must be text'],
    [
      { tokens: [{ token: 'a', service_accounts: [{ username: 'u' }] }] },
      'service_accounts[0].secret must be text',
    ],
    [{ tokens: [{ token: 'a' }, { token: 'a' }] }, 'tokens[1].token is the same as tokens[0].token'],
    [
      { tokens: [{ token: 'a', api_keys: ['k', 'k'] }] },
      'tokens[0].api_keys[1] is the same as tokens[0].api_keys[0]',
    ],
  ])('%j is refused', (content, expected) => {
    const problem = message({ tokensFile: file(content), auth: 'tokens' })
    expect(problem).toContain(expected)
  })

  it('is refused without repeating a credential', () => {
    const content = {
      tokens: [
        { token: 'tok-1', secrets: ['hush'] },
        { token: 'tok-2', secrets: ['hush'] },
      ],
    }
    expect(message({ tokensFile: file(content), auth: 'tokens' })).not.toMatch(/hush|tok-/)
  })
})
