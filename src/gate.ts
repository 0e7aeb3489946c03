/**
 * The composition root: builds the parts in order, starts them, and stops them in reverse. The order matters: the lock
 * before anything is read, the log before anyone is let in, the public listener last.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Budget } from './budget.js'
import { type Clock, systemClock } from './clock.js'
import type { Config } from './config.js'
import { selectDecoder } from './decode/select.js'
import { decoderOptions } from './decoder-options.js'
import { createIngest, type IngestListener, type IngestParts } from './http/app.js'
import { createOps } from './http/ops.js'
import { Intake } from './intake.js'
import { Ledger } from './ledger.js'
import { nodeDisk } from './log/node-disk.js'
import type { Disk } from './log/types.js'
import type { Logger } from './logger.js'
import { createMetrics } from './metrics.js'
import { Rejects } from './rejects.js'
import { Replayed } from './rejects/replayed.js'
import { Replayer, type ReplayRequest, type ReplayResult } from './replay.js'
import { RequestIds } from './request-id.js'
import { fullnessWarning, Growth, type Phase, readiness, type StatusParts, statusOf } from './status.js'
import { Storage } from './storage.js'
import { trialNotice } from './platform.js'
import { packageVersion } from './version.js'

export interface GateParts {
  readonly logger: Logger
  readonly clock?: Clock
  readonly disk?: Disk
  /** What takes events in; a listener of its own unless given (src/fastify.ts mounts routes in another's app). */
  readonly ingest?: (parts: IngestParts) => IngestListener
  /** false: there is no ops listener. */
  readonly ops?: boolean
}

export interface Gate {
  /** `http://127.0.0.1:8080`: the public listener. '' for what is no listener of ours. */
  readonly ingestAddress: string
  readonly opsAddress: string
  /** Serves on for drain_ms, answers what is in flight, closes the log. */
  stop(): Promise<void>
}

const WATCH_EVERY_MS = 10_000

/** Starts everything. What was started is stopped again when a later part fails. */
export async function startGate(config: Config, parts: GateParts): Promise<Gate> {
  const started: (() => Promise<void>)[] = []
  const stop = async (): Promise<void> => {
    for (const stopPart of started.splice(0).toReversed()) await stopPart()
  }
  try {
    return { ...(await start(config, parts, started)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(
  config: Config,
  { logger, clock = systemClock, disk = nodeDisk, ingest: entrance = createIngest, ops: withOps }: GateParts,
  started: (() => Promise<void>)[],
): Promise<Omit<Gate, 'stop'>> {
  sayIfForTrials(logger)
  const storage = await Storage.open(config, { logger, clock, disk })
  started.push(() => storage.close())
  const parts = build(config, storage, { logger, clock, entrance })
  const { status, ingest } = parts
  const replay = await replays(config, storage, parts, disk)
  let phase: Phase = 'starting'
  const ops = createOps({
    config,
    version: packageVersion(),
    logger,
    ready: () => readiness(status, phase),
    status: () => statusOf(status),
    metrics: createMetrics(status),
    replay,
    budget: parts.budget,
  })

  const opsAddress = withOps === false ? '' : await ops.listen()
  started.push(() => ops.close())
  if (opsAddress !== '') storage.announce(opsAddress)
  const ingestAddress = await ingest.listen()
  started.push(() => ingest.close())
  phase = 'serving'
  const watch = setInterval(() => warnWhenFilling(status, logger), WATCH_EVERY_MS).unref()
  started.push(async () => {
    phase = 'draining'
    clearInterval(watch)
    ingest.drain()
    await sleep(config.drainMs)
  })
  return { ingestAddress, opsAddress }
}

interface Parts {
  readonly budget: Budget
  readonly intake: Intake
  readonly ingest: IngestListener
  readonly status: StatusParts
}

interface Outer {
  readonly logger: Logger
  readonly clock: Clock
  readonly entrance: (parts: IngestParts) => IngestListener
}

/** Everything between the listeners and the storage; nothing here waits. */
function build(config: Config, { log, rejectsLog }: Storage, { logger, clock, entrance }: Outer): Parts {
  const selection = selectDecoder(config.decoder, decoderOptions(config))
  const { decoder } = selection
  if (decoder.name === 'reference') logger.warn(`${selection.reason} Results are the same, at a higher cost.`)
  const budget = new Budget(config.memoryInflightBytes)
  // The log's two batches; config/check.ts makes sure that they fit.
  budget.take(2 * config.batchBytesMax)
  const ledger = new Ledger()
  const rejects = new Rejects(rejectsLog, decoder.tokens, clock, config.storeIp)
  const requestIds = new RequestIds(randomBytes(8))
  const intake = new Intake({ decoder, log, rejects, ledger, clock, requestIds })
  const ingest = entrance({ config, intake, budget, logger, clock })
  const status: StatusParts = {
    version: packageVersion(),
    config,
    clock,
    startedMs: clock.monoMs(),
    decoder: selection,
    ledger,
    log,
    rejectsLog,
    rejects,
    intake,
    budget,
    counts: ingest.counts,
    growth: new Growth(clock),
  }
  return { budget, intake, ingest, status }
}

async function replays(
  config: Config,
  { directory, rejectsLog }: Storage,
  { intake, status }: Parts,
  disk: Disk,
): Promise<(request: ReplayRequest) => Promise<readonly ReplayResult[]>> {
  const replayed = await Replayed.open(disk, directory, () => rejectsLog.status())
  const replayer = new Replayer({
    intake,
    replayed,
    nextRejectOffset: () => rejectsLog.nextOffset,
    nowMs: () => status.clock.nowMs(),
    bodyLimitBytes: config.bodyLimitBytes,
  })
  return (request) => replayer.replay(request)
}

function sayIfForTrials(logger: Logger): void {
  const notice = trialNotice(process.platform)
  if (notice !== undefined) logger.warn(notice)
}

/** At 70 % and 90 %, with the hours left: while there still is time to do something. */
function warnWhenFilling({ log, growth, config }: StatusParts, logger: Logger): void {
  const now = log.status()
  growth.note(now)
  const warning = fullnessWarning(now, growth, config.logWhenFull)
  if (warning !== '') logger.warn(warning)
}
