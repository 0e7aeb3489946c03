/** What is known about a connection between its requests; hangs on the socket itself and goes with it. */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Peer } from '../decode/decoder.js'

/** A request whose body is being read; told when the HTTP parser gives up on it. */
export interface Receiving {
  /** @param status 400 or 408 */
  broken(status: number): void
}

export class Connection {
  /** It came beyond the limit: its first request is answered 503, then it is closed. */
  refused = false
  /** The reply to the latest request. Replies leave in order: once it has left, all have. */
  last: ServerResponse | undefined = undefined
  receiving: Receiving | undefined = undefined

  /** The peer of the latest request, and the headers it was made from. */
  peer: Peer | undefined = undefined
  userAgent: string | undefined = undefined
  forwardedFor: string | string[] | undefined = undefined
  realIp: string | string[] | undefined = undefined
}

const CONNECTION = Symbol('sluicegate.connection')

type Known = Socket & { [CONNECTION]?: Connection }

export function connectionOf(socket: Socket): Connection {
  return ((socket as Known)[CONNECTION] ??= new Connection())
}
