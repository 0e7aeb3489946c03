/** What the routes stand on, wherever they are mounted: what they share, and the clockwork that times bodies and readers. */
import type { Budget } from '../budget.js'
import type { Clock } from '../clock.js'
import type { Config } from '../config.js'
import type { Detach } from '../detach.js'
import type { Intake } from '../intake.js'
import type { Logger } from '../logger.js'
import { ImportAuth } from './auth.js'
import { RequestCounts } from './counts.js'
import { IngestRoutes } from './ingest.js'
import { Inflater } from './inflate.js'
import { type Paths, pathsOf } from './paths.js'
import { Peers } from './peer.js'
import { ReceivingList } from './receiving.js'
import { Replies } from './replies.js'
import type { Send } from './send.js'
import { SlowReaders } from './slow-readers.js'

export interface IngestParts {
  readonly config: Config
  readonly intake: Pick<Intake, 'submit' | 'refuse'>
  readonly budget: Budget
  readonly logger: Logger
  readonly clock: Clock
  /** How long `close` waits for requests in flight; CLOSE_MS_MAX unless given. */
  readonly closeMsMax?: number
}

/** What an app of our own allows, and somebody else's, with hooks that see requests and replies, does not. */
export interface Surroundings {
  readonly send: Send
  /** Takes memory away from bodies. */
  readonly detach: Detach
}

/** How often time-outs are looked after. */
export const SWEEP_MS_MAX = 500

export class IngestCore {
  readonly counts = new RequestCounts()
  readonly replies: Replies
  readonly paths: Paths
  readonly routes: IngestRoutes
  private readonly slowReaders: SlowReaders
  private readonly receiving = new ReceivingList()
  private sweeper: NodeJS.Timeout | undefined = undefined

  constructor(
    private readonly parts: IngestParts,
    { send, detach }: Surroundings,
  ) {
    const { config, budget, clock, intake, logger } = parts
    this.slowReaders = new SlowReaders(budget, clock, config.bodyTimeoutMs)
    this.replies = new Replies(this.counts, this.slowReaders, send)
    this.paths = pathsOf(config)
    const services = {
      intake,
      budget,
      logger,
      clock,
      counts: this.counts,
      auth: new ImportAuth(config),
      peers: new Peers(config.trustedProxies),
      inflater: new Inflater(),
      replies: this.replies,
      dialect: { redirectHosts: config.redirectHosts, durable: config.ack },
      bodyLimitBytes: config.bodyLimitBytes,
      detach,
      receiving: this.receiving,
    }
    this.routes = new IngestRoutes(services, this.paths)
  }

  startSweeping(): void {
    const sweepMs = Math.min(SWEEP_MS_MAX, this.parts.config.bodyTimeoutMs / 2)
    this.sweeper = setInterval(() => this.sweep(), sweepMs).unref()
  }

  stopSweeping(): void {
    clearInterval(this.sweeper)
  }

  /** Answers 503 where a body is still coming in: a browser whose upload is cut off unanswered deletes its events (P2). */
  refuseReceiving(): void {
    for (const request of this.receiving) request.broken(503)
  }

  private sweep(): void {
    const { clock, config } = this.parts
    const oldest = clock.monoMs() - config.bodyTimeoutMs
    for (const request of this.receiving) {
      if (request.startedMs > oldest) break
      request.broken(408)
    }
    this.slowReaders.sweep()
  }
}
