/** What the main thread and the shipper's thread tell each other. */
import type { KafkaAccess, Settings } from '../config.js'
import type { RouteTable } from './route.js'
import type { RefusedRecord } from './parts.js'
import type { ShipStatus } from './status.js'

/** All that the thread is started with: plain values. */
export interface ShipWorkerData {
  readonly settings: Pick<
    Settings,
    | 'kafka'
    | 'kafkaClientId'
    | 'kafkaConnectTimeoutMs'
    | 'kafkaRequestTimeoutMs'
    | 'kafkaExactlyOnce'
    | 'kafkaCompression'
    | 'kafkaFrom'
    | 'kafkaLingerMs'
    | 'kafkaBatchBytes'
  > & { readonly kafkaAccess: KafkaAccess }
  readonly routes: RouteTable
  /** `DIR/<writer>`. */
  readonly directory: string
  readonly writerId: string
  readonly epoch: number
  readonly firstOffset: number
  /** `--ack kafka`: every acknowledged offset is told. */
  readonly tellsAcknowledged: boolean
  readonly shared: SharedArrayBuffer
}

export type ToShipper =
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }
  | { readonly type: 'kept'; readonly id: number; readonly error: string | undefined }

export type FromShipper =
  | { readonly type: 'status'; readonly status: ShipStatus }
  | { readonly type: 'acknowledged'; readonly offsets: Float64Array }
  | { readonly type: 'refuse'; readonly id: number; readonly record: RefusedRecord }
  | {
      readonly type: 'say'
      readonly level: 'info' | 'warn' | 'error'
      readonly message: string
      readonly fields: Readonly<Record<string, unknown>> | undefined
    }

/** How far the log is durable, and whether the shipper's thread wants to be woken: shared between the two. */
export class SharedOffset {
  private readonly cells: BigInt64Array

  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(CELLS * 8)) {
    this.cells = new BigInt64Array(buffer)
  }

  get offset(): number {
    return Number(Atomics.load(this.cells, OFFSET))
  }

  /** Answers whether the other side sleeps and has to be woken, which it asks for once. */
  publish(offset: number): boolean {
    Atomics.store(this.cells, OFFSET, BigInt(offset))
    return Atomics.load(this.cells, SLEEPS) === 1n && Atomics.exchange(this.cells, SLEEPS, 0n) === 1n
  }

  /** To be looked at once more before sleeping: the offset may have moved just before. */
  wantsWaking(): void {
    Atomics.store(this.cells, SLEEPS, 1n)
  }
}

const OFFSET = 0
const SLEEPS = 1
const CELLS = 2
