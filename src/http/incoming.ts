/**
 * How a request's body gets to whoever collects it. As a stream it costs a tenth of all that a small request does: a
 * buffer, four events and as many turns of the queue of ticks, for what the parser has in its hands already. A request of
 * our own server hands each piece on at once; one of somebody else's app is the stream that its hooks expect.
 */
import { IncomingMessage } from 'node:http'

export interface BodyTaker {
  add(chunk: Buffer): void
  /** All of it was here. */
  finish(): void
  /** The client went away, or the connection was destroyed. */
  abort(): void
}

/** The `IncomingMessage` of our own server. Until it is given a taker, and once it is taken back, the stream it always is. */
export class DirectRequest extends IncomingMessage {
  private taker: BodyTaker | undefined = undefined

  /** false: of what has come already the stream has to tell. */
  handTo(taker: BodyTaker): boolean {
    if (this.complete || this.readableLength > 0) return false
    this.taker = taker
    // Else node:http would take it for a request that nobody reads, and read it away after the reply.
    this.read(0)
    return true
  }

  takeBack(): void {
    this.taker = undefined
  }

  /** node:http's parser calls this with each piece of the body, and with null behind the last one. */
  override push(chunk: Buffer | null): boolean {
    const { taker } = this
    if (taker === undefined) return super.push(chunk)
    if (chunk !== null) taker.add(chunk)
    else {
      this.taker = undefined
      taker.finish()
    }
    return true
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const { taker } = this
    this.taker = undefined
    super._destroy(error, callback)
    taker?.abort()
  }
}

const TAKER = Symbol('sluicegate.taker')

type Taken = IncomingMessage & { [TAKER]: BodyTaker }

export function handBody(request: IncomingMessage, taker: BodyTaker): void {
  if (request instanceof DirectRequest && request.handTo(taker)) return
  ;(request as Taken)[TAKER] = taker
  request.on('data', onData).on('end', onEnd).on('error', onGone)
}

/** What follows in the body is left to others. */
export function takeBodyBack(request: IncomingMessage): void {
  if (request instanceof DirectRequest) request.takeBack()
  request.off('data', onData).off('end', onEnd).off('error', onGone)
}

// Emitters call these with the request as `this`.

function onData(this: Taken, chunk: Buffer): void {
  this[TAKER].add(chunk)
}

function onEnd(this: Taken): void {
  this[TAKER].finish()
}

function onGone(this: Taken): void {
  this[TAKER].abort()
}
