/**
 * A Fastify plugin: the ingest endpoints below a prefix of an app that has routes of its own.
 *
 * ```ts
 * import sluicegate from 'sluicegate/fastify'
 * await app.register(sluicegate, { prefix: '/mp', config: { dataDir: './events' } })
 * ```
 *
 * Events are decoded, kept and answered as by the server itself; `sluicegate tail` and the other commands work on the data
 * directory as ever. The app's parsers, error handlers and routes are not touched. What belongs to a listener is the app's:
 * `connectionsMax`, head time-out, head size, keep-alive, TLS. Its hooks run before ours, and see bodies unread.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyPluginAsync } from 'fastify'
import { type Config, configWith } from './config.js'
import { UsageError } from './errors.js'
import { startGate } from './gate.js'
import type { IngestParts } from './http/core.js'
import { mountIngest } from './http/mounted.js'
import { createLogger, type Logger } from './logger.js'

export { Budget } from './budget.js'
export type { Config } from './config.js'
export { LogUnavailable, UsageError } from './errors.js'
export type { IngestParts } from './http/core.js'
export type { IngestRequest, Receipt } from './intake.js'

export interface GateOptions {
  /** Settings that differ from the defaults (docs/CONFIG.md, in camelCase). */
  readonly config?: Partial<Config>
  /** Where lines about log and disk go: `app.log`, for example. Without it, to stderr. */
  readonly logger?: FastifyBaseLogger
  /** true: health, metrics, status and replay on `opsHost` and `opsPort`. `sluicegate rejects replay` needs it. */
  readonly ops?: boolean
  readonly parts?: undefined
}

export interface PartsOptions {
  /**
   * Parts that the caller has started, and stops after the app has closed: only the routes are mounted. `intake` may be
   * any that resolves once it has kept the events, and rejects with LogUnavailable when it cannot.
   */
  readonly parts: IngestParts
}

export type SluicegateOptions = GateOptions | PartsOptions

const PREFIX = /^(?:\/[\w.~-]+)+$/

/**
 * Opens the data directory when the app gets ready, and closes it when the app has answered what was under way.
 *
 * @throws UsageError without a prefix, over HTTP/2, for settings that contradict each other;
 *   SluicegateError `data_dir_locked`, `log_format_newer` (the app does not get ready)
 */
const sluicegate: FastifyPluginAsync<SluicegateOptions> = async (instance, options) => {
  checkApp(instance)
  if (options.parts !== undefined) return mountParts(instance, options.parts)
  const config = configWith({ ...options.config, mountPrefix: instance.prefix, drainMs: 0 })
  const gate = await startGate(config, {
    logger: loggerOf(options, config),
    ops: options.ops === true,
    ingest: (parts) => mountIngest(instance, parts),
  })
  instance.addHook('onClose', () => gate.stop())
}

export default sluicegate

async function mountParts(instance: FastifyInstance, parts: IngestParts): Promise<void> {
  const mounted = mountIngest(instance, parts)
  await mounted.listen()
  instance.addHook('onClose', () => mounted.close())
}

/** Below a prefix all paths are ours; at the root they would be the app's, its answer to unknown ones included. */
function checkApp({ prefix, initialConfig }: FastifyInstance): void {
  if (!PREFIX.test(prefix)) {
    throw new UsageError(`register sluicegate with a prefix such as /mp; it is ${JSON.stringify(prefix)}`)
  }
  if (initialConfig.http2 === true)
    throw new UsageError('sluicegate speaks HTTP/1.1: HTTP/2 ends in front of it')
}

/** The program's own logger is pino, of which the app's has the methods that are called. */
function loggerOf({ logger }: GateOptions, config: Config): Logger {
  return logger === undefined ? createLogger(config) : (logger as Logger)
}
