/**
 * One request on an ingest endpoint, from its head to its reply: admitted by its head → body collected → inflated →
 * credential → intake → receipt rendered. Memory is taken from the budget before it is used, and given back exactly once.
 */
import type { FastifyReply } from 'fastify'
import type { Budget } from '../budget.js'
import type { Clock } from '../clock.js'
import { Content, type ContentClass, Param } from '../decode/decoder.js'
import { formText, readParam } from '../decode/params.js'
import type { Detach } from '../detach.js'
import { LogUnavailable, NotAcknowledged } from '../errors.js'
import type { IngestRequest, Intake, Receipt, ReceiptSink } from '../intake.js'
import type { Logger } from '../logger.js'
import type { Endpoint } from '../record.js'
import { type Answer, bodyTooLarge, brokenBody, jsonAnswer, refusal, unavailable } from './answer.js'
import type { ImportAuth } from './auth.js'
import { BodyCollector, type BodySink } from './body.js'
import { type Connection, connectionOf, Turn } from './connection.js'
import { codingOf, contentClassOf, declaredLength, headBytes, queryOf, sendContinue } from './content.js'
import type { RequestCounts } from './counts.js'
import { answerOf, type Asked, type DialectOptions } from './dialect.js'
import { GZIP_INVALID, queryBits } from './gzip-invalid.js'
import type { Inflated, Inflater } from './inflate.js'
import type { Peers } from './peer.js'
import type { ReceivingList, TimedReceiving } from './receiving.js'
import type { Replies } from './replies.js'

/** What all requests share. */
export interface ExchangeServices {
  readonly intake: Pick<Intake, 'submit' | 'refuse'>
  readonly budget: Budget
  readonly logger: Logger
  readonly clock: Clock
  readonly counts: RequestCounts
  readonly auth: ImportAuth
  readonly peers: Peers
  readonly inflater: Inflater
  readonly replies: Replies
  readonly dialect: DialectOptions
  readonly bodyLimitBytes: number
  /** For bodies that nobody else can have a view of. */
  readonly detach: Detach
  readonly receiving: ReceivingList
}

/** What a request costs beside its body and head: objects of HTTP, what waits in intake, the reply. */
const OVERHEAD_BYTES = 4096
const EMPTY = Buffer.alloc(0)
/** Their texts are read again for the reply. */
const REREAD = Param.callback | Param.redirect
/** Until memory is given back by what is under way, and until a log that refuses is tried again. */
const RETRY_MEMORY_S = 2
const RETRY_LOG_S = { full: 30, failed: 5, closed: 5 } as const
/** Kafka may be back at any moment, and the event is in the log already. */
const RETRY_KAFKA_S = 5

const UNAUTHORIZED = jsonAnswer(401, { code: 401, error: 'Invalid credentials', status: 'Unauthorized' })

export class Exchange implements Asked, BodySink, ReceiptSink, TimedReceiving {
  readonly startedMs: number
  older: TimedReceiving | undefined = undefined
  newer: TimedReceiving | undefined = undefined
  private readonly connection: Connection
  readonly query: string
  content: ContentClass = Content.none
  body: Buffer = EMPTY
  private gzip = false
  private heldBytes = 0
  private collector: BodyCollector | undefined = undefined
  private readonly turn: Turn

  constructor(
    private readonly services: ExchangeServices,
    readonly endpoint: Endpoint,
    private readonly reply: FastifyReply,
  ) {
    const { raw } = reply.request
    this.startedMs = services.clock.monoMs()
    this.connection = connectionOf(raw.socket)
    this.query = queryOf(raw.url ?? '')
    this.turn = this.connection.turn = new Turn(this.connection.turn)
  }

  /** Never throws: whatever goes wrong is answered, and what is held given back. */
  start(): void {
    try {
      if (this.reply.request.raw.method === 'GET') this.get()
      else this.post()
    } catch (error) {
      this.failed(error)
    }
  }

  /** A GET holds everything in its URL; what it says of a body is ignored (docs/PROTOCOL.md 2, step 2). */
  private get(): void {
    if (this.hold(OVERHEAD_BYTES + headBytes(this.reply.request.raw))) this.take(EMPTY)
    else this.answer(unavailable(this.endpoint, RETRY_MEMORY_S))
  }

  /** Refuses by the head what can be, before anything of the body is read. */
  private post(): void {
    const { endpoint, services } = this
    const request = this.reply.request.raw
    const content = contentClassOf(request.headers['content-type'])
    const coding = codingOf(request.headers['content-encoding'])
    const length = declaredLength(request)
    if (content === undefined) return this.refuse(refusal(endpoint, 415, 'content-type not supported'))
    if (coding === undefined) return this.refuse(refusal(endpoint, 415, 'content-encoding not supported'))
    if (length !== undefined && length > services.bodyLimitBytes) return this.tooLarge()
    if (!this.hold(OVERHEAD_BYTES + headBytes(request), length)) return this.noMemory()
    this.content = content
    this.gzip = coding === 'gzip'
    if (length === 0) return this.take(EMPTY)
    this.receive(length)
  }

  private receive(length: number | undefined): void {
    const request = this.reply.request.raw
    sendContinue(this.reply)
    this.connection.receiving = this
    this.services.receiving.add(this)
    this.collector = new BodyCollector(
      request,
      length,
      this.services.bodyLimitBytes,
      this,
      this.services.detach,
    )
  }

  private received(): void {
    if (this.collector === undefined) return
    this.services.receiving.delete(this)
    if (this.connection.receiving === this) this.connection.receiving = undefined
    this.collector = undefined
  }

  // As the sink of the body.

  hold(bytes: number, announced = 0): boolean {
    if (!this.services.budget.take(bytes, announced)) return false
    this.heldBytes += bytes
    return true
  }

  bodyReceived(body: Buffer): void {
    this.received()
    if (this.gzip) this.inflate(body)
    else this.take(body)
  }

  bodyRefused(cause: 'too large' | 'no memory'): void {
    this.received()
    if (cause === 'too large') this.tooLarge()
    else this.noMemory()
  }

  bodyAborted(): void {
    this.received()
    this.release()
  }

  broken(status: 400 | 408 | 503): void {
    this.collector?.stop()
    this.received()
    this.refuse(brokenBody(this.endpoint, status))
  }

  private inflate(body: Buffer): void {
    const heldBytes = this.heldBytes
    this.services.inflater.inflate({
      body,
      limit: this.services.bodyLimitBytes,
      hold: (bytes) => this.hold(bytes),
      done: (result) => this.inflated(body, result, heldBytes),
    })
  }

  /** @param heldBytes what was held before inflating began, which may have held more than it needed */
  private inflated(body: Buffer, result: Inflated, heldBytes: number): void {
    const needed = heldBytes + ('body' in result ? result.body.length : 0)
    this.giveBack(Math.max(0, this.heldBytes - needed))
    if ('body' in result) this.take(result.body)
    else if (result.fault === 'too large')
      this.answer(bodyTooLarge(this.endpoint, this.services.bodyLimitBytes))
    else if (result.fault === 'refused') this.answer(unavailable(this.endpoint, RETRY_MEMORY_S))
    else this.invalidGzip(body)
  }

  private invalidGzip(body: Buffer): void {
    try {
      const request = this.requestOf(body)
      if (request === undefined) return this.answer(UNAUTHORIZED)
      const bits = queryBits(this.endpoint, this.query)
      this.issued(this.services.intake.refuse(request, GZIP_INVALID, bits))
    } catch (error) {
      this.failed(error)
    }
  }

  /**
   * In the order of the connection, whose records mostly have one partition key (promise P6): of pipelined requests a GET
   * is here before the body of the POST ahead of it, and a small body before a large one that is inflated elsewhere.
   */
  private take(body: Buffer): void {
    if (this.turn.hasCome) this.takeNow(body)
    else this.turn.whenCome(() => this.takeNow(body))
  }

  private takeNow(body: Buffer): void {
    try {
      const request = this.requestOf(body)
      if (request === undefined) return this.answer(UNAUTHORIZED)
      this.body = body
      this.services.intake.submit(request, this)
      this.turn.end()
    } catch (error) {
      this.failed(error)
    }
  }

  /** undefined: /import without a credential that is needed. */
  private requestOf(body: Buffer): IngestRequest | undefined {
    const { endpoint, content, query, services, connection } = this
    const { raw } = this.reply.request
    const peer = services.peers.peerOf(raw, connection)
    if (endpoint !== 'import') {
      return { endpoint, content, body, query, peer, authToken: '', projectId: null }
    }
    const grant = services.auth.grant(raw.headers.authorization, (name) => {
      return readParam(name, query, formText(content, body))
    })
    if (grant === undefined) return undefined
    return { endpoint, content, body, query, peer, authToken: grant.token, projectId: grant.projectId }
  }

  // As the sink of the receipt.

  /** What was inflated is left to the collector: zlib may keep views of it. */
  decoded(params: number): void {
    const { body } = this
    if (this.gzip || (params & REREAD) !== 0) return
    this.body = EMPTY
    this.services.detach(body)
  }

  issued(receipt: Receipt): void {
    try {
      this.answer(answerOf(receipt, this, this.services.dialect))
    } catch (error) {
      this.failed(error)
    }
  }

  /** Rule R1: what cannot be kept is 503. Anything else that is thrown is a fault of ours (promise P3). */
  failed(error: unknown): void {
    const { endpoint, services } = this
    if (error instanceof LogUnavailable) {
      return this.answerFailure(unavailable(endpoint, RETRY_LOG_S[error.reason]), true)
    }
    if (error instanceof NotAcknowledged) {
      return this.answerFailure(unavailable(endpoint, RETRY_KAFKA_S), true)
    }
    this.collector?.stop()
    this.received()
    services.counts.failures++
    services.logger.error({ err: error, endpoint }, 'a request failed unexpectedly')
    this.answerFailure(refusal(endpoint, 500, 'internal error'))
  }

  /**
   * Nothing may be thrown from here: there is nobody left to catch it, and the others of a batch are to be told too.
   *
   * @param isRead its body was read, or does not matter
   */
  private answerFailure(answer: Answer, isRead = this.reply.request.raw.complete): void {
    try {
      if (this.reply.sent) this.release()
      else if (isRead) this.answer(answer)
      else this.refuse(answer)
    } catch {
      this.reply.request.raw.socket.destroy()
    }
  }

  private answer(answer: Answer): void {
    this.release()
    const { services, endpoint, reply } = this
    services.replies.send(reply, endpoint, answer)
    services.counts.observe(services.clock.monoMs() - this.startedMs)
  }

  private refuse(answer: Answer): void {
    this.release()
    const { services, endpoint, reply } = this
    services.replies.refuse(reply, endpoint, answer)
    services.counts.observe(services.clock.monoMs() - this.startedMs)
  }

  private tooLarge(): void {
    this.refuse(bodyTooLarge(this.endpoint, this.services.bodyLimitBytes))
  }

  private noMemory(): void {
    this.refuse(unavailable(this.endpoint, RETRY_MEMORY_S))
  }

  private release(): void {
    this.turn.end()
    // An idle connection knows its last request, and so this.
    this.body = EMPTY
    this.giveBack(this.heldBytes)
  }

  private giveBack(bytes: number): void {
    if (bytes === 0) return
    this.services.budget.give(bytes)
    this.heldBytes -= bytes
  }
}
