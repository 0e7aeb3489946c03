/** What routes in somebody else's app stand on: the real intake over a log in memory. */
import { Budget } from '../../src/budget.js'
import { type Clock, ManualClock } from '../../src/clock.js'
import { type Config, configWith } from '../../src/config.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import type { IngestParts } from '../../src/fastify.js'
import { Intake } from '../../src/intake.js'
import { Ledger } from '../../src/ledger.js'
import { Rejects } from '../../src/rejects.js'
import { RequestIds } from '../../src/request-id.js'
import { NOW_MS, OPTIONS } from '../decode/harness.js'
import { LineLogger, MemoryLog } from '../http/support.js'

export function memoryParts(
  values: Partial<Config> = {},
  clock: Clock = new ManualClock(NOW_MS),
  log = new MemoryLog(),
): { parts: IngestParts; log: MemoryLog; lines: LineLogger['lines'] } {
  const config = configWith(values)
  const decoder = createReferenceDecoder(OPTIONS)
  const { logger, lines } = new LineLogger()
  const rejects = new Rejects(new MemoryLog(), decoder.tokens, clock)
  const requestIds = new RequestIds(new Uint8Array(8))
  const intake = new Intake({ decoder, log, rejects, ledger: new Ledger(), clock, requestIds })
  const budget = new Budget(config.memoryInflightBytes)
  return { parts: { config, intake, budget, logger, clock }, log, lines }
}
