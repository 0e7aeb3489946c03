/** The routes of the public listener, as a plugin that knows no port: ingest, small endpoints, 404, 405 and 500. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '../logger.js'
import type { Endpoint } from '../record.js'
import { ALLOW_INGEST, type Answer, refusal } from './answer.js'
import { declaredLength } from './content.js'
import { preflightHeaders } from './cors.js'
import type { RequestCounts } from './counts.js'
import { Discard } from './discard.js'
import { Exchange, type ExchangeServices } from './exchange.js'
import { pathOf, type Paths, type Target } from './paths.js'
import type { Replies } from './replies.js'
import { allowedMethods, type SmallEndpoint } from './small.js'

const REFUSED: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'forbidden',
  429: 'too many requests',
}
const PLAIN_PATH = /^[\w/.~-]+$/

type Handler = (request: FastifyRequest, reply: FastifyReply) => void

export class IngestRoutes {
  private readonly counts: RequestCounts
  private readonly logger: Logger
  private readonly replies: Replies

  constructor(
    private readonly services: ExchangeServices,
    private readonly paths: Paths,
  ) {
    this.counts = services.counts
    this.logger = services.logger
    this.replies = services.replies
  }

  /**
   * Registers everything on an instance of its own: an app, or a plugin's scope with a prefix, where parsers, error handler
   * and the answer to unknown paths are those of that scope alone. What an app's scopes share is left as it is.
   */
  register(instance: FastifyInstance): void {
    instance.removeAllContentTypeParsers()
    // Bodies are collected by the exchange, which can refuse them: here nothing is read.
    instance.addContentTypeParser('*', (_request, _payload, done) => done(null))
    instance.setErrorHandler((error, request, reply) => this.failed(error, request, reply))
    instance.setNotFoundHandler((request, reply) => this.route(request, reply))
    for (const [path, target] of this.paths) {
      if (target.endpoint === undefined) continue
      const handler = this.ingest(target.endpoint)
      // All else - further slashes, fragments, other methods - is sorted out by `route`, and so are paths in which
      // the router would see a pattern.
      if (!PLAIN_PATH.test(path)) continue
      // The framework puts the scope's prefix before them again.
      const url = path.slice(instance.prefix.length)
      for (const form of ignoresTrailingSlash(instance) ? [url] : [url, `${url}/`]) {
        instance.get(form, { exposeHeadRoute: false }, handler)
        instance.post(form, handler)
      }
    }
  }

  private ingest(endpoint: Endpoint): Handler {
    const { services } = this
    return (_request, reply) => new Exchange(services, endpoint, reply).start()
  }

  /** Whatever the router does not know by heart. Nothing is ever redirected because of a slash (rule R10). */
  route(request: FastifyRequest, reply: FastifyReply): void {
    const { method, url = '' } = request.raw
    const target = this.paths.get(pathOf(url))
    if (target === undefined) return this.refuse(reply, undefined, refusal(undefined, 404, 'not found'))
    if (method === 'OPTIONS' && !isPage(target)) return this.preflight(reply, target)
    if (target.small !== undefined) return this.small(reply, target.small)
    if (method === 'GET' || method === 'POST') return this.ingest(target.endpoint)(request, reply)
    this.refuse(reply, target.endpoint, notAllowed(target.endpoint, ALLOW_INGEST))
  }

  private preflight(reply: FastifyReply, target: Target): void {
    const { headers } = reply.request.raw
    const cors = headers.origin === undefined ? {} : preflightHeaders(headers)
    const allow = target.small === undefined ? ALLOW_INGEST : allowedMethods(target.small)
    this.replies.send(reply, target.endpoint, {
      status: 204,
      type: '',
      body: '',
      headers: { allow, ...cors },
    })
  }

  private small(reply: FastifyReply, small: SmallEndpoint): void {
    const request = reply.request.raw
    if (request.method !== small.method) {
      return this.refuse(reply, undefined, notAllowed(undefined, allowedMethods(small)))
    }
    const length = declaredLength(request)
    if (length !== undefined && length > this.services.bodyLimitBytes) {
      return this.refuse(reply, undefined, refusal(undefined, 413, 'body too large'))
    }
    if (request.method === 'POST') new Discard(this.services, reply, small.answer).start()
    else this.replies.send(reply, undefined, small.answer)
  }

  /** An answer that leaves the body, if there is one, unread. */
  private refuse(reply: FastifyReply, endpoint: Endpoint | undefined, answer: Answer): void {
    if (declaredLength(reply.request.raw) === 0) this.replies.send(reply, endpoint, answer)
    else this.replies.refuse(reply, endpoint, answer)
  }

  /** By a hook of the app that we are mounted in (credentials, rates): its headers go along, its text does not. */
  private refusedBefore(reply: FastifyReply, status: number): void {
    const endpoint = this.paths.get(pathOf(reply.request.raw.url ?? ''))?.endpoint
    const headers = Object.fromEntries(
      Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]),
    )
    this.refuse(reply, endpoint, refusal(endpoint, status, REFUSED[status] ?? 'refused', headers))
  }

  /**
   * A Content-Type that is none is refused by the framework before the request of another method is looked at: it is no
   * fault of theirs. Everything else is one of ours (promise P3).
   */
  private failed(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    if ((error as { code?: unknown }).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
      return this.route(request, reply.code(200))
    }
    const status = (error as { statusCode?: unknown }).statusCode
    if (typeof status === 'number' && status >= 400 && status < 500) return this.refusedBefore(reply, status)
    this.counts.failures++
    this.logger.error({ err: error, path: pathOf(request.raw.url ?? '') }, 'a request failed unexpectedly')
    const endpoint = this.paths.get(pathOf(request.raw.url ?? ''))?.endpoint
    this.refuse(reply, endpoint, refusal(endpoint, 500, 'internal error'))
  }
}

/** Then a path and the same with a slash at its end are one route, which must not be declared twice. */
function ignoresTrailingSlash({ initialConfig }: FastifyInstance): boolean {
  return (initialConfig.routerOptions?.ignoreTrailingSlash ?? initialConfig.ignoreTrailingSlash) === true
}

function isPage({ small }: Target): boolean {
  return small !== undefined && !small.preflight
}

function notAllowed(endpoint: Endpoint | undefined, allow: string): Answer {
  return refusal(endpoint, 405, 'method not allowed', { allow })
}
