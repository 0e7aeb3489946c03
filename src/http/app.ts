/** The public listener: composes the routes, and sets the limits of node:http that Fastify does not know (promise P7). */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import { detach, settleHeap } from '../detach.js'
import { unavailable } from './answer.js'
import { connectionFor } from './connection.js'
import { Connections } from './connections.js'
import { IngestCore, type IngestParts, SWEEP_MS_MAX } from './core.js'
import { addCors, type Headers } from './cors.js'
import type { RequestCounts } from './counts.js'
import { clientErrors, refuseConnect } from './failures.js'
import { DirectRequest } from './incoming.js'
import { answerAndLinger } from './linger.js'
import { pathOf } from './paths.js'
import { sendAlone } from './send.js'

export type { IngestParts } from './core.js'

export interface IngestListener {
  /** Starts to listen; the address as `http://127.0.0.1:8080`. */
  listen(): Promise<string>
  readonly counts: RequestCounts
  /** From now on every reply with none pipelined behind it carries `Connection: close`; used while draining. */
  drain(): void
  /**
   * Stops accepting, answers what is in flight, closes idle connections. After `closeMsMax` bodies that are still coming
   * in are answered 503, and what is left a moment later is destroyed.
   */
  close(): Promise<void>
}

/** Request line and headers together: a URL of 64 KiB and what browsers send along fit. */
export const HEAD_BYTES_MAX = 80 * 1024
export const CLOSE_MS_MAX = 10_000
/** How long a connection that has not sent anything is waited for when the listener closes. */
const UNUSED_MS_MAX = 500
/** For an answer to leave, and what is on its way against it to be read, before the connection is destroyed. */
const LAST_ANSWER_MS = 2000
const RETRY_CONNECTIONS_S = 5

export function createIngest(parts: IngestParts): IngestListener {
  return new Listener(parts)
}

class Listener implements IngestListener {
  readonly counts: RequestCounts
  private readonly core: IngestCore
  private readonly connections: Connections
  private readonly app: FastifyInstance

  constructor(private readonly parts: IngestParts) {
    this.core = new IngestCore(parts, { send: sendAlone, detach })
    this.counts = this.core.counts
    this.connections = new Connections(this.counts, parts.clock, parts.config)
    this.app = this.createApp()
  }

  async listen(): Promise<string> {
    const { host, port } = this.parts.config
    await this.app.listen({ host, port })
    this.core.startSweeping()
    settleHeap()
    return addressOf(this.app.server.address() as AddressInfo)
  }

  drain(): void {
    this.core.replies.draining = true
  }

  async close(): Promise<void> {
    this.drain()
    this.core.replies.closing = true
    // The first request of a connection may be on its way.
    this.connections.endUnused(UNUSED_MS_MAX)
    const closeMs = this.parts.closeMsMax ?? CLOSE_MS_MAX
    const giveUp = setTimeout(() => this.core.refuseReceiving(), closeMs)
    const destroy = setTimeout(() => this.connections.destroy(), closeMs + LAST_ANSWER_MS)
    try {
      await this.app.close()
    } finally {
      clearTimeout(giveUp)
      clearTimeout(destroy)
      this.core.stopSweeping()
    }
  }

  private createApp(): FastifyInstance {
    const { config } = this.parts
    const { routes } = this.core
    const app = fastify({
      serverFactory: (handler) => this.createServer(handler),
      // The router is not to answer what it cannot read: `/%` is an unknown path like any other.
      frameworkErrors: (_error, request, reply) => routes.route(request, reply),
      clientErrorHandler: clientErrors(this.counts),
      logController: new LogController({ disableRequestLogging: true }),
      genReqId: () => '',
      exposeHeadRoutes: false,
      return503OnClosing: false,

      keepAliveTimeout: config.keepAliveTimeoutMs,
      routerOptions: { querystringParser: (query) => query as never, maxParamLength: HEAD_BYTES_MAX },
    })
    // Bodies are collected by the exchange: for POST, whose every microsecond counts, the framework need not even look at
    // the Content-Type.
    app.addHttpMethod('POST', { hasBody: false, overrideExisting: true })
    routes.register(app)
    return app
  }

  private createServer(handler: (request: IncomingMessage, response: ServerResponse) => void): Server {
    const { headTimeoutMs, bodyTimeoutMs, keepAliveTimeoutMs } = this.parts.config
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      const connection = connectionFor(request, response)
      if (connection === undefined) return
      if (connection.refused) this.refuse(request, response)
      else handler(request, response)
    }
    const server = createServer(
      {
        maxHeaderSize: HEAD_BYTES_MAX,
        connectionsCheckingInterval: Math.min(SWEEP_MS_MAX, headTimeoutMs / 2),
        headersTimeout: headTimeoutMs,
        // Bodies are timed by the sweep, which can answer with CORS; this is for what is thrown away unread.
        requestTimeout: headTimeoutMs + 2 * bodyTimeoutMs,
        keepAliveTimeout: keepAliveTimeoutMs,
        requireHostHeader: false,
        IncomingMessage: DirectRequest,
      },
      listener,
    )
    // Without these, node:http sends 100 before anybody could refuse, and 417 to what it does not know.
    server.on('checkContinue', listener)
    server.on('checkExpectation', listener)
    server.on('connect', refuseConnect(this.counts))
    server.on('connection', (socket: Socket) => this.connections.add(socket))
    // A client that has sent everything and shuts its side down still waits for the reply.
    // Without the other, headers beyond the first thousand would not be seen, the body's length among them.
    Object.assign(server, { httpAllowHalfOpen: true, maxHeadersCount: 0 })
    return server
  }

  /** A dropped socket would make browsers delete their events (promise P2): the request is read, and answered. */
  private refuse(request: IncomingMessage, response: ServerResponse): void {
    const endpoint = this.core.paths.get(pathOf(request.url ?? ''))?.endpoint
    const { status, type, body, headers } = unavailable(endpoint, RETRY_CONNECTIONS_S)
    const all: Headers = { 'content-type': type, 'cache-control': 'no-store', ...headers }
    addCors(all, request.headers.origin)
    this.counts.count(endpoint, status)
    answerAndLinger(request, response, { status, headers: all }, body)
  }
}

function addressOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
