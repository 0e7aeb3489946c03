/** The ingest routes inside an app that is somebody else's: its listener, its limits on connections and heads, its closing. */
import type { FastifyInstance } from 'fastify'
import type { IngestListener } from './app.js'
import { leave } from '../detach.js'
import { connectionFor } from './connection.js'
import { IngestCore, type IngestParts } from './core.js'
import { sendThroughHooks } from './send.js'

/**
 * Declares the routes in `instance`, a scope with a prefix, below which everything is answered here. `listen` starts only
 * the clockwork, `close` stops it: requests come and go with the app.
 */
export function mountIngest(instance: FastifyInstance, parts: IngestParts): IngestListener {
  const config = { ...parts.config, mountPrefix: instance.prefix }
  const core = new IngestCore({ ...parts, config }, { send: sendThroughHooks, detach: leave })
  // Requests that are pipelined are all answered before the connection closes.
  instance.addHook('onRequest', (request, reply, done) => {
    if (connectionFor(request.raw, reply.raw) === undefined) reply.hijack()
    else done()
  })
  // A connection that is busy when the app begins to close would otherwise stay open after its reply, and the app with it.
  instance.addHook('preClose', (done) => {
    core.replies.draining = true
    done()
  })
  core.routes.register(instance)
  return {
    counts: core.counts,
    listen: () => Promise.resolve(core.startSweeping()).then(() => ''),
    drain: () => void (core.replies.draining = true),
    close: () => Promise.resolve(core.stopSweeping()),
  }
}
