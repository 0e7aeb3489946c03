/**
 * The open connections, and what becomes of those beyond the limit (promises P2 and P7, docs/PROTOCOL.md 4.2). They cannot
 * all be kept until they have asked something, and one that has not asked cannot be answered: a reply that knows no
 * `Origin` is one that browsers may not read.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../clock.js'
import type { Config } from '../config.js'
import { connectionOf } from './connection.js'
import type { RequestCounts } from './counts.js'

/** Connections beyond the limit that are kept for the moment it takes to answer them 503. */
export const SLACK_CONNECTIONS = 256
/** When all those are taken, one that has sent nothing for this long gives way: a client that opened it in advance opens another. */
const SILENT_MS = 1000

export class Connections {
  private readonly open = new Set<Socket>()
  /** Of those the ones that came beyond the limit, oldest first, and when. */
  private readonly beyond = new Map<Socket, number>()

  constructor(
    private readonly counts: RequestCounts,
    private readonly clock: Clock,
    private readonly config: Pick<Config, 'connectionsMax'>,
  ) {}

  /** Takes a new connection in, marks it for a 503, or closes it because not even that can be given. */
  add(socket: Socket): void {
    const { open, beyond, counts } = this
    const isBeyond = open.size - beyond.size >= this.config.connectionsMax
    if (isBeyond && beyond.size >= SLACK_CONNECTIONS && !this.endSilent()) {
      counts.droppedConnections++
      return void socket.destroy()
    }
    open.add(socket)
    if (isBeyond) {
      beyond.set(socket, this.clock.monoMs())
      connectionOf(socket).refused = true
      counts.refusedConnections++
    }
    socket.once('close', () => this.forget(socket))
    counts.connections = open.size
  }

  /** Destroys those that have not sent anything, out of what was open when this was called, after `ms`. */
  endUnused(ms: number): void {
    const unused = [...this.open].filter(isUnused)
    setTimeout(() => unused.filter(isUnused).forEach((socket) => socket.destroy()), ms)
  }

  destroy(): void {
    for (const socket of this.open) socket.destroy()
  }

  private endSilent(): boolean {
    const latest = this.clock.monoMs() - SILENT_MS
    for (const [socket, sinceMs] of this.beyond) {
      if (sinceMs > latest) return false
      if (!isUnused(socket)) continue
      this.forget(socket)
      socket.destroy()
      return true
    }
    return false
  }

  private forget(socket: Socket): void {
    this.open.delete(socket)
    this.beyond.delete(socket)
    this.counts.connections = this.open.size
  }
}

function isUnused(socket: Socket): boolean {
  return socket.bytesRead === 0
}
