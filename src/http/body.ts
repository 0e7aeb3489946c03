/**
 * Collects a request's body: counted against the limit and the memory budget while it arrives (promise P7). A body that
 * comes in one piece, as most do, is not copied; others are copied together at once, for a chunked body may come in pieces
 * of one byte, and each piece kept would cost a hundred.
 */
import type { IncomingMessage } from 'node:http'
import type { Detach } from '../detach.js'
import { type BodyTaker, handBody, takeBodyBack } from './incoming.js'

export interface BodySink {
  /** Takes memory for further bytes; false when there is none. */
  hold(bytes: number): boolean
  bodyReceived(body: Buffer): void
  /** More than the limit, or no memory for it; the rest is unread. */
  bodyRefused(cause: 'too large' | 'no memory'): void
  /** The client went away. */
  bodyAborted(): void
}

const EMPTY = Buffer.alloc(0)
/** The least that is taken from the budget at once; from there on a body's room doubles. */
const STEP_BYTES_MIN = 16 * 1024

export class BodyCollector implements BodyTaker {
  private first: Buffer | undefined = undefined
  /** A body that came in more than one piece; up to `received` it is filled. */
  private whole: Buffer | undefined = undefined
  /**
   * Bytes that the sink holds for this body: what came, not what was announced, or a handful of senders who announce much
   * and send nothing would keep everybody else out.
   */
  private capacity = 0
  private received = 0
  private over = false

  /** @param declared the body's length in bytes by its head; undefined for a chunked body */
  constructor(
    private readonly request: IncomingMessage,
    private readonly declared: number | undefined,
    private readonly limit: number,
    private readonly sink: BodySink,
    private readonly detach: Detach,
  ) {
    handBody(request, this)
  }

  /** Stops collecting; what follows in the body is left to others. */
  stop(): void {
    if (this.over) return
    this.over = true
    takeBodyBack(this.request)
    this.first = this.whole = undefined
  }

  add(chunk: Buffer): void {
    const position = this.received
    this.received += chunk.length
    if (this.received > this.limit) return this.refuse('too large')
    if (this.received > this.capacity && !this.grow()) return this.refuse('no memory')
    if (position === 0) this.first = chunk
    else {
      this.roomBehind(position).set(chunk, position)
      this.detach(chunk)
    }
  }

  private grow(): boolean {
    const wanted = Math.max(this.received, 2 * this.capacity, STEP_BYTES_MIN)
    // Of an announced length node:http lets no more through than was announced.
    const capacity = Math.min(this.declared ?? this.limit, wanted)
    if (!this.sink.hold(capacity - this.capacity)) return false
    this.capacity = capacity
    return true
  }

  /** What came so far, up to `position`, with the rest of the capacity behind it. */
  private roomBehind(position: number): Buffer {
    if (this.whole?.length === this.capacity) return this.whole
    const larger = Buffer.allocUnsafeSlow(this.capacity)
    const copied = this.whole ?? this.first!
    larger.set(copied.subarray(0, position))
    this.detach(copied)
    this.first = undefined
    return (this.whole = larger)
  }

  private refuse(cause: 'too large' | 'no memory'): void {
    this.stop()
    this.sink.bodyRefused(cause)
  }

  /** The request keeps its taker: nothing comes behind the end. */
  finish(): void {
    this.over = true
    const body = this.whole?.subarray(0, this.received) ?? this.first ?? EMPTY
    // Through the request an idle connection would keep it, outside of the budget.
    this.first = this.whole = undefined
    this.sink.bodyReceived(body)
  }

  abort(): void {
    if (this.over) return
    this.stop()
    this.sink.bodyAborted()
  }
}
