/**
 * Configuration: flags > environment > file > default, checked, as one frozen object.
 *
 * What can be set is declared in config/schema.ts. This is the only part of the program that reads process.env.
 */
import { UsageError } from './errors.js'
import { checkSettings } from './config/check.js'
import { readKafkaAccess, type KafkaAccess } from './config/kafka.js'
import { fileKey, KEYS, SETTINGS, settingOf, type Key, type Settings } from './config/schema.js'
import { fromEnvironment, fromFile, type Environment, type Raw, type RawSettings } from './config/sources.js'
import { suggest } from './config/suggest.js'
import { readTokensFile, type TokenEntry } from './config/tokens.js'
import { readTopicsFile, type TopicOverride } from './config/topics.js'

export type { KafkaAccess } from './config/kafka.js'
export type { TrustedProxies } from './config/networks.js'
export type { Environment } from './config/sources.js'
export type { TokenEntry } from './config/tokens.js'
export type { TopicOverride } from './config/topics.js'
export type { Key as ConfigKey, Settings } from './config/schema.js'

/** Everything that can be set. Sizes in bytes, times in milliseconds, undefined where the text says "by default". */
export interface Config extends Settings {
  /** Contents of the tokens file; undefined without one. In `open` mode only its credentials count. */
  readonly tokens: readonly TokenEntry[] | undefined
  /** Contents of the topics file; undefined without one. */
  readonly topics: readonly TopicOverride[] | undefined
  /** Certificates and credentials for the brokers, from their files or the environment. Never to be printed. */
  readonly kafkaAccess: KafkaAccess
}

export interface LoadedConfig {
  readonly config: Config
  /** Settings that are not at their default: where each value comes from. */
  readonly sources: ReadonlyMap<Key, Raw>
  /** For people, not fatal. */
  readonly warnings: readonly string[]
}

/** Flags by key, as text; `config` names the file. */
export type Flags = Readonly<Partial<Record<Key | 'config', string>>>

/**
 * Puts the sources together.
 *
 * @param only settings that the caller needs; others are neither read nor checked, so that a wrong --tokens-file does
 *   not keep `tail` from printing. They have their default values.
 * @throws UsageError for anything that is wrong.
 */
export function loadConfig(
  flags: Flags = {},
  env: Environment = process.env,
  only: readonly Key[] = KEYS,
): LoadedConfig {
  const path = flags.config ?? (env['SLUICEGATE_CONFIG'] || undefined)
  const environment = fromEnvironment(env)
  const file: RawSettings = path === undefined ? new Map<Key, Raw>() : fromFile(path)
  const sources = new Map<Key, Raw>()
  const values: Record<string, unknown> = {}
  for (const key of KEYS) {
    const found = only.includes(key)
      ? (flagValue(flags, key) ?? environment.raw.get(key) ?? file.get(key))
      : undefined
    if (found !== undefined) sources.set(key, found)
    values[key] = found === undefined ? settingOf(key).default : parsed(key, found)
  }
  const settings = values as unknown as Settings
  // What is not needed has its default, which contradicts nothing; but credentials that do not fit must not pass.
  const isChecked = only === KEYS || only.includes('kafka')
  const warnings = isChecked ? [...environment.warnings, ...checkSettings(settings)] : []
  const tokens = settings.tokensFile === undefined ? undefined : readTokensFile(settings.tokensFile)
  refuseTooManyTokens(settings, tokens)
  const topics = settings.topicsFile === undefined ? undefined : readTopicsFile(settings.topicsFile)
  const config = { ...settings, tokens, topics, kafkaAccess: readKafkaAccess(settings) }
  return { config: Object.freeze(config), sources, warnings }
}

/**
 * The defaults with some values replaced, for embedding: checked as those of the file, in camelCase, and what is undefined
 * is not given. Nothing but the files that they name is read.
 *
 * @throws UsageError for anything that is wrong
 */
export function configWith(values: Partial<Config> = {}): Config {
  const { tokens: given, topics: givenTopics, kafkaAccess = undefined, ...others } = values
  const named = Object.entries(others).filter(([, value]) => value !== undefined)
  const replaced = named.map(([key, value]) => [key, parsed(knownKey(key), givenRaw(key, value))])
  const defaults = KEYS.map((key) => [key, SETTINGS[key].default])
  const settings = Object.fromEntries([...defaults, ...replaced]) as unknown as Settings
  checkSettings(settings)
  const tokens =
    given ?? (settings.tokensFile === undefined ? undefined : readTokensFile(settings.tokensFile))
  refuseTooManyTokens(settings, tokens)
  const topics =
    givenTopics ?? (settings.topicsFile === undefined ? undefined : readTopicsFile(settings.topicsFile))
  return Object.freeze({ ...settings, tokens, topics, kafkaAccess: kafkaAccess ?? readKafkaAccess(settings) })
}

const givenRaw = (key: string, value: unknown): Raw => ({ value, origin: `config.${key}`, from: 'file' })

function knownKey(name: string): Key {
  const key = KEYS.find((known) => known === name)
  if (key === undefined) throw new UsageError(`config.${name} is not a setting${suggest(name, KEYS)}`)
  return key
}

function flagValue(flags: Flags, key: Key): Raw | undefined {
  const value = flags[key]
  return value === undefined
    ? undefined
    : { value, origin: `--${fileKey(key).replaceAll('_', '-')}`, from: 'flag' }
}

function parsed(key: Key, raw: Raw): unknown {
  const { kind, secret } = settingOf(key)
  try {
    return raw.from === 'file' ? kind.fromJson(raw.value) : kind.parse(String(raw.value))
  } catch (cause) {
    const given = secret === true ? 'the value given' : JSON.stringify(raw.value)
    throw new UsageError(`${raw.origin} must be ${(cause as Error).message}; it is ${given}`, { cause })
  }
}

function refuseTooManyTokens(settings: Settings, tokens: readonly TokenEntry[] | undefined): void {
  const { tokensMax } = settings
  if (tokens !== undefined && tokens.length > tokensMax - 2) {
    throw new UsageError(
      `--tokens-max (${tokensMax}) is too small for the ${tokens.length} tokens of the tokens file`,
    )
  }
}

/** The configuration in force as JSON that --config takes; secrets are masked. */
export function printConfig(config: Config): string {
  const shown = KEYS.filter((key) => config[key] !== undefined).map((key) => {
    return [fileKey(key), settingOf(key).secret === true ? '***' : config[key]]
  })
  return JSON.stringify(Object.fromEntries(shown), null, 2)
}
