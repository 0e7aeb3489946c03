/** Credentials of /import (docs/PROTOCOL.md 8). The other endpoints go by the token in each record alone. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Config, TokenEntry } from '../config.js'
import { TOKEN_BYTES_MAX } from '../decode/decoder.js'

/** What a credential stands for. */
export interface Grant {
  /** For records without a token of their own; '' for none. */
  readonly token: string
  readonly projectId: string | null
}

/** Reads a parameter: the query first, then the form. */
export type ReadParam = (name: 'api_key' | 'project_id') => string | undefined

interface BasicCredential {
  readonly user: string
  readonly password: string
}

const NOBODY: Grant = { token: '', projectId: null }
const PROJECT_ID = /^\d{1,20}$/

export class ImportAuth {
  private readonly open: boolean
  /** Tokens and API secrets, as the user of a Basic credential with an empty password. */
  private readonly users = new SecretTable()
  private readonly apiKeys = new SecretTable()
  private readonly accounts = new SecretTable()

  constructor({ auth, tokens = [] }: Pick<Config, 'auth' | 'tokens'>) {
    this.open = auth === 'open'
    for (const entry of tokens) {
      for (const user of [entry.token, ...entry.secrets]) this.users.add(user, entry)
      for (const key of entry.apiKeys) this.apiKeys.add(key, entry)
      for (const account of entry.serviceAccounts) this.accounts.add(accountKey(account), entry)
    }
  }

  /**
   * undefined: 401. A header that is there decides; `api_key` counts only without one. In `open` mode nobody is
   * refused: listed credentials stand for their token, and any other Basic user without a password is the token.
   */
  grant(authorization: string | undefined, read: ReadParam): Grant | undefined {
    if (authorization === undefined) return this.byApiKey(read) ?? this.otherwise(NOBODY)
    const basic = basicCredential(authorization)
    if (basic === undefined) return this.otherwise(NOBODY)
    return basic.password === '' ? this.byUser(basic.user) : this.byAccount(basic, read)
  }

  /** Every record without a token of its own repeats this one: what is longer than any is none (promise P7). */
  private byUser(user: string): Grant | undefined {
    const token = Buffer.byteLength(user) > TOKEN_BYTES_MAX ? '' : user
    return grantOf(this.users.find(user)[0]) ?? this.otherwise({ token, projectId: null })
  }

  /** One account may serve several projects; the request says which. */
  private byAccount({ user, password }: BasicCredential, read: ReadParam): Grant | undefined {
    const projectId = projectIdOf(read)
    const entries = this.accounts.find(accountKey({ username: user, secret: password }))
    const entry =
      projectId === null ? undefined : entries.find((one) => (one.projectId ?? projectId) === projectId)
    if (entry === undefined) return this.otherwise({ token: '', projectId })
    return { token: entry.token, projectId }
  }

  private byApiKey(read: ReadParam): Grant | undefined {
    if (this.apiKeys.empty) return undefined
    const key = read('api_key')
    return key === undefined ? undefined : grantOf(this.apiKeys.find(key)[0])
  }

  private otherwise(grant: Grant): Grant | undefined {
    return this.open ? grant : undefined
  }
}

function grantOf(entry: TokenEntry | undefined): Grant | undefined {
  return entry && { token: entry.token, projectId: entry.projectId }
}

function projectIdOf(read: ReadParam): string | null {
  const text = read('project_id')
  return text !== undefined && PROJECT_ID.test(text) ? text : null
}

/** No user name holds a NUL: the pair cannot be read in two ways. */
function accountKey({ username, secret }: { username: string; secret: string }): string {
  return `${username}\0${secret}`
}

const BASIC = /^basic[ \t]+(.+)$/i

/**
 * `Basic base64(user:password)`, or un-encoded `Basic user:password` as Mixpanel's own page shows it: `:` is no letter of
 * base64. undefined for any other scheme, and for what holds no `:` either way.
 *
 * @param authorization one character a byte
 */
export function basicCredential(authorization: string): BasicCredential | undefined {
  const text = BASIC.exec(authorization.trim())?.[1]?.trim()
  if (text === undefined) return undefined
  const bytes = text.includes(':') ? Buffer.from(text, 'latin1') : Buffer.from(text, 'base64')
  const pair = bytes.toString('utf8')
  const colon = pair.indexOf(':')
  return colon < 0 ? undefined : { user: pair.slice(0, colon), password: pair.slice(colon + 1) }
}

/**
 * Credentials by their SHA-256: how long a look-up takes says nothing about how much of a secret was right, and the
 * match itself is confirmed in constant time.
 */
class SecretTable {
  private readonly entries = new Map<string, { readonly digest: Buffer; readonly entries: TokenEntry[] }>()

  get empty(): boolean {
    return this.entries.size === 0
  }

  add(secret: string, entry: TokenEntry): void {
    const digest = digestOf(secret)
    const key = digest.toString('latin1')
    const known = this.entries.get(key)
    if (known === undefined) this.entries.set(key, { digest, entries: [entry] })
    else known.entries.push(entry)
  }

  find(secret: string): readonly TokenEntry[] {
    const digest = digestOf(secret)
    const found = this.entries.get(digest.toString('latin1'))
    return found !== undefined && timingSafeEqual(found.digest, digest) ? found.entries : []
  }
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
