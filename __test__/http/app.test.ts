/** The listener as a whole: from bytes on a socket to bytes in the log and back, as docs/PROTOCOL.md 6.2 asks. */
import { afterEach, expect, test } from 'vitest'
import { base64, EVENT, eventWith } from '../decode/harness.js'
import { FORM_BODY, type Harness, JSON_BODY, send, startIngest } from './support.js'

let harness: Harness
afterEach(() => harness.close())

test('an event that is sent to a listener is answered and in the log', async () => {
  harness = await startIngest()
  const body = `data=${encodeURIComponent(base64(JSON.stringify(EVENT)))}`
  const reply = await send(harness.port, '/track/', { headers: FORM_BODY, body })
  expect(reply).toMatchObject({ status: 200, body: '1' })
  expect(harness.log.envelopes).toMatchObject([{ kind: 'track', record: EVENT }])
  expect(harness.budget.usedBytes).toBe(0)
})

test('R2, R3: bad content is 200 on the client endpoints, and its neighbours are kept', async () => {
  harness = await startIngest()
  for (const endpoint of ['track', 'engage', 'groups']) {
    for (const body of ['{', '[]', '"x"', '[1,{}]', '\xff']) {
      const reply = await send(harness.port, `/${endpoint}`, { headers: JSON_BODY, body })
      expect([reply.status, reply.body]).toEqual([200, '0'])
    }
  }
  const mixed = await send(harness.port, '/track', {
    headers: JSON_BODY,
    body: JSON.stringify([EVENT, {}, EVENT]),
  })
  expect([mixed.status, mixed.body, harness.log.values.length]).toEqual([200, '1', 2])
})

test('R8: a plus that became a space, CESU-8, a lone surrogate and NaN are mended', async () => {
  harness = await startIngest()
  const plus = base64(JSON.stringify(eventWith({ s: '>>>???~~~' })))
  expect(plus).toContain('+')
  const cesu = Buffer.concat([
    Buffer.from('{"event":"'),
    Buffer.from('eda0bcedbcb3', 'hex'),
    Buffer.from('","properties":{"token":"t0k"}}'),
  ])
  const bodies = [
    plus,
    encodeURIComponent(cesu.toString('base64')),
    encodeURIComponent('{"event":"\\ud83c","properties":{"token":"t0k","n":NaN}}'),
  ]
  for (const data of bodies) {
    const reply = await send(harness.port, '/track', { headers: FORM_BODY, body: `data=${data}` })
    expect([reply.status, reply.body]).toEqual([200, '1'])
  }
  expect(harness.log.envelopes.map(({ record }) => record)).toMatchObject([
    { properties: { s: '>>>???~~~' } },
    { event: '🌳' },
    { event: '\ufffd', properties: { n: null } },
  ])
})

test('R11: what is sent twice is kept twice, under the same insert_id', async () => {
  harness = await startIngest()
  for (let n = 0; n < 2; n++) {
    const reply = await send(harness.port, '/track', { headers: JSON_BODY, body: JSON.stringify(EVENT) })
    expect(reply.body).toBe('1')
  }
  expect(harness.log.envelopes.map(({ insert_id }) => insert_id)).toEqual(['abc-1', 'abc-1'])
})

test('what was answered is counted, with how long it took', async () => {
  harness = await startIngest()
  await send(harness.port, '/track', { headers: JSON_BODY, body: JSON.stringify(EVENT) })
  await send(harness.port, '/engage')
  await send(harness.port, '/nope')
  expect([...harness.ingest.counts.requests()]).toEqual([
    { endpoint: 'track', status: 200, count: 1 },
    { endpoint: 'engage', status: 200, count: 1 },
    { endpoint: 'other', status: 404, count: 1 },
  ])
  expect(harness.ingest.counts.durations().counts.reduce((sum, one) => sum + one)).toBe(2)
})

test('listening twice on one port fails with the reason', async () => {
  harness = await startIngest()
  await expect(startIngest({ config: { port: harness.port } })).rejects.toThrow('EADDRINUSE')
})
