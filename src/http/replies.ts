/** Sends answers: headers that belong on all of them, counting, and closing while the server drains. */
import type { FastifyReply } from 'fastify'
import type { Endpoint } from '../record.js'
import type { Answer } from './answer.js'
import { connectionOf } from './connection.js'
import { addCors, type Headers } from './cors.js'
import type { RequestCounts } from './counts.js'
import { answerAndLinger } from './linger.js'
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
  send(reply: FastifyReply, endpoint: Endpoint | undefined, { status, type, body, headers }: Answer): void {
    const request = reply.request.raw
    this.counts.count(endpoint, status)
    const list: HeaderList = ['cache-control', 'no-store']
    if (type !== '') list.push('content-type', type)
    if (headers !== undefined) push(list, headers)
    const { origin } = request.headers
    if (origin !== undefined) {
      const cors: Headers = {}
      addCors(cors, origin)
      push(list, cors)
    }
    if (this.closing || (this.draining && connectionOf(request.socket).last === reply.raw)) {
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

function push(list: HeaderList, headers: Headers): void {
  for (const name in headers) list.push(name, headers[name]!)
}
