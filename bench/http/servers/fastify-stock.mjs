// Fastify as it comes: its JSON parser, its defaults, an endpoint that does nothing with what was parsed.
import fastify from 'fastify'
import { announce } from './announce.mjs'

const BODY_BYTES_MAX = 10_485_760

const app = fastify({ bodyLimit: BODY_BYTES_MAX })
for (const path of ['/track', '/track/']) {
  app.post(path, (_request, reply) => {
    reply.type('application/json').send('1')
  })
}
await app.listen({ host: '127.0.0.1', port: 0 })
announce(app.server.address().port)
