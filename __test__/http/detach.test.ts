/** P7: the memory of a body is given back when it has been decoded, unless something of it is needed for the reply. */
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EVENT } from '../decode/harness.js'
import {
  Client,
  FORM_BODY,
  GZIP,
  type Harness,
  JSON_BODY,
  requestBytes,
  send,
  startIngest,
} from './support.js'

const given = vi.hoisted(() => [] as Uint8Array[])
vi.mock('../../src/detach.js', async (original) => {
  const real = await original<typeof import('../../src/detach.js')>()
  const detach = (bytes: Uint8Array): void => {
    // Before the memory is gone.
    given.push(Buffer.from(bytes))
    real.detach(bytes)
  }
  return { ...real, detach, settleHeap: () => {} }
})

const json = JSON.stringify(EVENT)
let harness: Harness
beforeEach(async () => {
  given.length = 0
  harness = await startIngest()
})
afterEach(() => harness.close())

const texts = (): string[] => given.map((bytes) => Buffer.from(bytes).toString())

test('once it is decoded, while the log still writes', async () => {
  harness.log.held = true
  const reply = send(harness.port, '/track', { headers: JSON_BODY, body: json })
  await vi.waitFor(() => expect(harness.log.waitingCommits).toBe(1))
  expect(texts()).toEqual([json])
  harness.log.release()
  expect((await reply).body).toBe('1')
  expect(harness.log.envelopes.map(({ record }) => record)).toEqual([EVENT])
})

test('each piece when it is copied', async () => {
  const client = await Client.open(harness.port)
  const request = requestBytes('/track', { headers: JSON_BODY, body: json })
  const head = request.indexOf('\r\n\r\n') + 4
  client.write(request.subarray(0, head + 5))
  await new Promise((resolve) => setTimeout(resolve, 50))
  client.write(request.subarray(head + 5))
  expect((await client.reply()).body).toBe('1')
  client.destroy()
  expect(texts().toSorted()).toEqual([json.slice(0, 5), json.slice(5), json].toSorted())
  expect(harness.log.envelopes.map(({ record }) => record)).toEqual([EVENT])
})

test('not of a form whose callback or redirect is read again', async () => {
  const form = `data=${encodeURIComponent(json)}&callback=f`
  const reply = await send(harness.port, '/track', { headers: FORM_BODY, body: form })
  expect(reply.body).toBe('/**/f(1);')
  const plain = `data=${encodeURIComponent(json)}`
  await send(harness.port, '/track', { headers: FORM_BODY, body: plain })
  expect(texts()).toEqual([plain])
})

test('not of what was inflated', async () => {
  const body = gzipSync(json)
  expect((await send(harness.port, '/track', { headers: { ...JSON_BODY, ...GZIP }, body })).body).toBe('1')
  expect(texts()).toEqual([])
})
