/** Where values come from: what the environment and the file say, as raw values by key. */
import { readFileSync } from 'node:fs'
import { UsageError } from '../errors.js'
import { envName, fileKey, KEYS, settingOf, type Key } from './schema.js'
import { suggest } from './suggest.js'

/** A value as it was found, and the name to call it by in messages. */
export interface Raw {
  readonly value: unknown
  /** `--port`, `SLUICEGATE_PORT`, `port in /etc/sluicegate.json`. */
  readonly origin: string
  readonly from: 'flag' | 'environment' | 'file'
}
export type RawSettings = ReadonlyMap<Key, Raw>
export type Environment = Readonly<Record<string, string | undefined>>

/** Names under our prefix that are not settings. */
const OTHER_NAME = /^SLUICEGATE_(CONFIG$|TEST_)/
/**
 * Kubernetes gives every container variables about each service of its namespace; a service called `sluicegate`
 * or `sluicegate-ops` makes ones that look like ours.
 */
const KUBERNETES_NAME =
  /^SLUICEGATE_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/
const KUBERNETES_VALUE = /^(tcp|udp|sctp):\/\//

const isKubernetes = (name: string, value: string): boolean =>
  KUBERNETES_NAME.test(name) || (name.endsWith('_PORT') && KUBERNETES_VALUE.test(value))

/** Empty variables count as absent: container tools set them so. */
function valueOf(env: Environment, name: string): string | undefined {
  const value = env[name]
  return value === undefined || value === '' || isKubernetes(name, value) ? undefined : value
}

export function fromEnvironment(env: Environment): { raw: RawSettings; warnings: string[] } {
  const raw = new Map<Key, Raw>()
  for (const key of KEYS) {
    const names = [envName(key), settingOf(key).alsoEnv].filter((name) => name !== undefined)
    const origin = names.find((name) => valueOf(env, name) !== undefined)
    if (origin !== undefined) raw.set(key, { value: valueOf(env, origin), origin, from: 'environment' })
  }
  return { raw, warnings: unknownNames(env) }
}

function unknownNames(env: Environment): string[] {
  const known = KEYS.map(envName)
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith('SLUICEGATE_') && !isKubernetes(name, value ?? ''))
    .filter(([name]) => !known.includes(name) && !OTHER_NAME.test(name))
    .map(([name]) => `environment: ${name} is not a setting${suggest(name, known)}`)
}

/** Reads a JSON file and says where it is broken: line and column. */
export function readJsonFile(path: string, what: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new UsageError(`${what} ${path}: cannot be read (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    })
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (cause) {
    throw new UsageError(`${what} ${path}${placeOf(cause as Error, text)}: is not JSON`, { cause })
  }
}

function placeOf(error: Error, text: string): string {
  const position = /position (\d+)/.exec(error.message)?.[1]
  if (position === undefined) return ''
  const before = text.slice(0, Number(position)).split('\n')
  return `:${before.length}:${before.at(-1)!.length + 1}`
}

export function fromFile(path: string): RawSettings {
  const content = readJsonFile(path, 'configuration file')
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new UsageError(`configuration file ${path}: must hold one JSON object`)
  }
  const byFileKey = new Map(KEYS.map((key) => [fileKey(key), key]))
  const raw = new Map<Key, Raw>()
  for (const [name, value] of Object.entries(content)) {
    const key = byFileKey.get(name)
    if (key === undefined) {
      throw new UsageError(`${path}: ${name} is not a setting${suggest(name, byFileKey.keys())}`)
    }
    if (value !== null) raw.set(key, { value, origin: `${name} in ${path}`, from: 'file' })
  }
  return raw
}
