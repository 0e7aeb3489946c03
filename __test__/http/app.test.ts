/** The listener as a whole: from bytes on a socket to bytes in the log and back. */
import { afterEach, expect, test } from 'vitest'
import { base64, EVENT } from '../decode/harness.js'
import { FORM_BODY, type Harness, send, startIngest } from './support.js'

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
