/** A log that is opened again when its directory was lost: the one object that everybody above it holds. */
import { LogUnavailable } from '../errors.js'
import type { SegmentLog } from './log.js'
import type { CommittedBatch, Log, LogState, LogStatus, OpenBatch } from './types.js'

const NOTHING: LogStatus = {
  state: 'failed',
  reason: 'the log has not been opened yet',
  writerId: '',
  epoch: 0,
  firstOffset: 0,
  nextOffset: 0,
  durableOffset: 0,
  bytes: 0,
  bytesMax: 0,
  bytesWritten: 0,
  segments: 0,
  damage: { tornBytes: 0, quarantinedBatches: 0, quarantinedBytes: 0 },
  quarantineDropped: 0,
  batches: 0,
  records: 0,
  failovers: 0,
  dropped: 0,
  newIds: 0,
  reopened: 0,
}

export class ReopenableLog implements Log {
  private log: SegmentLog | undefined
  /** Of the logs before; while there is none, what is said of it. */
  private last = NOTHING
  private heard: () => void = () => {}
  /** Called when there is a log, another one, or none any more. */
  onChange: () => void = () => {}
  /** Called when more is durable; must not throw. */
  onDurable: (offset: number) => void = () => {}

  get onRoom(): () => void {
    return this.heard
  }
  set onRoom(heard: () => void) {
    this.heard = heard
    if (this.log !== undefined) this.log.onRoom = heard
  }

  get state(): LogState {
    return this.log?.state ?? this.last.state
  }
  get nextOffset(): number {
    return this.log?.nextOffset ?? this.last.nextOffset
  }
  get durableOffset(): number {
    return this.log?.durableOffset ?? this.last.durableOffset
  }
  /** undefined as long as nobody can say it: there is no log. */
  get knownOffset(): number | undefined {
    return this.log?.durableOffset
  }

  /** @param isAnother there was one before, which was lost */
  attach(log: SegmentLog, isAnother: boolean): void {
    if (isAnother) this.last = { ...this.last, reopened: this.last.reopened + 1 }
    this.log = log
    log.onRoom = this.heard
    log.onDurable = (offset) => this.onDurable(offset)
    this.heard()
    this.onChange()
  }

  /** There is no log now. Requests are refused, those that wait for room as well. */
  detach({ reason, message }: LogUnavailable): void {
    this.last = { ...this.status(), state: reason, reason: message }
    // What was not acknowledged by now never will be.
    this.last = { ...this.last, nextOffset: this.last.durableOffset }
    this.log = undefined
    this.heard()
    this.onChange()
  }

  open(bytes: number): OpenBatch | undefined {
    if (this.log !== undefined) return this.log.open(bytes)
    const { state, reason } = this.last
    throw new LogUnavailable(state === 'writable' ? 'closed' : state, reason)
  }

  /** In the same turn of the event loop as `open`, so that both mean the same log. */
  commit(end: number, records: number): Promise<CommittedBatch> {
    if (this.log === undefined) throw new LogUnavailable('failed', this.last.reason)
    return this.log.commit(end, records)
  }

  status(): LogStatus {
    if (this.log === undefined) return this.last
    const [now, before] = [this.log.status(), this.last]
    return {
      ...now,
      damage: {
        tornBytes: before.damage.tornBytes + now.damage.tornBytes,
        quarantinedBatches: before.damage.quarantinedBatches + now.damage.quarantinedBatches,
        quarantinedBytes: before.damage.quarantinedBytes + now.damage.quarantinedBytes,
      },
      quarantineDropped: before.quarantineDropped + now.quarantineDropped,
      bytesWritten: before.bytesWritten + now.bytesWritten,
      batches: before.batches + now.batches,
      records: before.records + now.records,
      failovers: before.failovers + now.failovers,
      dropped: before.dropped + now.dropped,
      newIds: before.newIds + now.newIds,
      reopened: before.reopened,
    }
  }

  async close(): Promise<void> {
    await this.log?.close()
    if (this.log === undefined) this.detach(new LogUnavailable('closed', 'the log is closed'))
  }
}
