/** When a record happened (docs/DECODING.md 5): its time in ms and the flags that its time sets. */
import { FLAGS, type Flag } from '../../record.js'
import type { Item } from './item.js'
import type { Value } from './members.js'
import { timeMs } from './time.js'
import type { Circumstances } from './verdict.js'

const LATE_AFTER_MS = 5 * 24 * 3600 * 1000

/** The bit of a flag in a record's flags. */
export const flagBit = (flag: Flag): number => 1 << FLAGS.indexOf(flag)

const LATE = flagBit('late')
const TIME_INVALID = flagBit('time_invalid')
const TIME_FUTURE = flagBit('time_future')

export interface When {
  readonly ms: number
  readonly flags: number
}

/** The value's milliseconds; undefined when it is absent, NaN when it cannot be read or lies beyond ±2^53. */
function readTime(value: Value | undefined): number | undefined {
  const kind = value?.kind
  if (value === undefined || kind === 'null') return undefined
  const text = kind === 'number' ? value.raw() : value.string()
  const ms = text === undefined ? undefined : timeMs(text)
  return ms !== undefined && Number.isFinite(ms) ? ms : Number.NaN
}

export function timeOf(item: Item, circumstances: Circumstances): When {
  const { receivedMs, endpoint } = circumstances
  const ms = readTime(item.field(item.isEvent ? 'time' : '$time')) ?? receivedMs
  if (Number.isNaN(ms)) return { ms: receivedMs, flags: TIME_INVALID }
  if (item.isEvent && ms > receivedMs) return { ms: receivedMs, flags: TIME_FUTURE }
  return { ms, flags: endpoint === 'track' && ms < receivedMs - LATE_AFTER_MS ? LATE : 0 }
}

export function isLate(when: When): boolean {
  return (when.flags & LATE) !== 0
}
