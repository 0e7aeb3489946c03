/** What is known about a connection between its requests; hangs on the socket itself and goes with it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Peer } from '../decode/decoder.js'
import type { Receiving } from './receiving.js'

/** A request's place among those of its connection: over once it, and all before it, are handed to intake or answered. */
export class Turn {
  private isOver = false
  private waiting: (() => void) | undefined = undefined

  constructor(private before: Turn | undefined) {}

  /** All before it are over. */
  get hasCome(): boolean {
    return this.before === undefined || this.before.isOver
  }

  /** Calls `then` once it has come, which it has not yet. */
  whenCome(then: () => void): void {
    this.before!.waiting = then
  }

  end(): void {
    if (this.hasCome) this.finish()
    else this.whenCome(() => this.end())
  }

  private finish(): void {
    this.isOver = true
    this.before = undefined
    // Not from here: one behind the other, thousands of pipelined requests would go deep.
    if (this.waiting !== undefined) queueMicrotask(this.waiting)
    this.waiting = undefined
  }
}

export class Connection {
  /** It came beyond the limit: its first request is answered 503, then it is closed. */
  refused = false
  /**
   * A reply that closes it was given: whatever comes behind is read away unseen (RFC 9112, 9.6). It could not be answered,
   * and node:http has an assertion that ends the process when somebody tries.
   */
  closing = false
  /** The reply to the latest request. Replies leave in order: once it has left, all have. */
  last: ServerResponse | undefined = undefined
  receiving: Receiving | undefined = undefined
  /** Of the latest request. */
  turn: Turn | undefined = undefined
  /** The HTTP parser has given up: whatever else comes is thrown away. */
  failed = false

  /** The peer of the latest request, who made it (each plugin in an app believes other proxies), and from which headers. */
  peer: Peer | undefined = undefined
  peerMadeBy: object | undefined = undefined
  userAgent: string | undefined = undefined
  forwardedFor: string | string[] | undefined = undefined
  realIp: string | string[] | undefined = undefined
}

const CONNECTION = Symbol('sluicegate.connection')

type Known = Socket & { [CONNECTION]?: Connection }

export function connectionOf(socket: Socket): Connection {
  return ((socket as Known)[CONNECTION] ??= new Connection())
}

/**
 * To be called with each request of a connection, in their order.
 *
 * @returns undefined for one behind a reply that closes the connection: it is read away, and nobody is to look at it
 */
export function connectionFor(request: IncomingMessage, response: ServerResponse): Connection | undefined {
  const connection = connectionOf(request.socket)
  if (connection.closing) return void request.resume()
  connection.last = response
  return connection
}
