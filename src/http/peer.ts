/** Who sent a request: address and User-Agent, as the envelope holds them (docs/PROTOCOL.md 9.3). */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import type { TrustedProxies } from '../config.js'
import type { Peer } from '../decode/decoder.js'
import type { Connection } from './connection.js'

const UA_BYTES_MAX = 256

export class Peers {
  private readonly hops: number
  private readonly networks: BlockList | undefined

  constructor(trusted: TrustedProxies) {
    this.hops = typeof trusted === 'number' ? trusted : 0
    this.networks = typeof trusted === 'number' || trusted.length === 0 ? undefined : blockList(trusted)
  }

  /** Made anew only when a header that it comes from differs from the connection's last request. */
  peerOf(request: IncomingMessage, connection: Connection): Peer {
    const { headers } = request
    const userAgent = headers['user-agent']
    const forwardedFor = headers['x-forwarded-for']
    const realIp = headers['x-real-ip']
    if (
      connection.peer !== undefined &&
      connection.peerMadeBy === this &&
      connection.userAgent === userAgent &&
      connection.forwardedFor === forwardedFor &&
      connection.realIp === realIp
    ) {
      return connection.peer
    }
    Object.assign(connection, { peerMadeBy: this, userAgent, forwardedFor, realIp })
    const address = this.clientOf(request.socket.remoteAddress, textOf(forwardedFor), textOf(realIp))
    connection.peer = { ipJson: JSON.stringify(address ?? null), uaJson: userAgentJson(userAgent) }
    return connection.peer
  }

  /** The client's address; undefined when the peer is not known (it has gone). */
  clientOf(remote: string | undefined, forwardedFor: string, realIp: string): string | undefined {
    const peer = addressOf(remote ?? '')
    if (peer === undefined || !this.trusts(peer, 0)) return peer
    if (forwardedFor === '') return addressOf(realIp) ?? peer
    return this.walk(peer, forwardedFor.split(','))
  }

  /** From the right, past what is trusted. What is no address ends the way: nothing left of it can be believed. */
  private walk(peer: string, entries: readonly string[]): string {
    let client = peer
    for (let hop = 0; hop < entries.length && this.trusts(client, hop); hop++) {
      const next = addressOf(entries[entries.length - 1 - hop]!)
      if (next === undefined) break
      client = next
    }
    return client
  }

  /** May this address, so many hops away from us, name the next one? */
  private trusts(address: string, hop: number): boolean {
    if (this.networks === undefined) return hop < this.hops
    return this.networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
}

function textOf(header: string | string[] | undefined): string {
  return header === undefined ? '' : String(header)
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
/** `[2001:db8::1]:443`, `[2001:db8::1]`, `192.0.2.1:443`: some proxies name the port, too. */
const WITH_PORT = /^(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)$/

/** An address in its usual form; undefined for what is none. IPv4 inside IPv6 is IPv4, a zone is cut off. */
export function addressOf(text: string): string | undefined {
  const trimmed = text.trim()
  const [, bracketed, dotted] = WITH_PORT.exec(trimmed) ?? []
  const bare = bracketed ?? dotted ?? trimmed
  const zone = bare.indexOf('%')
  const address = zone < 0 ? bare : bare.slice(0, zone)
  if (isIP(address) === 0) return undefined
  return MAPPED_IPV4.exec(address)?.[1] ?? address
}

/** Text that is ASCII and short enough, as nearly every User-Agent. */
const PLAIN = /^[\x20-\x7e]{1,256}$/

/** @param userAgent one character a byte, as node:http has it */
export function userAgentJson(userAgent: string | undefined): string {
  if (userAgent === undefined || userAgent === '') return 'null'
  if (PLAIN.test(userAgent)) return JSON.stringify(userAgent)
  // Through text first: bytes that are no UTF-8 become U+FFFD, which is longer than they were.
  const bytes = Buffer.from(Buffer.from(userAgent, 'latin1').toString('utf8'))
  return JSON.stringify(bytes.toString('utf8', 0, characterEnd(bytes, UA_BYTES_MAX)))
}

/** The last position up to `max` at which a character of this UTF-8 ends. */
function characterEnd(bytes: Uint8Array, max: number): number {
  let end = Math.min(max, bytes.length)
  while (end > 0 && end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--
  return end
}
