/**
 * Peers that ask and do not read the answers (promise P7). node:http stops reading from such a connection by itself; here
 * what waits to be sent is taken from the budget, and a peer that takes nothing for too long is dropped.
 */
import type { Socket } from 'node:net'
import type { Budget } from '../budget.js'
import type { Clock } from '../clock.js'

interface SlowReader {
  heldBytes: number
  /** When it last took something. */
  movedMs: number
  readonly onClose: () => void
}

export class SlowReaders {
  private readonly watched = new Map<Socket, SlowReader>()

  constructor(
    private readonly budget: Budget,
    private readonly clock: Clock,
    private readonly stalledMsMax: number,
  ) {}

  /** After a reply was handed to the socket: did the kernel take it all? */
  look(socket: Socket): void {
    if (socket.writableLength > 0 && !socket.destroyed) this.watch(socket)
  }

  /** Drops who has not taken anything for too long; to be called every second or so. */
  sweep(): void {
    const nowMs = this.clock.monoMs()
    for (const [socket, reader] of this.watched) {
      const waiting = socket.writableLength
      if (waiting === 0 || socket.destroyed) this.forget(socket, reader)
      else if (waiting < reader.heldBytes) this.moved(reader, waiting, nowMs)
      else if (nowMs - reader.movedMs > this.stalledMsMax) socket.destroy()
    }
  }

  private watch(socket: Socket): void {
    const reader = this.watched.get(socket) ?? this.begin(socket)
    const more = socket.writableLength - reader.heldBytes
    if (more <= 0) return
    if (this.budget.take(more)) reader.heldBytes += more
    // Nothing else can be done: to keep the reply would be to keep memory that is not there.
    else socket.destroy()
  }

  private begin(socket: Socket): SlowReader {
    const onClose = (): void => this.forget(socket, reader)
    const reader: SlowReader = { heldBytes: 0, movedMs: this.clock.monoMs(), onClose }
    this.watched.set(socket, reader)
    socket.on('close', onClose)
    return reader
  }

  private moved(reader: SlowReader, waiting: number, nowMs: number): void {
    this.budget.give(reader.heldBytes - waiting)
    Object.assign(reader, { heldBytes: waiting, movedMs: nowMs })
  }

  private forget(socket: Socket, reader: SlowReader): void {
    this.budget.give(reader.heldBytes)
    socket.off('close', reader.onClose)
    this.watched.delete(socket)
  }
}
