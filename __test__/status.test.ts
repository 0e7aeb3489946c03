import { describe, expect, it } from 'vitest'
import { ManualClock } from '../src/clock.js'
import { fullnessWarning, Growth, readiness, statusOf } from '../src/status.js'
import { logStatus, statusParts } from './support/status-parts.js'

const HOUR_MS = 3_600_000

describe('GET /status', () => {
  it('has the members that stay fixed', () => {
    const status = statusOf(statusParts())
    expect(status).toMatchObject({ version: '1.2.3', decoder: 'native', uptime_s: 42, ship: null })
    expect(status['ledger']).toEqual({ received: 8, accepted: 5, rejected: 2, ignored: 1 })
    expect(status['log']).toMatchObject({
      state: 'writable',
      first_offset: 100,
      next_offset: 260,
      bytes: 64_000,
      bytes_max: 256_000,
      damage: { torn_bytes: 11, quarantined_batches: 12, quarantined_bytes: 13 },
    })
  })

  it('and what else an operator asks for', () => {
    const status = statusOf(statusParts())
    expect(status).toMatchObject({
      decoder_reason: 'The native decoder is here.',
      decoder_panics: 21,
      unavailable: 9,
      rejects: { kept: 31, dropped: 32, bytes: 32_000, state: 'full', reason: 'no space' },
      memory: { used_bytes: 1024, bytes_max: 4096, refusals: 34 },
      connections: { open: 42, max: 77, refused: 43 },
      waiting_requests: 33,
      other_writers: [{ writer: 'one', pid: null, first_offset: 3, end_offset: 8, unread: 5 }],
      ledger_by_kind: { track: { received: 7, accepted: 5, rejected: 2, ignored: 0 } },
    })
    const log = status['log'] as Record<string, unknown>
    expect(log).toMatchObject({
      used: 0.25,
      durable_offset: 250,
      writer_id: logStatus().writerId,
      failovers: 15,
    })
  })

  it('of a log that could not be opened yet, nothing is taken', () => {
    const parts = statusParts({ log: { status: () => logStatus({ state: 'full', bytes: 0, bytesMax: 0 }) } })
    expect(statusOf(parts)['log']).toMatchObject({ state: 'full', used: 0, hours_left: null })
    expect(readiness(parts, 'serving')).toMatchObject({ ready: true, accepting: false })
  })

  it('received = accepted + rejected + ignored (promise P4)', () => {
    const ledger = statusOf(statusParts())['ledger'] as Record<string, number>
    expect(ledger['received']).toBe(ledger['accepted']! + ledger['rejected']! + ledger['ignored']!)
  })
})

describe('hours left', () => {
  const log = (bytesWritten: number, bytes = bytesWritten) =>
    logStatus({ bytesWritten, bytes, bytesMax: 1000 })

  it('at the rate since the start', () => {
    const clock = new ManualClock(0)
    const growth = new Growth(clock)
    clock.advance(HOUR_MS)
    growth.note(log(100))
    expect(growth.hoursLeft(log(100))).toBe(9)
  })

  it('of a log that stands still: none can be told', () => {
    const clock = new ManualClock(0)
    const growth = new Growth(clock)
    clock.advance(HOUR_MS)
    expect(growth.hoursLeft(log(0))).toBeNull()
  })

  it('after a burst, by the last quarter of an hour alone', () => {
    const clock = new ManualClock(0)
    const growth = new Growth(clock)
    clock.advance(60_000)
    growth.note(log(500))
    for (let minute = 0; minute < 60; minute++) {
      clock.advance(60_000)
      growth.note(log(500))
    }
    expect(growth.hoursLeft(log(500))).toBeNull()
  })

  it('are bounded in memory, however often somebody asks', () => {
    const clock = new ManualClock(0)
    const growth = new Growth(clock)
    for (let i = 0; i < 100_000; i++) {
      clock.advance(100)
      growth.note(log(i))
    }
    expect((growth as unknown as { samples: unknown[] }).samples.length).toBeLessThan(200)
  })
})

describe('readiness', () => {
  const parts = (changes: Parameters<typeof logStatus>[0]) =>
    statusParts({ log: { status: () => logStatus(changes) } })

  it('a server that starts or drains wants no requests', () => {
    expect(readiness(parts({}), 'starting')).toEqual({ ready: false, accepting: false, reason: 'starting' })
    expect(readiness(parts({}), 'draining')).toEqual({ ready: false, accepting: true, reason: 'draining' })
    const failing = readiness(parts({ state: 'failed' }), 'draining')
    expect(failing).toEqual({ ready: false, accepting: false, reason: 'draining' })
    expect(readiness(parts({}), 'stopping')).toEqual({ ready: false, accepting: false, reason: 'stopping' })
  })

  it('a full log stays ready, because a balancer’s own 503 lacks CORS (rule R1)', () => {
    const full = readiness(parts({ state: 'full', reason: 'the log takes all it may' }), 'serving')
    expect(full).toEqual({ ready: true, accepting: false, reason: 'the log takes all it may' })
  })

  it('a failed log is not ready', () => {
    const failed = readiness(parts({ state: 'failed', reason: 'EIO' }), 'serving')
    expect(failed).toEqual({ ready: false, accepting: false, reason: 'EIO' })
    expect(readiness(parts({ state: 'closed' }), 'serving').reason).toBe('the log is closed')
  })

  it.each([
    [0.69, ''],
    [0.7, '70 %'],
    [0.93, '93 %'],
  ])('at %f of the limit it says %j', (used, said) => {
    const { reason, ready } = readiness(parts({ bytes: used * 1000, bytesMax: 1000 }), 'serving')
    expect(ready).toBe(true)
    expect(said === '' ? reason === '' : reason.includes(said)).toBe(true)
  })

  it('says how long it will last, and what happens then', () => {
    const clock = new ManualClock(0)
    const growth = new Growth(clock)
    clock.advance(HOUR_MS)
    const status = logStatus({ bytes: 900, bytesMax: 1000, bytesWritten: 200 })
    const refuse = 'the log takes 90 % of what it may take; 0.5 hours are left at the present rate'
    expect(fullnessWarning(status, growth, 'refuse')).toBe(`${refuse}, then events are answered 503`)
    expect(fullnessWarning(status, growth, 'drop-oldest')).toBe(
      `${refuse}, then the oldest events are dropped`,
    )
  })
})
