/**
 * Shipping as the main thread sees it: a thread that follows the log, started again when it ends, woken when there is
 * more, asked how it is. Nothing here keeps events from being taken in.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../clock.js'
import type { Config } from '../config.js'
import { topicOf, type TopicOverride } from '../config/topics.js'
import { SluicegateError } from '../errors.js'
import type { ReopenableLog } from '../log/reopenable.js'
import type { Logger } from '../logger.js'
import { ENDPOINTS } from '../record.js'
import { Acknowledgements } from './acknowledgements.js'
import { Backoff } from './backoff.js'
import { type FromShipper, SharedOffset, type ShipWorkerData, type ToShipper } from './messages.js'
import { refusedRecord } from './refused.js'
import type { RouteTable } from './route.js'
import type { RefusedRecord } from './parts.js'
import type { SinkCause } from './sink.js'
import { type ShipPhase, type ShipStatus, TOPIC_TOO_SMALL } from './status.js'

/** A thread of ours, or what stands for it in a test. */
export interface ShipThread {
  send(message: ToShipper): void
  on(event: 'message', listener: (message: FromShipper) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'exit', listener: (code: number) => void): unknown
  terminate(): Promise<unknown>
}

export interface ShippingParts {
  readonly log: ReopenableLog
  /** Puts a finished record into the log of rejects; resolves when it is on stable storage. */
  readonly keepRejected: (record: Uint8Array) => Promise<void>
  /** `DIR/<writer>`. */
  readonly directory: string
  readonly logger: Logger
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly spawn?: (data: ShipWorkerData) => ShipThread
}

/** What /status and the metrics show. */
export interface ShippingStatus extends Omit<ShipStatus, 'state'> {
  readonly state: ShipPhase | 'restarting' | 'stopped'
  /** Times that the thread ended by itself. */
  readonly restarts: number
  /** Requests that wait for Kafka, and those that were answered 503 because it took too long. */
  readonly waiting: number
  readonly late: number
}

const RESTART_MS_MIN = 500
const RESTART_MS_MAX = 30_000
/** A thread that has lived so long had a good start. */
const WELL_MS = 60_000
/** Beyond what the shipper itself allows for its last acknowledgements. */
const STOP_MS_MAX = 8000
/** How long the first look at the topics may take before a start with `--ack kafka` goes on without it. */
const FIRST_LOOK_MS = 5000
/** Of the thread's heap; the young part of it grows with what comes and goes, which is much and short-lived. */
const HEAP = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 16 }

export class Shipping {
  readonly acknowledgements: Acknowledgements
  private readonly shared = new SharedOffset()
  private readonly backoff: Backoff
  private thread: ShipThread | undefined
  private latest: ShipStatus | undefined
  private failure: SinkCause | undefined
  private restarts = 0
  private restartTimer: NodeJS.Timeout | undefined
  private started = false
  private stopping = false
  private ended: () => void = () => {}
  private looked: () => void = () => {}

  constructor(
    private readonly config: Config,
    private readonly parts: ShippingParts,
  ) {
    this.acknowledgements = new Acknowledgements(config.ackDeadlineMs)
    this.backoff = new Backoff({ msMin: RESTART_MS_MIN, msMax: RESTART_MS_MAX, random: parts.random })
    const { log } = parts
    log.onDurable = (offset) => {
      if (this.shared.publish(offset)) this.thread?.send(WAKE)
    }
    log.onChange = () => this.logChanged()
  }

  /**
   * Starts the thread. With `--ack kafka` it waits some seconds for the first look at the topics.
   *
   * @throws SluicegateError `topic_too_small` with `--ack kafka`: an event could never be acknowledged
   */
  async start(): Promise<void> {
    this.started = true
    this.logChanged()
    if (this.config.ack !== 'kafka' || this.thread === undefined) return
    await Promise.race([new Promise<void>((resolve) => (this.looked = resolve)), sleep(FIRST_LOOK_MS)])
    const small = this.latest?.topics.find(({ cause }) => cause?.code === TOPIC_TOO_SMALL)
    if (small !== undefined) throw new SluicegateError(TOPIC_TOO_SMALL, small.cause!.message)
  }

  status(): ShippingStatus {
    const { latest = UNKNOWN, failure, restarts, acknowledgements, parts } = this
    const lagRecords = latest.pending + Math.max(0, parts.log.durableOffset - latest.head)
    const { size: waiting, late } = acknowledgements
    const shown = { ...latest, lagRecords, restarts, waiting, late }
    return failure === undefined ? shown : { ...shown, state: 'restarting', cause: failure }
  }

  /** Lets what is out be acknowledged, for some seconds, and ends the thread. */
  async stop(): Promise<void> {
    this.stopping = true
    clearTimeout(this.restartTimer)
    Object.assign(this.parts.log, { onDurable: () => {}, onChange: () => {} })
    const { thread } = this
    if (thread !== undefined) {
      const ended = new Promise<'ended'>((resolve) => (this.ended = () => resolve('ended')))
      thread.send(STOP)
      const how = await Promise.race([ended, sleep(STOP_MS_MAX, 'late', { ref: false })])
      if (how === 'late') await thread.terminate()
    }
    this.acknowledgements.close()
  }

  /** What is published must be ours, and another log has another identity: the thread begins anew with it. */
  private logChanged(): void {
    if (!this.started || this.stopping) return
    const { thread } = this
    clearTimeout(this.restartTimer)
    this.shared.publish(this.parts.log.durableOffset)
    if (thread !== undefined) {
      this.failure = { code: 'log_changed', message: 'the log was lost, or is another one now' }
      void thread.terminate()
    } else if (this.parts.log.knownOffset !== undefined) this.run()
  }

  private run(): void {
    const { spawn = spawnWorker, clock } = this.parts
    const startedMs = clock.monoMs()
    const thread = spawn(this.workerData())
    this.thread = thread
    thread.on('message', (message) => this.heard(thread, message))
    thread.on('error', (error) => (this.failure = causeOf(error)))
    thread.on('exit', () => {
      if (clock.monoMs() - startedMs >= WELL_MS) this.backoff.reset()
      this.gone()
    })
  }

  /** Ended by itself, whatever the reason: ingest goes on, and so does shipping after a while. */
  private gone(): void {
    this.thread = undefined
    this.ended()
    if (this.stopping) return
    if (this.parts.log.knownOffset === undefined) {
      this.failure = { code: 'log_unavailable', message: 'there is no log to publish from' }
      return
    }
    this.restarts++
    this.failure ??= { code: 'shipper_ended', message: 'the shipper ended without a reason' }
    const waitMs = this.backoff.next()
    this.looked()
    const { message } = this.failure
    this.parts.logger.error({ restart_ms: waitMs }, `shipping has ended and starts again: ${message}`)
    this.restartTimer = setTimeout(() => this.run(), waitMs)
  }

  private heard(thread: ShipThread, message: FromShipper): void {
    if (message.type === 'acknowledged') this.acknowledgements.note(message.offsets)
    else if (message.type === 'say') this.parts.logger[message.level](message.fields ?? {}, message.message)
    else if (message.type === 'refuse') void this.keep(thread, message.id, message.record)
    else {
      this.latest = message.status
      this.failure = undefined
      if (message.status.state !== 'starting') this.looked()
    }
  }

  private async keep(thread: ShipThread, id: number, record: RefusedRecord): Promise<void> {
    const { keepRejected, log } = this.parts
    let reply: ToShipper = { type: 'kept', id, error: undefined }
    try {
      await keepRejected(refusedRecord(record, log.status().writerId))
    } catch (error) {
      reply = { ...reply, error: (error as Error).message }
    }
    thread.send(reply)
  }

  private workerData(): ShipWorkerData {
    const { config, parts, shared } = this
    const { writerId, epoch, firstOffset } = parts.log.status()
    const { kafka, kafkaClientId, kafkaConnectTimeoutMs, kafkaRequestTimeoutMs, kafkaAccess } = config
    const { kafkaExactlyOnce, kafkaCompression, kafkaFrom, kafkaLingerMs, kafkaBatchBytes } = config
    const connection = { kafka, kafkaClientId, kafkaConnectTimeoutMs, kafkaRequestTimeoutMs, kafkaAccess }
    return {
      settings: {
        ...connection,
        kafkaExactlyOnce,
        kafkaCompression,
        kafkaFrom,
        kafkaLingerMs,
        kafkaBatchBytes,
      },
      routes: routesOf(config),
      directory: parts.directory,
      writerId,
      epoch,
      firstOffset,
      tellsAcknowledged: config.ack === 'kafka',
      shared: shared.buffer,
    }
  }
}

const WAKE: ToShipper = { type: 'wake' }
const STOP: ToShipper = { type: 'stop' }

const UNKNOWN: ShipStatus = {
  state: 'starting',
  cause: undefined,
  exactlyOnce: true,
  cursor: 0,
  head: 0,
  pending: 0,
  lagRecords: 0,
  lagMs: 0,
  records: 0,
  batches: 0,
  failed: 0,
  refused: 0,
  possibleDuplicates: 0,
  memoryBytes: 0,
  topics: [],
}

function spawnWorker(workerData: ShipWorkerData): ShipThread {
  const options = { workerData, resourceLimits: HEAP, name: 'shipper' }
  const worker = new Worker(new URL('worker.js', import.meta.url), options)
  return Object.assign(worker, { send: (message: ToShipper) => worker.postMessage(message, []) })
}

function causeOf(error: Error & { readonly code?: string }): SinkCause {
  return { code: error.code ?? 'shipper_failed', message: error.message }
}

/** Where records go, from prefix and topics file. */
function routesOf({ topicPrefix: prefix, topics = [] }: Config): RouteTable {
  return { prefix, tokens: Object.fromEntries(topics.map((one) => [one.token, topicsOfToken(one, prefix)])) }
}

function topicsOfToken(override: TopicOverride, topicPrefix: string): RouteTable['tokens'][string] {
  return Object.fromEntries(ENDPOINTS.map((kind) => [kind, topicOf(kind, topicPrefix, override)]))
}
