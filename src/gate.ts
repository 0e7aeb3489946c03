/**
 * The composition root: builds the parts in order, starts them, and stops them in reverse. The order matters: the lock
 * before anything is read, the log before anyone is let in, the public listener last.
 */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Budget } from './budget.js'
import { type Clock, systemClock } from './clock.js'
import type { Config } from './config.js'
import { SluicegateError } from './errors.js'
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
import { systemRandom } from './random.js'
import { Rejects } from './rejects.js'
import { Replayed } from './rejects/replayed.js'
import { Replayer, type ReplayRequest, type ReplayResult } from './replay.js'
import { RequestIds } from './request-id.js'
import { Shipping } from './ship/shipping.js'
import { fullnessWarning, Growth, type Phase, readiness, type StatusParts, statusOf } from './status.js'
import { Storage } from './storage.js'
import { OtherWriters } from './storage/other-writers.js'
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
  /** The disk does not answer: a thread of this process may be held by it, and the process not end by itself. */
  isStalled(): boolean
  /**
   * Serves on for drain_ms, answers what is in flight, closes the log; bounded in time.
   * Rejects with `disk_silent` when the disk does not answer.
   */
  stop(): Promise<void>
}

const WATCH_EVERY_MS = 10_000

/** Starts everything. What was started is stopped again when a later part fails. */
export async function startGate(config: Config, parts: GateParts): Promise<Gate> {
  const started: (() => Promise<void>)[] = []
  const stop = async (): Promise<void> => {
    const failures: unknown[] = []
    // One that fails must not leave the others running.
    for (const stopPart of started.splice(0).toReversed()) {
      await stopPart().catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  }
  try {
    return { ...(await start(config, parts, started)), stop }
  } catch (error) {
    await stop().catch(() => undefined)
    throw error
  }
}

async function start(
  config: Config,
  { logger, clock = systemClock, disk = nodeDisk, ingest: entrance = createIngest, ops: withOps }: GateParts,
  started: (() => Promise<void>)[],
): Promise<Omit<Gate, 'stop'>> {
  sayIfForTrials(logger)
  const storage = new Storage(config, { logger, clock, disk })
  const parts = build(config, storage, { logger, clock, entrance })
  const { ingest, shipping } = parts
  const replays = new Replays(config, storage, parts, disk)
  storage.onOpened = () => replays.open()
  started.push(() => storage.close())
  await storage.start()
  if (shipping !== undefined) {
    started.push(() => shipping.stop())
    await shipping.start()
  }
  const others = new OtherWriters(resolve(config.dataDir), config.writer)
  started.push(() => Promise.resolve(others.stop()))
  const status: StatusParts = { ...parts.status, others }
  let phase: Phase = 'starting'
  const ops = createOps({
    config,
    version: packageVersion(),
    logger,
    ready: () => readiness(status, phase),
    status: () => statusOf(status),
    metrics: createMetrics(status),
    replay: (request) => replays.replay(request),
    budget: parts.budget,
  })

  // Stopped last: health and metrics can be asked until the log is closed.
  started.unshift(() => ops.close())
  const opsAddress = withOps === false ? '' : await ops.listen()
  if (opsAddress !== '') storage.announce(opsAddress)
  const ingestAddress = await ingest.listen()
  started.push(async () => {
    phase = 'stopping'
    storage.hurry()
    await ingest.close()
  })
  phase = 'serving'
  const watch = setInterval(() => warnWhenFilling(status, logger), WATCH_EVERY_MS).unref()
  started.push(async () => {
    phase = 'draining'
    clearInterval(watch)
    ingest.drain()
    await sleep(config.drainMs)
  })
  return { ingestAddress, opsAddress, isStalled: () => storage.isStalled }
}

interface Parts {
  readonly budget: Budget
  readonly intake: Intake
  readonly ingest: IngestListener
  readonly status: Omit<StatusParts, 'others'>
  /** undefined without `--kafka`. */
  readonly shipping: Shipping | undefined
}

interface Outer {
  readonly logger: Logger
  readonly clock: Clock
  readonly entrance: (parts: IngestParts) => IngestListener
}

/** Everything between the listeners and the storage; nothing here waits. */
function build(config: Config, storage: Storage, { logger, clock, entrance }: Outer): Parts {
  const { log, rejectsLog } = storage
  const selection = selectDecoder(config.decoder, decoderOptions(config))
  const { decoder } = selection
  if (decoder.name === 'reference') logger.warn(`${selection.reason} Results are the same, at a higher cost.`)
  const budget = new Budget(config.memoryInflightBytes)
  // The log's two batches; config/check.ts makes sure that they fit.
  budget.take(2 * config.batchBytesMax)
  const ledger = new Ledger()
  const rejects = new Rejects(rejectsLog, decoder.tokens, clock, config.storeIp)
  const requestIds = new RequestIds(randomBytes(8))
  const shipping =
    config.kafka.length === 0 ? undefined : shippingOf(config, storage, rejects, { logger, clock })
  const waits = config.ack === 'kafka' && shipping !== undefined
  const delivery = waits ? { delivery: shipping.acknowledgements } : {}
  const intake = new Intake({ decoder, log, rejects, ledger, clock, requestIds, ...delivery })
  const ingest = entrance({ config, intake, budget, logger, clock })
  const status = {
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
    shipping,
    growth: new Growth(clock),
  }
  return { budget, intake, ingest, status, shipping }
}

function shippingOf(
  config: Config,
  { log, directory }: Storage,
  rejects: Rejects,
  { logger, clock }: Pick<Outer, 'logger' | 'clock'>,
): Shipping {
  const keepRejected = (record: Uint8Array): Promise<void> => rejects.keepSurely(record)
  return new Shipping(config, { log, directory, logger, clock, random: systemRandom, keepRejected })
}

/** Replays of rejected records; what has been replayed is learned anew whenever the data directory is opened. */
class Replays {
  private replayer: Replayer | undefined

  constructor(
    private readonly config: Config,
    private readonly storage: Storage,
    private readonly parts: Parts,
    private readonly disk: Disk,
  ) {}

  async open(): Promise<void> {
    const { directory, rejectsLog } = this.storage
    const { intake, status } = this.parts
    const replayed = await Replayed.open(this.disk, directory, () => rejectsLog.status())
    this.replayer = new Replayer({
      intake,
      replayed,
      nextRejectOffset: () => rejectsLog.nextOffset,
      nowMs: () => status.clock.nowMs(),
      bodyLimitBytes: this.config.bodyLimitBytes,
    })
  }

  async replay(request: ReplayRequest): Promise<readonly ReplayResult[]> {
    const { state, reason } = this.storage.log.status()
    if (this.replayer === undefined) throw new SluicegateError(`log_${state}`, reason)
    return this.replayer.replay(request)
  }
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
