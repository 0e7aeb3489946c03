/**
 * Collects a request's body: counted against the limit and the memory budget while it arrives (promise P7). A body that
 * comes in one piece, as most do, is not copied.
 */
import type { IncomingMessage } from 'node:http'

export interface BodySink {
  /** Takes memory for bytes that the head did not announce; false when there is none. */
  hold(bytes: number): boolean
  bodyReceived(body: Buffer): void
  /** More than the limit, or no memory for it; the rest is unread. */
  bodyRefused(cause: 'too large' | 'no memory'): void
  /** The client went away. */
  bodyAborted(): void
}

const EMPTY = Buffer.alloc(0)

export class BodyCollector {
  private first: Buffer | undefined = undefined
  /** Chunks behind the first of a chunked body. */
  private rest: Buffer[] | undefined = undefined
  /** A body of announced length that came in more than one piece. */
  private whole: Buffer | undefined = undefined
  private received = 0
  private over = false
  private readonly onData = (chunk: Buffer): void => this.add(chunk)
  private readonly onEnd = (): void => this.finish()
  private readonly onGone = (): void => this.abort()

  /** @param declared the body's length in bytes by its head, held already; undefined for a chunked body */
  constructor(
    private readonly request: IncomingMessage,
    private readonly declared: number | undefined,
    private readonly limit: number,
    private readonly sink: BodySink,
  ) {
    request.on('data', this.onData).on('end', this.onEnd).on('error', this.onGone)
  }

  /** Stops collecting; what follows in the body is left to others. */
  stop(): void {
    if (this.over) return
    this.over = true
    this.request.off('data', this.onData).off('end', this.onEnd).off('error', this.onGone)
    this.first = this.whole = this.rest = undefined
  }

  private add(chunk: Buffer): void {
    const position = this.received
    this.received += chunk.length
    if (this.received > this.limit) return this.refuse('too large')
    if (this.declared === undefined && !this.sink.hold(chunk.length)) return this.refuse('no memory')
    if (position === 0) this.first = chunk
    else if (this.declared === undefined) (this.rest ??= []).push(chunk)
    else this.into(this.declared, chunk, position)
  }

  /** node:http lets no more bytes through than the head announced, so it fits. */
  private into(declared: number, chunk: Buffer, position: number): void {
    if (this.whole === undefined) {
      this.whole = Buffer.allocUnsafeSlow(declared)
      this.whole.set(this.first!)
      this.first = undefined
    }
    this.whole.set(chunk, position)
  }

  private refuse(cause: 'too large' | 'no memory'): void {
    this.stop()
    this.sink.bodyRefused(cause)
  }

  /** The listeners stay: nothing comes behind the end, and to take them off would cost more than the rest of this. */
  private finish(): void {
    this.over = true
    this.sink.bodyReceived(this.body())
  }

  private body(): Buffer {
    if (this.whole !== undefined) return this.whole
    if (this.first === undefined) return EMPTY
    return this.rest === undefined ? this.first : Buffer.concat([this.first, ...this.rest], this.received)
  }

  private abort(): void {
    if (this.over) return
    this.stop()
    this.sink.bodyAborted()
  }
}
