/** Which batches are made now: of every lane that has enough for one, or whose records have waited long enough. */
import type { Board } from './board.js'
import { Pace } from './pace.js'
import type { Lane } from './lane.js'
import type { PlanOptions } from './parts.js'
import type { BatchLimits } from './queue.js'

/** A batch's own header, and what compression may add. */
const BATCH_OVERHEAD_BYTES = 1024

export class Planner {
  private readonly pace: Pace

  constructor(
    private readonly board: Board,
    private readonly options: PlanOptions,
  ) {
    this.pace = new Pace(options.lingerMs)
  }

  get lingerMs(): number {
    return this.pace.lingerMs
  }

  hasReady(nowMs: number): boolean {
    return this.ready(nowMs).next().done !== true
  }

  /** Makes all batches that are due; they have to be saved before they are sent. */
  plan(nowMs: number): void {
    let records = 0
    for (const [lane, limits] of this.ready(nowMs)) {
      lane.producer ??= this.board.producer
      for (let always = this.isDue(lane, nowMs); lane.canPlan(limits, always); always = false) {
        records += lane.plan(limits, nowMs)
      }
    }
    this.pace.note(records, nowMs)
  }

  /** When a lane's records will have waited long enough, ms; Infinity when it has none. */
  dueMs({ queuedSinceMs }: Lane): number {
    return queuedSinceMs === undefined ? Infinity : queuedSinceMs + this.pace.lingerMs
  }

  private *ready(nowMs: number): Generator<[Lane, BatchLimits]> {
    for (const topic of this.board.topics.values()) {
      const limits = this.limits(topic.messageBytesMax)
      for (const lane of topic.lanes) if (lane.canPlan(limits, this.isDue(lane, nowMs))) yield [lane, limits]
    }
  }

  private isDue(lane: Lane, nowMs: number): boolean {
    return nowMs >= this.dueMs(lane)
  }

  private limits(messageBytesMax: number | undefined): BatchLimits {
    const { batchBytesMax, batchRecordsMax } = this.options
    const bytesMax = Math.min(batchBytesMax, (messageBytesMax ?? Infinity) - BATCH_OVERHEAD_BYTES)
    return { recordsMax: batchRecordsMax, bytesMax }
  }
}
