/** A data directory as a server leaves it, made by the parts that the server is made of. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '../../../src/clock.js'
import { configWith } from '../../../src/config.js'
import { createReferenceDecoder } from '../../../src/decode/reference/decoder.js'
import { decoderOptions } from '../../../src/decoder-options.js'
import { type IngestRequest, Intake } from '../../../src/intake.js'
import { Ledger } from '../../../src/ledger.js'
import { nodeDisk } from '../../../src/log/node-disk.js'
import { openLog } from '../../../src/log/open.js'
import { Rejects } from '../../../src/rejects.js'
import { RequestIds } from '../../../src/request-id.js'

export const NOW_MS = 1_795_500_000_000

export const event = (name: string, token = 't0k'): string =>
  `{"event":"${name}","properties":{"token":"${token}","distinct_id":"d"}}`

export function request(body: string, more: Partial<IngestRequest> = {}): IngestRequest {
  const peer = { ipJson: '"192.0.2.7"', uaJson: '"a phone"' }
  const rest = { endpoint: 'track', content: 0, query: '', authToken: '', projectId: null } as const
  return { ...rest, body: Buffer.from(body), peer, ...more }
}

/** Writes requests into a new directory and closes it; its path. */
export async function dataDirectory(
  requests: readonly IngestRequest[],
  options: { writer?: string; into?: string; segmentBytes?: number } = {},
): Promise<string> {
  const path = options.into ?? mkdtempSync(join(tmpdir(), 'sluicegate-commands-'))
  const { log, rejectsLog, intake } = await openIntake(
    join(path, options.writer ?? '0'),
    options.segmentBytes,
  )
  for (const one of requests) await intake.take(one)
  await Promise.all([log.close(), rejectsLog.close()])
  return path
}

export async function openIntake(writerDirectory: string, segmentBytes = 2 ** 20) {
  const clock = new ManualClock(NOW_MS)
  const common = { writerDirectory, disk: nodeDisk, clock, say: () => {}, segmentBytes }
  const limits = { batchBytesMax: 2 ** 20, bytesMax: 2 ** 28, whenFull: 'refuse', retentionMs: 0 } as const
  const options = { ...common, ...limits, syncIntervalMs: 0, cursors: async () => [] }
  const log = await openLog({ ...options, name: 'log' })
  const rejectsLog = await openLog({ ...options, name: 'rejects' })
  const decoder = createReferenceDecoder(
    decoderOptions(configWith({ batchBytesMax: 2 ** 20, bodyLimitBytes: 2 ** 19 })),
  )
  const rejects = new Rejects(rejectsLog, decoder.tokens, clock)
  const requestIds = new RequestIds(Buffer.from(writerDirectory).subarray(-8))
  const intake = new Intake({ decoder, log, rejects, ledger: new Ledger(), clock, requestIds })
  return { log, rejectsLog, intake }
}

export function remove(path: string): void {
  rmSync(path, { recursive: true, force: true })
}
