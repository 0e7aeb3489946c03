/** The tokens file: which tokens `tokens` mode takes, and which credentials stand for them on /import. */
import { UsageError } from '../errors.js'
import { Place } from './place.js'
import { readJsonFile } from './sources.js'

export interface ServiceAccount {
  readonly username: string
  readonly secret: string
}

export interface TokenEntry {
  readonly token: string
  readonly projectId: string | null
  /** Legacy `api_key` parameters. */
  readonly apiKeys: readonly string[]
  /** API secrets: the user name of a Basic credential with an empty password. */
  readonly secrets: readonly string[]
  readonly serviceAccounts: readonly ServiceAccount[]
}

const ENTRY_KEYS = ['token', 'project_id', 'api_keys', 'secrets', 'service_accounts']
const TOKEN_BYTES_MAX = 256

/** Reads and checks the whole file. Messages name the place in it and never repeat a credential. */
export function readTokensFile(path: string): readonly TokenEntry[] {
  return parseTokens(readJsonFile(path, 'tokens file'), path)
}

export function parseTokens(content: unknown, path: string): readonly TokenEntry[] {
  const root = new Place(`tokens file ${path}`, '')
  const list = root.object(content, ['tokens'])['tokens']
  const entries = new Place(`tokens file ${path}`, 'tokens').array(list).map((entry, index) => {
    return tokenEntry(entry, new Place(`tokens file ${path}`, `tokens[${index}]`))
  })
  if (entries.length === 0) throw new UsageError(`tokens file ${path}: tokens must not be empty`)
  refuseDoubles(entries, path)
  return Object.freeze(entries)
}

function tokenEntry(value: unknown, at: Place): TokenEntry {
  const entry = at.object(value, ENTRY_KEYS)
  const token = at.in('token').text(entry['token'])
  if (Buffer.byteLength(token) > TOKEN_BYTES_MAX)
    at.in('token').fail(`must have at most ${TOKEN_BYTES_MAX} bytes`)
  return {
    token,
    projectId: projectId(entry['project_id'], at.in('project_id')),
    apiKeys: texts(entry['api_keys'], at.in('api_keys')),
    secrets: texts(entry['secrets'], at.in('secrets')),
    serviceAccounts: accounts(entry['service_accounts'], at.in('service_accounts')),
  }
}

function projectId(value: unknown, at: Place): string | null {
  if (value === undefined || value === null) return null
  const text = typeof value === 'number' ? String(value) : at.text(value)
  return /^\d+$/.test(text) ? text : at.fail('must consist of digits')
}

function texts(value: unknown, at: Place): readonly string[] {
  return value === undefined ? [] : at.array(value).map((item, index) => at.item(index).text(item))
}

function accounts(value: unknown, at: Place): readonly ServiceAccount[] {
  if (value === undefined) return []
  return at.array(value).map((item, index) => {
    const here = at.item(index)
    const account = here.object(item, ['username', 'secret'])
    return {
      username: here.in('username').text(account['username']),
      secret: here.in('secret').text(account['secret']),
    }
  })
}

/** A credential must stand for one token alone; a service account may serve several projects. */
function refuseDoubles(entries: readonly TokenEntry[], path: string): void {
  const seen = new Map<string, string>()
  const take = (kind: string, value: string, place: string): void => {
    const before = seen.get(`${kind}\0${value}`)
    if (before !== undefined) throw new UsageError(`tokens file ${path}: ${place} is the same as ${before}`)
    seen.set(`${kind}\0${value}`, place)
  }
  for (const [index, entry] of entries.entries()) {
    take('token', entry.token, `tokens[${index}].token`)
    for (const [at, key] of entry.apiKeys.entries()) take('api_key', key, `tokens[${index}].api_keys[${at}]`)
    for (const [at, secret] of entry.secrets.entries())
      take('secret', secret, `tokens[${index}].secrets[${at}]`)
  }
}
