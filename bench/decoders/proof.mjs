// Before anything is measured: both decoders make the same bytes and the same rows of the same requests.
import { CASES, CONTEXT } from './events.mjs'

const HEADER_INTS = 64
const ROW_INTS = 16
/** outcome, position, length, flags, token id, key hash: what both fill in. */
const FIELDS = 6

const event = (properties, more = {}) => ({
  event: 'e',
  properties: { token: 't0k', ...properties },
  ...more,
})

/** Requests beside the measured ones: every branch that both have. */
const EDGES = [
  {},
  { event: 'a' },
  { event: '', properties: {} },
  { event: 'a', properties: { token: '' } },
  { event: 7, properties: { token: 't0k' } },
  event({ $ignore: true }),
  event({ $ignore: '' }),
  event({ distinct_id: '' }),
  event({ distinct_id: 42 }),
  event({ $device_id: 'd' }),
  event({ $user_id: 'u', $device_id: 'd' }),
  event({ $insert_id: 5 }),
  event({}, { $mp_metadata: { $mp_event_id: 'm' } }),
  event({ time: 'tomorrow' }),
  event({ time: 9_999_999_999 }),
  event({ time: 1 }),
  event({ time: '1795499998.5' }),
  event({ ip: '1.2.3.4' }),
  event({ ip: 0 }),
  event({ mp_lib: 'we"b', distinct_id: 'ü\n"' }),
  event({ mp_lib: 'web', $lib_version: '1' }),
  { event: '$create_alias', properties: { token: 't0k' } },
].map((item) => JSON.stringify(item))

function edgeRequests() {
  const request = (content, query, text) => ({ endpoint: 'track', content, query, body: Buffer.from(text) })
  const encoded = (text) => encodeURIComponent(Buffer.from(text).toString('base64'))
  return [...EDGES, `[${EDGES.join(',')}]`].flatMap((text) => [
    request(2, '', text),
    request(2, 'ip=0&test=1', text),
    request(1, 'ip=1', `data=${encoded(text)}&test=1`),
    request(4, `data=${encoded(text)}`, ''),
  ])
}

/** Outcome and bytes of every row, as one text. */
export function result(decoder, request, room) {
  const { accepted, rejected, ignored, end } = decoder.decode(request, CONTEXT, room)
  const rows = accepted + rejected + ignored
  const table = decoder.table
  const fields = Array.from({ length: rows }, (_, index) => {
    const start = HEADER_INTS + index * ROW_INTS
    const row = table.subarray(start, start + FIELDS)
    return row[0] === 0 ? row.join() : `outcome ${row[0]}`
  })
  return [accepted, rejected, ignored, ...fields, room.bytes.latin1Slice(room.position, end)].join('\n')
}

/** Throws when the decoders differ anywhere. */
export function proveEqual({ native, javascript }, room) {
  const requests = [...CASES.flatMap((testCase) => testCase.requests), ...edgeRequests()]
  for (const request of requests) {
    const [expected, actual] = [result(javascript, request, room), result(native, request, room)]
    if (expected !== actual) {
      const text = `${request.query} ${request.body.toString('latin1', 0, 500)}`
      throw new Error(`the decoders differ on ${text}\nJavaScript: ${expected}\nnative:     ${actual}`)
    }
  }
  console.log(`both decoders made the same bytes of ${requests.length} requests`)
}
