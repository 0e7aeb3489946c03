/**
 * The data directory of a running server: opened, looked after, and opened again should it have been removed, replaced or
 * full; until then its logs refuse. Whoever holds `log` and `rejectsLog` need not know.
 */
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from './clock.js'
import type { Config } from './config.js'
import { LogUnavailable, SluicegateError } from './errors.js'
import { Availability } from './log/availability.js'
import { isNoSpace, unlessMissing } from './log/disk-errors.js'
import { PRESENCE_MS } from './log/presence.js'
import { ReopenableLog } from './log/reopenable.js'
import type { Disk } from './log/types.js'
import type { Logger } from './logger.js'
import type { Say } from './say.js'
import { OpenedStorage } from './storage/opened.js'

export interface StorageParts {
  readonly logger: Logger
  readonly clock: Clock
  readonly disk: Disk
}

/** Twice in the time after which an acknowledgement would have to look itself. */
const LOOK_EVERY_MS = PRESENCE_MS / 2
/** While stopping nobody waits longer than this for a disk that does not answer. */
const STOP_COMMIT_MS_MAX = 5000
/** Within a supervisor's usual 30 s, together with `drain_ms` and the listener's time. */
const CLOSE_MS_MAX = 5000

export class Storage {
  readonly log = new ReopenableLog()
  readonly rejectsLog = new ReopenableLog()
  /** `DIR/<writer>`. */
  readonly directory: string
  /** Called each time both logs have been recovered, before anything is written to them. */
  onOpened: () => Promise<void> = () => Promise.resolve()

  private opened: OpenedStorage | undefined
  private wasOpen = false
  /** The file system that the directory was on. */
  private device: string | undefined
  private opsAddress: string | null = null
  /** What runs beside the logs: opening, or letting go. */
  private changing: Promise<void> = Promise.resolve()
  private closing: Promise<void> | undefined
  private readonly say: Say
  private readonly availability: Availability
  private readonly lookTimer: NodeJS.Timeout

  constructor(
    private readonly config: Config,
    private readonly parts: StorageParts,
  ) {
    this.directory = join(resolve(config.dataDir), config.writer)
    this.say = (level, message, fields) => parts.logger[level](fields ?? {}, message)
    this.availability = new Availability('the data directory', this.say, () => this.retry())
    this.lookTimer = setInterval(() => this.look(), LOOK_EVERY_MS).unref()
  }

  /** A new one, started. */
  static async open(config: Config, parts: StorageParts): Promise<Storage> {
    const storage = new Storage(config, parts)
    await storage.start()
    return storage
  }

  /**
   * Resolves when the logs are open, or when there is no space to open them: then they are `full`, and opened as soon as
   * there is some.
   *
   * @throws what needs somebody: SluicegateError `data_dir_locked`, `log_format_newer`; what the disk answers
   */
  async start(): Promise<void> {
    try {
      await this.openNow()
    } catch (error) {
      if (!isNoSpace(error) && !isNoSpace((error as Error).cause ?? {})) {
        clearInterval(this.lookTimer)
        throw error
      }
      this.unavailable(error)
    }
  }

  /** Where commands find the ops listener. */
  announce(opsAddress: string): void {
    this.opsAddress = opsAddress
  }

  /** The disk has been asked for something a while ago, and has not answered. */
  get isStalled(): boolean {
    return this.opened === undefined || this.opened.log.isStalled || this.opened.rejectsLog.isStalled
  }

  /** While stopping: a request is not kept waiting for a disk that does not answer. */
  hurry(): void {
    this.opened?.log.hurry(STOP_COMMIT_MS_MAX)
    this.opened?.rejectsLog.hurry(STOP_COMMIT_MS_MAX)
  }

  /**
   * Writes what has been committed, then closes and lets go of the lock.
   *
   * @throws SluicegateError `disk_silent`: the disk does not answer; the lock stays until the process ends
   */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    clearInterval(this.lookTimer)
    this.availability.close()
    if (!(await isWithin(CLOSE_MS_MAX, this.closeOpened()))) {
      const message = `the disk has not answered for ${CLOSE_MS_MAX / 1000} s: the log was left as it is; nothing acknowledged is lost`
      throw new SluicegateError('disk_silent', message)
    }
  }

  private async closeOpened(): Promise<void> {
    await this.changing
    await this.opened?.close()
    this.detach(new LogUnavailable('closed', 'the log is closed'))
  }

  private async openNow(): Promise<void> {
    await this.checkDevice()
    const opened = await OpenedStorage.open({
      ...this.parts,
      config: this.config,
      say: this.say,
      directory: this.directory,
      answer: () => this.answer(),
      offsetMin: { log: this.log.durableOffset, rejects: this.rejectsLog.durableOffset },
      onLost: (error) => this.lose(error),
    })
    try {
      this.rejectsLog.attach(opened.rejectsLog, this.wasOpen)
      await this.onOpened()
      if (opened.presence.lost !== undefined) throw opened.presence.lost
    } catch (error) {
      const refusal = new LogUnavailable('failed', (error as Error).message)
      this.detach(refusal)
      await opened.abandon(refusal)
      throw error
    }
    this.opened = opened
    this.device = opened.device
    this.log.attach(opened.log, this.wasOpen)
    this.wasOpen = true
    this.availability.writable()
  }

  /** A directory that is not mounted must not be made again below its mount point, where a later mount would hide it. */
  private async checkDevice(): Promise<void> {
    if (this.device === undefined || this.device === (await this.nearestDevice())) return
    const message = `${this.directory} is on another file system now, not mounted or mounted over: mount it again, or restart the server`
    throw new SluicegateError('data_dir_lost', message)
  }

  private async nearestDevice(): Promise<string> {
    for (let path = this.directory; ; path = dirname(path)) {
      const found = await unlessMissing(this.parts.disk.stat(path))
      if (found !== undefined || path === dirname(path)) return found?.device ?? ''
    }
  }

  /** What was on its way is refused, nothing more is written, and the path is opened again, as a start would. */
  private lose(cause: Error): void {
    const { opened } = this
    if (opened === undefined) return
    this.opened = undefined
    const refusal = new LogUnavailable(
      'failed',
      `the data directory was removed or replaced under the running server: ${cause.message}`,
    )
    this.availability.suspend(refusal)
    this.detach(refusal)
    this.changing = opened
      .abandon(refusal)
      .catch(() => {})
      .then(() => this.retry())
  }

  private retry(): void {
    if (this.closing !== undefined) return
    this.changing = this.openNow().catch((error: unknown) => this.unavailable(error))
  }

  private unavailable(error: unknown): void {
    const cause = (error as Error).cause ?? {}
    this.availability.unavailable(isNoSpace(cause) ? cause : error)
    const { state, reason } = this.availability
    this.detach(new LogUnavailable(state === 'full' ? 'full' : 'failed', reason))
  }

  private detach(refusal: LogUnavailable): void {
    this.log.detach(refusal)
    this.rejectsLog.detach(refusal)
  }

  private look(): void {
    // What it finds is told by `lose`.
    this.opened?.presence.look().catch(() => undefined)
  }

  /** To whoever connects to the lock (src/log/durable.ts). */
  private answer(): string {
    const { log, rejectsLog, opsAddress } = this
    return JSON.stringify({
      pid: process.pid,
      log: log.knownOffset,
      rejects: rejectsLog.knownOffset,
      ops: opsAddress,
    })
  }
}

/** False when it takes longer. */
async function isWithin(ms: number, done: Promise<void>): Promise<boolean> {
  const timer = new AbortController()
  const late = sleep(ms, false, { signal: timer.signal }).catch(() => false)
  try {
    return await Promise.race([done.then(() => true), late])
  } finally {
    timer.abort()
  }
}
