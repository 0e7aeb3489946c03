/** A gate in this process, on free ports of the loopback, with a clock that stands still. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '../../src/clock.js'
import { type Config, configWith } from '../../src/config.js'
import { startGate } from '../../src/gate.js'
import { readLog } from '../../src/log/reader.js'
import { createLogger } from '../../src/logger.js'
import { KINDS, type Kind } from '../../src/record.js'

/** Receipt time of the golden vectors. */
export const NOW_MS = 1_795_500_000_000

/** A record as it stands in a log, with views turned into text. */
export interface StoredRecord {
  readonly offset: number
  readonly kind: Kind
  readonly flags: number
  readonly token: string
  readonly key: string
  readonly value: string
}

export interface TestGate {
  /** `http://127.0.0.1:…` */
  readonly ingest: string
  readonly ops: string
  readonly dataDir: string
  readonly clock: ManualClock
  /** Lines that the gate has logged at `warn` and above. */
  readonly lines: readonly string[]
  stop(): Promise<void>
  /** All that is durable in the log, or the log of rejects. */
  read(name: 'log' | 'rejects'): Promise<StoredRecord[]>
  /** Stops it if it runs, and removes its directory. */
  remove(): Promise<void>
}

export async function startTestGate(values: Partial<Config> = {}): Promise<TestGate> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluicegate-test-'))
  const config = configWith({ port: 0, opsPort: 0, drainMs: 0, dataDir, ...values })
  const clock = new ManualClock(NOW_MS)
  const lines: string[] = []
  const sink = { write: (line: string) => void lines.push(line) }
  const logger = createLogger({ logLevel: 'warn', logFormat: 'json' }, sink, clock)
  const gate = await startGate(config, { logger, clock })
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => (stopping ??= gate.stop())
  return {
    ingest: gate.ingestAddress,
    ops: gate.opsAddress,
    dataDir,
    clock,
    lines,
    stop,
    read: (name) => readAll(join(dataDir, config.writer, name)),
    remove: async () => {
      await stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

async function readAll(directory: string): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for await (const { offset, kind, flags, tokenLength, key, value } of readLog({
    directory,
    from: 'start',
  })) {
    const keyBytes = Buffer.from(key)
    records.push({
      offset,
      kind: KINDS[kind]!,
      flags,
      token: keyBytes.toString('utf8', 0, tokenLength),
      key: keyBytes.toString(),
      value: Buffer.from(value).toString(),
    })
  }
  return records
}
