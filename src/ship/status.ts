/** How shipping is going: the `ship` object of /status, and what the metrics read. */
import { MESSAGE_BYTES_MIN } from '../config/topics.js'
import type { Board } from './board.js'
import type { SinkCause } from './sink.js'

export const TOPIC_TOO_SMALL = 'topic_too_small'

/**
 * `starting`: the cluster was not reached yet. `shipping`: all is well. `degraded`: something does not get on, other
 * things do. `waiting`: nothing gets on.
 */
export type ShipPhase = 'starting' | 'shipping' | 'degraded' | 'waiting'

export interface TopicStatus {
  readonly name: string
  readonly partitions: number
  /** Records that are read and not done with. */
  readonly pending: number
  readonly blockedPartitions: number
  readonly messageBytesMax: number | undefined
  readonly cause: SinkCause | undefined
}

export interface ShipStatus {
  readonly state: ShipPhase
  /** Why it is not `shipping`. */
  readonly cause: SinkCause | undefined
  readonly exactlyOnce: boolean
  /** Everything below is done with, and known on disk to be. */
  readonly cursor: number
  /** The log has been read up to here. */
  readonly head: number
  /** Records below `head` that are not done with. */
  readonly pending: number
  readonly lagRecords: number
  /** Age of the oldest record that is not done with; 0 when there is none. */
  readonly lagMs: number
  readonly records: number
  readonly batches: number
  readonly failed: number
  readonly refused: number
  readonly possibleDuplicates: number
  readonly memoryBytes: number
  readonly topics: readonly TopicStatus[]
}

export interface StatusContext {
  readonly durable: number
  readonly cursor: number | undefined
  readonly nowMs: number
  readonly exactlyOnce: boolean
}

export function statusOf(board: Board, { durable, cursor, nowMs, exactlyOnce }: StatusContext): ShipStatus {
  const topics = topicsOf(board)
  const head = board.headOf()
  const pending = topics.reduce((sum, topic) => sum + topic.pending, 0)
  const lagRecords = Math.max(0, durable - head) + pending
  const { records, batches, failed, refused, possibleDuplicates, memory } = board
  return {
    ...phaseOf(board, topics),
    exactlyOnce,
    cursor: cursor ?? board.head,
    head,
    pending,
    lagRecords,
    lagMs: lagRecords === 0 ? 0 : Math.max(0, nowMs - (oldestMs(board) ?? nowMs)),
    records,
    batches,
    failed,
    refused,
    possibleDuplicates,
    memoryBytes: memory.used,
    topics,
  }
}

function topicsOf(board: Board): TopicStatus[] {
  return [...board.topics.values()].map(({ name, partitions, lanes, cause, messageBytesMax, waiting }) => {
    const blocked = lanes.filter(({ blockedSinceMs }) => blockedSinceMs !== undefined)
    return {
      name,
      partitions,
      pending: lanes.reduce((sum, lane) => sum + lane.pending, waiting),
      blockedPartitions: blocked.length,
      messageBytesMax,
      cause: cause ?? blocked[0]?.cause ?? sizeCause(name, messageBytesMax),
    }
  })
}

/** A topic that an event which we take may not fit into. */
function sizeCause(name: string, bytes: number | undefined): SinkCause | undefined {
  if (bytes === undefined || bytes >= MESSAGE_BYTES_MIN) return undefined
  const message = `${name} takes ${bytes} bytes at most (max.message.bytes); events may need ${MESSAGE_BYTES_MIN}`
  return { code: TOPIC_TOO_SMALL, message }
}

function phaseOf(board: Board, topics: readonly TopicStatus[]): Pick<ShipStatus, 'state' | 'cause'> {
  const cause = board.cause ?? topics.find((topic) => topic.cause !== undefined)?.cause
  if (cause === undefined) return { state: board.reachable ? 'shipping' : 'starting', cause: undefined }
  const getsOn = board.reachable && board.cause === undefined
  return { state: getsOn ? 'degraded' : 'waiting', cause }
}

function oldestMs(board: Board): number | undefined {
  let oldest = Infinity
  for (const topic of board.topics.values()) {
    oldest = Math.min(oldest, topic.oldestMs ?? Infinity)
    for (const lane of topic.lanes) oldest = Math.min(oldest, lane.oldestMs ?? Infinity)
  }
  return oldest === Infinity ? undefined : oldest
}
