/** Sends answers: headers that belong on all of them, counting, and closing while the server drains. */
import type { FastifyReply } from 'fastify'
import type { Endpoint } from '../record.js'
import type { Answer } from './answer.js'
import { connectionOf } from './connection.js'
import { addCors, type Headers } from './cors.js'
import type { RequestCounts } from './counts.js'
import { answerAndLinger, readNoMore } from './linger.js'
import type { HeaderList, Send } from './send.js'
import type { SlowReaders } from './slow-readers.js'

export class Replies {
  /** From now on every reply closes its connection, unless requests are pipelined behind it: those are answered first. */
  draining = false
  /** From now on every reply does. */
  closing = false

  constructor(
    private readonly counts: RequestCounts,
    private readonly slowReaders: SlowReaders,
    private readonly deliver: Send,
  ) {}

  /** An answer to a request that has been read, or has no body. */
  send(reply: FastifyReply, endpoint: Endpoint | undefined, answer: Answer): void {
    this.counts.count(endpoint, answer.status)
    if (this.closing) this.sendNow(reply, answer, true)
    else if (this.draining && isLatest(reply)) this.sendLast(reply, answer)
    else this.sendNow(reply, answer, false)
  }

  /** Not before the parser is through with what has arrived: there may be more requests in it. */
  private sendLast(reply: FastifyReply, answer: Answer): void {
    setImmediate(() => {
      try {
        this.sendNow(reply, answer, isLatest(reply))
      } catch {
        // Nobody is left who could answer in another way.
        reply.raw.destroy()
      }
    })
  }

  private sendNow(reply: FastifyReply, { status, type, body, headers }: Answer, closes: boolean): void {
    const request = reply.request.raw
    const list: HeaderList = ['cache-control', 'no-store']
    if (type !== '') list.push('content-type', type)
    if (headers !== undefined) push(list, headers)
    const { origin } = request.headers
    if (origin !== undefined) {
      const cors: Headers = {}
      addCors(cors, origin)
      push(list, cors)
    }
    if (closes) {
      connectionOf(request.socket).closing = true
      readNoMore(request)
      list.push('connection', 'close')
    }
    this.deliver(reply, status, list, body)
    this.slowReaders.look(request.socket)
  }

  /** An answer to a request whose body is left unread: the connection is closed after it. */
  refuse(reply: FastifyReply, endpoint: Endpoint | undefined, answer: Answer): void {
    const request = reply.request.raw
    this.counts.count(endpoint, answer.status)
    const headers: Headers = { 'cache-control': 'no-store', 'content-type': answer.type, ...answer.headers }
    addCors(headers, request.headers.origin)
    reply.hijack()
    answerAndLinger(request, reply.raw, { status: answer.status, headers }, answer.body)
  }
}

/** Nothing is pipelined behind it. */
function isLatest({ request, raw }: FastifyReply): boolean {
  return connectionOf(request.raw.socket).last === raw
}

function push(list: HeaderList, headers: Headers): void {
  for (const name in headers) list.push(name, headers[name]!)
}
