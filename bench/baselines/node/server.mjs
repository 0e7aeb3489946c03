// What most people would write today: Fastify, its own JSON parser, a form parser, base64, JSON.parse, a few checks, and
// a producer of kafkajs.
//
//   node server.mjs none|BROKER TOPIC
//
// With a broker each request is one `send` with acks=all and is answered after it; with `none` what was decoded is
// dropped.
import { parse } from 'node:querystring'
import fastify from 'fastify'
import { Kafka, logLevel } from 'kafkajs'
import { announce } from '../../http/servers/announce.mjs'

const BODY_BYTES_MAX = 10_485_760
const [broker, topic] = process.argv.slice(2)

const app = fastify({ bodyLimit: BODY_BYTES_MAX })
app.addContentTypeParser(
  'application/x-www-form-urlencoded',
  { parseAs: 'string' },
  (_request, body, done) => {
    done(null, parse(body))
  },
)

function eventsOf(request) {
  const isForm = request.headers['content-type'].startsWith('application/x-www-form-urlencoded')
  const value = isForm ? JSON.parse(Buffer.from(request.body.data, 'base64').toString()) : request.body
  return Array.isArray(value) ? value : [value]
}

function isGood({ event, properties }) {
  return (
    typeof event === 'string' &&
    event !== '' &&
    typeof properties?.token === 'string' &&
    properties.token !== ''
  )
}

async function kafkaSender() {
  const producer = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING }).producer()
  await producer.connect()
  return (messages) => producer.send({ topic, acks: -1, messages })
}

const sendAll = broker === 'none' ? undefined : await kafkaSender()

async function track(request, reply) {
  reply.type('text/plain')
  let events
  try {
    events = eventsOf(request)
  } catch {
    return '0'
  }
  if (!events.every(isGood)) return '0'
  const receivedMs = Date.now()
  const messages = events.map((record) => ({
    key: `${record.properties.token}:${record.properties.distinct_id}`,
    value: JSON.stringify({
      received_ms: receivedMs,
      ip: request.ip,
      ua: request.headers['user-agent'],
      record,
    }),
  }))
  if (sendAll !== undefined) await sendAll(messages)
  return '1'
}

// What its parser refuses is answered like everything else that is refused.
app.setErrorHandler((_error, _request, reply) => reply.code(200).type('text/plain').send('0'))
for (const url of ['/track', '/track/']) app.route({ method: 'POST', url, handler: track })
await app.listen({ host: '127.0.0.1', port: 0 })
announce(app.server.address().port)
