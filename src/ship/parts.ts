/** What a shipper is made of: everything that a test may want to stand in for. */
import type { Clock } from '../clock.js'
import type { Say } from '../say.js'
import type { CursorFile } from './cursor.js'
import type { LogSource } from './feeder.js'
import type { RouteTable } from './route.js'
import type { Sink } from './sink.js'
import type { Refusal } from './state.js'
import type { ShipStore } from './store.js'

export interface PlanOptions {
  /** The least that a record waits for company. */
  readonly lingerMs: number
  readonly batchBytesMax: number
  readonly batchRecordsMax: number
}

export interface ShipperOptions extends PlanOptions {
  readonly routes: RouteTable
  /** Where an unshipped log begins: at its oldest record, or with what comes from now on. */
  readonly from: 'start' | 'end'
  /** Records in memory, sent ones included. */
  readonly memoryBytesMax: number
}

/** A record that Kafka will never take. */
export interface RefusedRecord {
  readonly offset: number
  readonly topic: string
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly refusal: Refusal
  /** It may be in the rejects already: we were about to put it there when we ended. */
  readonly again: boolean
}

export interface ShipperParts {
  readonly sink: Sink
  readonly source: LogSource
  readonly store: ShipStore
  /** The `kafka` cursor, which retention obeys. */
  readonly cursor: CursorFile
  /** Of our log. */
  readonly writerId: string
  /** Of the log's oldest record. */
  readonly firstOffset: number
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly say: Say
  /** Resolves when the record is in the rejects, on stable storage, once. */
  readonly refuse: (record: RefusedRecord) => Promise<void>
  /** Offsets that Kafka has acknowledged, each once in a life of the shipper. */
  readonly onAcknowledged: (offsets: readonly number[]) => void
}
