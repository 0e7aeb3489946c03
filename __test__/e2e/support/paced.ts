/** Clients that send so many events a second, whatever the server does, and count what they are told. */
import { setTimeout as sleep } from 'node:timers/promises'
import { RawConnection, requestBytes } from '../../support/http.js'
import { event, postJson } from './events.js'

export interface PacedResult {
  readonly sent: number
  /** Events in requests that were answered with anything but success. */
  readonly failed: number
  readonly seconds: number
}

const CONNECTIONS = 4
const EVENTS_A_REQUEST = 25
const KEYS = 60
const PAD = 'x'.repeat(300)

/** @param numbers continues the count of events, so that several runs differ */
export async function sendPaced(
  ingest: string,
  eventsPerS: number,
  seconds: number,
  firstNumber = 0,
): Promise<PacedResult> {
  const started = performance.now()
  const everyMs = (1000 * EVENTS_A_REQUEST * CONNECTIONS) / eventsPerS
  const counts = { sent: 0, failed: 0 }
  let number = firstNumber
  const client = async (): Promise<void> => {
    const connection = await RawConnection.open(ingest)
    for (let at = 0; at * everyMs < seconds * 1000; at++) {
      await sleep(Math.max(0, started + at * everyMs - performance.now()))
      const events = Array.from({ length: EVENTS_A_REQUEST }, () => {
        const n = number++
        return event('paced', { distinct_id: `u${n % KEYS}`, n, pad: PAD })
      })
      connection.write(requestBytes(postJson('/track', events)))
      const { status, body } = await connection.reply()
      counts.sent += events.length
      if (status !== 200 || body.toString() !== '1') counts.failed += events.length
    }
    connection.destroy()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  return { ...counts, seconds: (performance.now() - started) / 1000 }
}
