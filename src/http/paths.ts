/** Which path means what (docs/PROTOCOL.md 1). */
import type { Config } from '../config.js'
import { type Endpoint, ENDPOINTS } from '../record.js'
import { type SmallEndpoint, SMALL_ENDPOINTS } from './small.js'

export type Target =
  | { readonly endpoint: Endpoint; readonly small?: undefined }
  | { readonly small: SmallEndpoint; readonly endpoint?: undefined }

/** Paths without their trailing slashes, '' for the root. */
export type Paths = ReadonlyMap<string, Target>

/** Everything lies below the mount prefix; the root and robots.txt answer without it, too. */
export function pathsOf({ mountPrefix, aliases }: Pick<Config, 'mountPrefix' | 'aliases'>): Paths {
  const paths = new Map<string, Target>()
  for (const small of SMALL_ENDPOINTS) {
    paths.set(mountPrefix + small.path, { small })
    if (small.atRoot) paths.set(small.path, { small })
  }
  for (const endpoint of ENDPOINTS) {
    for (const path of [`/${endpoint}`, ...aliases[endpoint]]) paths.set(mountPrefix + path, { endpoint })
  }
  return paths
}

const FRAGMENT = /#|%23/

/** Proxies may be sent a whole URL. */
const ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i

/** The path of a URL as `Paths` has it: cut at `?`, `#` and `%23`, without slashes at its end. */
export function pathOf(url: string): string {
  const target = url.charCodeAt(0) === SLASH ? url : url.replace(ORIGIN, '')
  const query = target.indexOf('?')
  const path = (query < 0 ? target : target.slice(0, query)).split(FRAGMENT, 1)[0]!
  let end = path.length
  while (end > 0 && path.charCodeAt(end - 1) === SLASH) end--
  return path.slice(0, end)
}

const SLASH = 0x2f
