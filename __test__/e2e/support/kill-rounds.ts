/** kill -9 under load, and again, on one data directory: what every round must show. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { random } from '../../log/support/random.js'
import { addVerdicts, judge, Load, type Verdict } from './load.js'
import { startQuick, startServer } from './server.js'
import { tailEach } from './tail.js'

export interface Round extends Verdict {
  readonly decoder: string
  readonly killedAfterMs: number
  /** From the start of the next process until /ready is 200. */
  readonly readyMs: number
  readonly tornBytes: number
  readonly epochs: number
}

/** Small segments: kills also hit the roll from one to the next. */
const ARGS = ['--log-segment-bytes', '1MiB', '--batch-bytes-max', '10MiB', '--log-level', 'warn']

const EVENTS_MAX_FEW = 20
const EVENTS_MAX_MANY = 500

export async function killRounds(
  dataDir: string,
  rounds: number,
  seed: number,
  decoders: readonly string[],
): Promise<Round[]> {
  const numbers = random(seed)
  const done: Round[] = []
  const loads: Load[] = []
  const options = (decoder: string) => ({ dataDir, args: [...ARGS, '--decoder', decoder] })
  let server = await startServer(options(decoders[0]!))
  for (let round = 0; round < rounds; round++) {
    const decoder = decoders[round % decoders.length]!
    const load = new Load(server.ingest, {
      name: `r${round}`,
      connections: 8,
      random: numbers,
      pipelined: 1 + (round % 3),
      // Two rounds of four, one with each decoder, with frames that let their file grow, up to several megabytes.
      eventsMax: round % 4 < 2 ? EVENTS_MAX_FEW : EVENTS_MAX_MANY,
    })
    loads.push(load)
    load.start()
    const killedAfterMs = Math.round(100 + numbers() * 1200)
    await sleep(killedAfterMs)
    await server.kill()
    await load.broken()
    server = await startQuick(options(decoders[(round + 1) % decoders.length]!))
    const { log } = await server.status()
    const lines = await tailEach(dataDir, ({ offset, distinct_id, record }) => ({
      offset,
      distinct_id,
      record: { properties: { n: record.properties!['n'] } },
    }))
    expectWhole(lines.map(({ offset }) => offset))
    // Every round's events again: a later crash must not take what an earlier one left.
    const verdict = loads.map((one) => judge(one, lines)).reduce((sum, one) => addVerdicts(sum, one))
    const { startMs: readyMs } = server
    done.push({
      decoder,
      killedAfterMs,
      readyMs,
      tornBytes: log.damage.torn_bytes,
      epochs: round + 2,
      ...verdict,
    })
  }
  await server.stop()
  return done
}

/** Offsets count the records, without gaps. */
function expectWhole(offsets: readonly number[]): void {
  expect(offsets.findIndex((offset, at) => offset !== at)).toBe(-1)
}

/** The promises, of every round. */
export function expectKept(rounds: readonly Round[]): void {
  for (const [at, round] of rounds.entries()) {
    expect(round, `round ${at}`).toMatchObject({ lost: 0, doubled: 0, split: 0, disordered: 0 })
    expect(round.acknowledged, `round ${at} acknowledged`).toBeGreaterThan(0)
  }
}
