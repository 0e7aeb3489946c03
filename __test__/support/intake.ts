/** The parts around an intake, made of a decoder, logs in memory and a clock that stands still. */
import { ManualClock } from '../../src/clock.js'
import { Content, type Decoder, type DecoderOptions } from '../../src/decode/decoder.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { type Delivery, Intake, type IngestRequest } from '../../src/intake.js'
import { Ledger } from '../../src/ledger.js'
import type { Endpoint } from '../../src/record.js'
import { Rejects } from '../../src/rejects.js'
import { RequestIds } from '../../src/request-id.js'
import { CONTEXT, NOW_MS, OPTIONS } from '../decode/harness.js'
import { MemoryLog } from './memory-log.js'

export interface Parts {
  readonly decoder: Decoder
  readonly log: MemoryLog
  readonly rejectLog: MemoryLog
  readonly rejects: Rejects
  readonly ledger: Ledger
  readonly clock: ManualClock
  readonly intake: Intake
}

export function createParts(
  batchBytesMax = 1 << 20,
  options: Partial<DecoderOptions> = {},
  delivery?: Delivery,
): Parts {
  const decoder = createReferenceDecoder({ ...OPTIONS, ...options })
  const clock = new ManualClock(NOW_MS)
  const [log, rejectLog] = [new MemoryLog(batchBytesMax), new MemoryLog()]
  const rejects = new Rejects(rejectLog, decoder.tokens, clock)
  const ledger = new Ledger()
  const requestIds = new RequestIds(new Uint8Array(8))
  const waits = delivery === undefined ? {} : { delivery }
  const intake = new Intake({ decoder, log, rejects, ledger, clock, requestIds, ...waits })
  return { decoder, log, rejectLog, rejects, ledger, clock, intake }
}

/** A request as http hands it over; objects are made into JSON. */
export function ingest(body: unknown, query = '', endpoint: Endpoint = 'track'): IngestRequest {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return {
    endpoint,
    content: Content.json,
    body: Buffer.from(text),
    query,
    peer: CONTEXT.peer,
    authToken: '',
    projectId: null,
  }
}

/** An event whose envelope is some `bytes` longer than that of an empty one. */
export const eventOf = (name: string, token = 't', bytes = 0): object => ({
  event: name,
  properties: { token, x: 'x'.repeat(bytes) },
})

/** Lets all promises settle that can. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
