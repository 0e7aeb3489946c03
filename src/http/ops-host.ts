/**
 * Against DNS rebinding: a web page can make a browser on this network ask the ops listener under a name of the page's
 * own, and would then read the answer. Such a request carries that name in `Host`.
 */
import { isIP } from 'node:net'

const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '::1'])

/** The name in a `Host` header: without port and brackets, in lower case; undefined when it is none. */
export function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::\d{1,5})?$/.exec(header)
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '')
}

/** An address as a socket knows it: IPv4 in IPv6 in its plain form, no zone. */
export function plainAddress(address: string): string {
  return address
    .toLowerCase()
    .replace(/^::ffff:(?=\d+\.)/, '')
    .replace(/%.*$/, '')
}

/**
 * Whether the listener may answer to this name.
 *
 * @param header the request's `Host`; absent (HTTP/1.0) is fine, browsers always send it
 * @param opsHost what `--ops-host` says
 * @param localAddress of the connection: where it arrived
 */
export function isOwnHost(header: string | undefined, opsHost: string, localAddress: string): boolean {
  if (header === undefined || header === '') return true
  const name = hostName(header)
  if (name === undefined) return false
  const bound = plainAddress(localAddress)
  if (LOOPBACK_NAMES.has(name) || name === opsHost.toLowerCase() || name === bound) return true
  // Opened to a network, it is called by addresses that are translated on the way and by names of a container network.
  // Neither can be rebound: that takes a name in the public DNS, and those have a dot.
  return !isLoopback(plainAddress(opsHost)) && (isIP(name) !== 0 || !name.includes('.'))
}

const isLoopback = (host: string): boolean => LOOPBACK_NAMES.has(host) || host.startsWith('127.')
