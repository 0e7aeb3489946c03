/** Records that Kafka will never take, as the log of rejects keeps them (docs/PROTOCOL.md 9.4). */
import { join } from 'node:path'
import { asBuffer } from '../as-buffer.js'
import { readLog } from '../log/reader.js'
import { recordOfRejected } from '../record.js'
import type { RefusedRecord } from './parts.js'

/** Beside the codes of docs/ERRORS.md, which are those of the decoders. */
export const KAFKA_REFUSED = 'kafka_refused'

/** Stands last in an envelope; within a text its quotes would have a backslash before them. */
const RECORD_MEMBER = ',"record":'

interface EnvelopeHead {
  readonly kind: string
  readonly token: string | null
  readonly project_id?: string | null
  readonly received_ms: number
  readonly request_id: string
  readonly index: number
  readonly ip: string | null
  readonly ua: string | null
}

/** A finished record (src/record.ts) for the log of rejects. Its text is whole: nobody else has the event any more. */
export function refusedRecord({ offset, topic, value, refusal }: RefusedRecord, writerId: string): Buffer {
  const envelope = asBuffer(value).toString()
  const at = envelope.indexOf(RECORD_MEMBER)
  const head = JSON.parse(`${envelope.slice(0, at)}}`) as EnvelopeHead
  const { kind, token, received_ms, request_id, index, ip, ua } = head
  const { code, message } = refusal
  const text = JSON.stringify({
    v: 1,
    kind: 'rejected',
    endpoint: kind,
    token,
    ...(kind === 'import' && { project_id: head.project_id ?? null }),
    received_ms,
    request_id,
    index,
    ip,
    ua,
    topic,
    log_position: positionOf(writerId, offset),
    problem: {
      code: KAFKA_REFUSED,
      field: 'record',
      pointer: '',
      offset: -1,
      message: `${code}: ${message}`,
    },
    raw: envelope.slice(at + RECORD_MEMBER.length, -1),
  })
  return recordOfRejected(token, text)
}

const positionOf = (writerId: string, offset: number): string => `${writerId}.${offset}`

/** Whether the record was put there before we ended last. Reads the log of rejects. */
export async function isInRejects(
  writerDirectory: string,
  writerId: string,
  offset: number,
): Promise<boolean> {
  const mark = `"log_position":"${positionOf(writerId, offset)}"`
  const directory = join(writerDirectory, 'rejects')
  for await (const { value } of readLog({ directory, from: 'start' })) {
    if (asBuffer(value).includes(mark)) return true
  }
  return false
}
