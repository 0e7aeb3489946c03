/** A request whose body is read and thrown away, and answered when all of it was here: session replay. */
import type { FastifyReply } from 'fastify'
import { type Answer, brokenBody } from './answer.js'
import { connectionOf } from './connection.js'
import { sendContinue } from './content.js'
import type { ExchangeServices } from './exchange.js'
import type { TimedReceiving } from './receiving.js'

export class Discard implements TimedReceiving {
  readonly startedMs: number
  older: TimedReceiving | undefined = undefined
  newer: TimedReceiving | undefined = undefined
  private readonly onEnd = (): void => this.ended()
  private readonly onGone = (): void => this.stop()

  constructor(
    private readonly services: Pick<ExchangeServices, 'clock' | 'receiving' | 'replies'>,
    private readonly reply: FastifyReply,
    private readonly answer: Answer,
  ) {
    this.startedMs = services.clock.monoMs()
  }

  start(): void {
    const request = this.reply.request.raw
    sendContinue(this.reply)
    this.services.receiving.add(this)
    connectionOf(request.socket).receiving = this
    request.on('end', this.onEnd).on('error', this.onGone).resume()
  }

  broken(status: 400 | 408 | 503): void {
    this.stop()
    this.services.replies.refuse(this.reply, undefined, brokenBody(undefined, status))
  }

  private ended(): void {
    this.stop()
    this.services.replies.send(this.reply, undefined, this.answer)
  }

  private stop(): void {
    const request = this.reply.request.raw
    request.off('end', this.onEnd).off('error', this.onGone)
    this.services.receiving.delete(this)
    connectionOf(request.socket).receiving = undefined
  }
}
