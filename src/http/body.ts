/**
 * Collects a request's body: counted against the limit and the memory budget while it arrives (promise P7). A body that
 * comes in one piece, as most do, is not copied; others are copied together at once, for a chunked body may come in pieces
 * of one byte, and each piece kept would cost a hundred.
 */
import type { IncomingMessage } from 'node:http'
import type { Detach } from '../detach.js'

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

const COLLECTOR = Symbol('sluicegate.collector')

type Collected = IncomingMessage & { [COLLECTOR]: BodyCollector }

export class BodyCollector {
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
    ;(request as Collected)[COLLECTOR] = this
    request.on('data', onData).on('end', onEnd).on('error', onGone)
  }

  /** Stops collecting; what follows in the body is left to others. */
  stop(): void {
    if (this.over) return
    this.over = true
    this.request.off('data', onData).off('end', onEnd).off('error', onGone)
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

  /** The listeners stay: nothing comes behind the end, and to take them off would cost more than the rest of this. */
  finish(): void {
    this.over = true
    const body = this.whole?.subarray(0, this.received) ?? this.first ?? EMPTY
    // Through the listeners an idle connection would keep it, outside of the budget.
    this.first = this.whole = undefined
    this.sink.bodyReceived(body)
  }

  abort(): void {
    if (this.over) return
    this.stop()
    this.sink.bodyAborted()
  }
}

// Shared by all: three functions a request would be a good part of its garbage. Emitters call them with the request as `this`.

function onData(this: Collected, chunk: Buffer): void {
  this[COLLECTOR].add(chunk)
}

function onEnd(this: Collected): void {
  this[COLLECTOR].finish()
}

function onGone(this: Collected): void {
  this[COLLECTOR].abort()
}
