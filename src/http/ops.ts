/**
 * The ops listener: health, readiness, metrics, status, and replay of rejected records. It is private (loopback unless
 * told otherwise), answers only to its own names, and sends no CORS headers: a web page can neither read nor post here.
 */
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import type { Budget } from '../budget.js'
import type { Config } from '../config.js'
import { SluicegateError } from '../errors.js'
import type { Logger } from '../logger.js'
import { ENDPOINTS } from '../record.js'
import type { ReplayRequest, ReplayResult } from '../replay.js'
import { HEAD_BYTES_MAX } from './app.js'
import { isOwnHost } from './ops-host.js'

export interface Readiness {
  /** Whether a balancer should send requests here. */
  readonly ready: boolean
  /** Whether events would be kept now. */
  readonly accepting: boolean
  /** Why not, or what is about to go wrong; '' when all is well. */
  readonly reason: string
}

export interface OpsParts {
  readonly config: Pick<Config, 'opsHost' | 'opsPort'>
  readonly version: string
  readonly logger: Pick<Logger, 'error'>
  readonly ready: () => Readiness
  readonly status: () => Readonly<Record<string, unknown>>
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
  /** Throws SluicegateError for what the caller can act on. */
  readonly replay: (request: ReplayRequest) => Promise<readonly ReplayResult[]>
  /** Bodies of replays take from the same memory as everything else under way (promise P7). */
  readonly budget: Pick<Budget, 'take' | 'give'>
}

export interface Ops {
  /** Resolves with the address, e.g. `http://127.0.0.1:8081`. */
  listen(): Promise<string>
  /** Answers what is under way and closes; what takes longer than a moment is broken off. */
  close(): Promise<void>
}

/** The largest body of a replay. */
export const REPLAY_BODY_BYTES_MAX = 16 * 1024 * 1024
/** Records in one replay request. */
export const REPLAY_RECORDS_MAX = 1000
/** A replayed body is held as bytes, as parsed text and as records. */
const REPLAY_MEMORY_FACTOR = 3
const REQUEST_TIMEOUT_MS = 60_000
/** A body that is still coming when everything else has stopped is not waited for longer. */
const OPS_CLOSE_MS_MAX = 1000

export function createOps(parts: OpsParts): Ops {
  const app = fastify({
    bodyLimit: REPLAY_BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    frameworkErrors: (error, _request, reply) => void sendError(error, reply),
  })
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', guard(parts))
  app.setNotFoundHandler((request, reply) => notFound(app, request, reply))
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if ((error.statusCode ?? 500) >= 500)
      parts.logger.error({ err: error, path: request.url }, 'ops listener')
    return sendError(error, reply)
  })
  addReading(app, parts)
  addReplay(app, parts)
  const { opsHost, opsPort } = parts.config
  return {
    listen: () => app.listen({ host: opsHost, port: opsPort, listenTextResolver: () => '' }),
    close: () => closeWithin(app, OPS_CLOSE_MS_MAX),
  }
}

async function closeWithin(app: FastifyInstance, msMax: number): Promise<void> {
  const giveUp = setTimeout(() => app.server.closeAllConnections(), msMax)
  try {
    await app.close()
  } finally {
    clearTimeout(giveUp)
  }
}

const PATHS = {
  '/health': 'the process lives',
  '/ready': '200 when events should be sent here, else 503',
  '/metrics': 'for Prometheus',
  '/status': 'counters and state as JSON',
  '/rejects/replay': 'POST: rejected records, mended (sluicegate rejects replay)',
}

function addReading(app: FastifyInstance, { version, ready, status, metrics }: OpsParts): void {
  app.get('/', () => ({ name: 'sluicegate', version, paths: PATHS }))
  app.get('/health', () => ({ status: 'ok', version }))
  app.get('/ready', (_request, reply) => {
    const readiness = ready()
    return reply.code(readiness.ready ? 200 : 503).send(readiness)
  })
  app.get('/status', () => status())
  app.get('/metrics', async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.text())
  })
}

const nullable = (type: object): object => ({ anyOf: [type, { type: 'null' }] })
const word = (maxLength: number): object => nullable({ type: 'string', maxLength })
const offset = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }
/** What a Date can hold. */
const timeMs = { ...offset, maximum: 8.64e15 }

/** Further members of a rejected record (`v`, `kind`, `problem`, …) are let through and not looked at. */
const REPLAY_RECORD = {
  type: 'object',
  required: ['offset', 'endpoint'],
  oneOf: [{ required: ['raw'] }, { required: ['raw_base64'] }],
  properties: {
    offset: nullable(offset),
    endpoint: { enum: ENDPOINTS },
    // On /import it may be the user of a credential.
    token: word(HEAD_BYTES_MAX),
    project_id: word(1024),
    received_ms: nullable(timeMs),
    ip: word(64),
    ua: word(256),
    test: { type: 'boolean' },
    raw: { type: 'string' },
    raw_base64: { type: 'string' },
  },
}
const REPLAY_BODY = {
  type: 'object',
  required: ['records'],
  additionalProperties: false,
  properties: {
    force: { type: 'boolean' },
    strict: { type: 'boolean' },
    records: { type: 'array', maxItems: REPLAY_RECORDS_MAX, items: REPLAY_RECORD },
  },
}

function addReplay(app: FastifyInstance, { replay, budget }: OpsParts): void {
  app.post<{ Body: ReplayRequest }>('/rejects/replay', {
    schema: { body: REPLAY_BODY },
    onRequest: (request, reply, done) => done(reserve(request, reply, budget)),
    handler: async (request) => ({ results: await replay(request.body) }),
  })
}

/** Takes the memory for a body before it is read; what is wrong when that cannot be. */
function reserve(
  request: FastifyRequest,
  reply: FastifyReply,
  budget: OpsParts['budget'],
): Error | undefined {
  const length = request.headers['content-length']
  if (length === undefined) return failure(411, 'length_required', 'Content-Length is needed')
  // Fastify answers a body over its limit by itself, before it reads any of it.
  if (Number(length) > REPLAY_BODY_BYTES_MAX) return undefined
  const bytes = Number(length) * REPLAY_MEMORY_FACTOR
  if (!budget.take(bytes)) {
    reply.header('retry-after', '1')
    return failure(503, 'memory', 'too much is under way, try again')
  }
  // However the request ends: answered, refused, or broken off.
  reply.raw.once('close', () => budget.give(bytes))
  return undefined
}

/** Refuses whoever comes under a name that is not ours, and pages that post across origins. */
function guard({ config }: OpsParts) {
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const { host, origin } = request.headers
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    if (!isOwnHost(host, config.opsHost, request.raw.socket.localAddress ?? '')) {
      return done(failure(403, 'host_unknown', 'Host does not name this listener; see --ops-host'))
    }
    if (origin !== undefined && origin !== `http://${host}` && !SAFE_METHODS.has(request.method)) {
      return done(failure(403, 'origin_foreign', 'not for pages of another origin'))
    }
    done()
  }
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD'])

function failure(statusCode: number, code: string, message: string): FastifyError {
  return Object.assign(new Error(message), { statusCode, code, name: 'OpsError' })
}

function notFound(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const path = request.url.split('?', 1)[0]!
  const methods = (['GET', 'POST'] as const).filter((method) => app.hasRoute({ method, url: path }))
  if (methods.length === 0) return sendError(failure(404, 'not_found', `nothing is at ${path}; see /`), reply)
  reply.header('allow', methods.map((method) => (method === 'GET' ? 'GET, HEAD' : method)).join(', '))
  return sendError(failure(405, 'method_not_allowed', `${path} takes ${methods.join(', ')}`), reply)
}

/** Every error as JSON; what nobody foresaw is told without its details. */
function sendError(error: Error & { statusCode?: number; code?: string }, reply: FastifyReply): FastifyReply {
  const known = error instanceof SluicegateError
  const status = error.statusCode ?? (known ? 503 : 500)
  const hidden = status >= 500 && !known && error.name !== 'OpsError'
  const message = hidden ? 'something failed here; the log on stderr says what' : error.message
  return reply
    .code(status)
    .send({ error: message, code: hidden ? 'internal' : (error.code ?? 'bad_request') })
}
