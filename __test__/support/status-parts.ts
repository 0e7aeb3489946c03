/** A server as /status and /metrics see it, with every number different. */
import { ManualClock } from '../../src/clock.js'
import { Ledger } from '../../src/ledger.js'
import type { LogStatus } from '../../src/log/types.js'
import { Growth, type StatusParts } from '../../src/status.js'

export function logStatus(changes: Partial<LogStatus> = {}): LogStatus {
  return {
    state: 'writable',
    reason: '',
    writerId: '0123456789abcdef0123456789abcdef',
    epoch: 3,
    firstOffset: 100,
    nextOffset: 260,
    durableOffset: 250,
    bytes: 64_000,
    bytesMax: 256_000,
    bytesWritten: 7000,
    segments: 2,
    damage: { tornBytes: 11, quarantinedBatches: 12, quarantinedBytes: 13 },
    batches: 14,
    records: 150,
    failovers: 15,
    dropped: 16,
    newIds: 17,
    reopened: 18,
    quarantineDropped: 19,
    ...changes,
  }
}

export function statusParts(changes: Partial<StatusParts> = {}): StatusParts {
  const clock = new ManualClock(50_000)
  const ledger = new Ledger()
  // Token 5: 7 tracked, 2 of them refused; token 6: 1 import ignored.
  ledger.enter({ kind: 0, received: 7, runs: [5, 0, 5, 5, 1, 2] })
  ledger.enter({ kind: 3, received: 1, runs: [6, 2, 1] })
  ledger.unavailable = 9
  return {
    version: '1.2.3',
    config: { memoryInflightBytes: 4096, connectionsMax: 77, logWhenFull: 'refuse' },
    clock,
    startedMs: 8000,
    decoder: {
      decoder: { name: 'native', panics: 21 } as StatusParts['decoder']['decoder'],
      reason: 'The native decoder is here.',
    },
    ledger,
    log: { status: () => logStatus() },
    rejectsLog: { status: () => logStatus({ bytes: 32_000, state: 'full', reason: 'no space' }) },
    rejects: { kept: 31, dropped: 32 },
    intake: { waiting: 33 },
    budget: { usedBytes: 1024, bytesMax: 4096, refusals: 34 },
    counts: {
      *requests() {
        yield { endpoint: 'track', status: 200, count: 40 }
        yield { endpoint: 'track', status: 503, count: 41 }
      },
      durations: () => ({ bucketsMs: [1, 10], counts: [5, 3, 2], sumMs: 1500 }),
      connections: 42,
      refusedConnections: 43,
      droppedConnections: 44,
    },
    shipping: undefined,
    growth: new Growth(clock),
    others: { found: [{ writer: 'one', pid: null, first_offset: 3, end_offset: 8, unread: 5 }] },
    ...changes,
  }
}
