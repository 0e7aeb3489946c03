// Fastify with everything switched off that can be, which collects the body under a limit and answers `1`: what a
// server on Fastify costs before it does anything.
import fastify, { LogController } from 'fastify'
import { announce } from './announce.mjs'

const BODY_BYTES_MAX = 10_485_760

function collect(_request, payload, done) {
  const chunks = []
  let bytes = 0
  payload.on('data', (chunk) => {
    bytes += chunk.length
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk)
  })
  payload.on('error', done)
  payload.on('end', () => {
    if (bytes > BODY_BYTES_MAX) done(Object.assign(new Error('too large'), { statusCode: 413 }))
    else done(null, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, bytes))
  })
}

const app = fastify({
  logController: new LogController({ disableRequestLogging: true }),
  genReqId: () => '',
  exposeHeadRoutes: false,
  routerOptions: { querystringParser: (query) => query },
})
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', collect)
const answer = (_request, reply) => {
  reply.header('content-type', 'text/plain')
  reply.send('1')
}
for (const path of ['/track', '/track/']) app.post(path, answer)
await app.listen({ host: '127.0.0.1', port: 0 })
announce(app.server.address().port)
