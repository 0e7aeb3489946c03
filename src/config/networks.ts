/** The settings about proxies and paths, whose values have a shape of their own. */
import { isIP } from 'node:net'
import { type Endpoint, ENDPOINTS } from '../record.js'
import type { Kind } from './kinds.js'

/** How many hops, or which peers, may name the client in X-Forwarded-For. An empty list: nobody. */
export type TrustedProxies = number | readonly string[]

const NAMED_NETWORKS: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fe80::/10', '169.254.0.0/16']],
])

/** Addresses and CIDR blocks (`loopback` and `private` are spelled out), or a number of hops. */
export const trustedProxies: Kind<TrustedProxies> = {
  placeholder: 'LIST',
  accepts: 'a number of hops (1-16), or a list of addresses, CIDR blocks, `loopback`, `private`',
  parse(value) {
    const hops = /^\s*(\d+)\s*$/.exec(value)?.[1]
    if (hops !== undefined) return hopCount(Number(hops))
    return value.split(',').flatMap((part) => network(part.trim()))
  },
  fromJson(value) {
    if (typeof value === 'number') return hopCount(value)
    if (typeof value === 'string') return this.parse(value)
    if (!Array.isArray(value)) throw new Error(this.accepts)
    return value.flatMap((part) => network(String(part)))
  },
  show: (value) => (typeof value === 'number' ? String(value) : value.join(',') || 'none'),
}

function hopCount(hops: number): TrustedProxies {
  if (!Number.isInteger(hops) || hops < 0 || hops > 16) throw new Error(trustedProxies.accepts)
  return hops === 0 ? [] : hops
}

function network(part: string): readonly string[] {
  if (part === '') return []
  const named = NAMED_NETWORKS.get(part)
  if (named !== undefined) return named
  const [address = '', prefix] = part.split('/')
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : NaN
  if (!(bits > 0 && length <= bits)) throw new Error(`${trustedProxies.accepts}: \`${part}\` is none of them`)
  return [prefix === undefined ? address : `${address}/${prefix}`]
}

/** Further paths an endpoint answers on, without trailing slash. */
export type Aliases = Readonly<Record<Endpoint, readonly string[]>>

export const NO_ALIASES: Aliases = { track: [], engage: [], groups: [], import: [] }
export const PATH = /^(\/[\w.~!$&'()*+,;=:@-]+)+$/

/** `track=/t,track=/collect/t`; in the file `{"track":["/t","/collect/t"]}`. */
export const aliases: Kind<Aliases> = {
  placeholder: 'LIST',
  accepts: 'a list of ENDPOINT=/PATH, with track, engage, groups or import as the endpoint',
  parse(value) {
    const pairs = value.split(',').filter((part) => part.trim() !== '')
    return collectAliases(
      pairs.map((pair) => {
        const at = pair.indexOf('=')
        return [pair.slice(0, Math.max(at, 0)).trim(), pair.slice(at + 1).trim()]
      }),
    )
  },
  fromJson(value) {
    if (typeof value === 'string') return this.parse(value)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(this.accepts)
    const pairs = Object.entries(value).flatMap(([endpoint, paths]) =>
      [paths].flat().map((path): [string, unknown] => [endpoint, path]),
    )
    return collectAliases(pairs)
  },
  show: (value) =>
    ENDPOINTS.flatMap((endpoint) => value[endpoint].map((path) => `${endpoint}=${path}`)).join(',') || 'none',
}

function collectAliases(pairs: readonly (readonly [string, unknown])[]): Aliases {
  const found = { track: [], engage: [], groups: [], import: [] } as Record<Endpoint, string[]>
  const taken = new Map<string, string>(ENDPOINTS.map((endpoint) => [`/${endpoint}`, endpoint]))
  for (const [endpoint, path] of pairs) {
    const name = ENDPOINTS.find((known) => known === endpoint)
    if (name === undefined || typeof path !== 'string' || !PATH.test(path)) throw new Error(aliases.accepts)
    const owner = taken.get(path)
    if (owner !== undefined) throw new Error(`free of doubles: ${path} already stands for ${owner}`)
    taken.set(path, name)
    found[name].push(path)
  }
  return found
}
