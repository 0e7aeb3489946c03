/** A log in memory, as the shipper reads it: all of it durable, its views valid until the next frame. */
import { murmur2 } from '../../../src/decode/reference/murmur2.js'
import type { LogSource } from '../../../src/ship/feeder.js'
import type { LogRecord } from '../../../src/log/types.js'

export interface SourceRecord {
  readonly kind: number
  readonly token: string
  readonly key: string
  readonly value: string
}

/** Few, so that reading back and following meet their ends often. */
const FRAME_RECORDS_MAX = 7

export class MemorySource implements LogSource {
  readonly records: LogRecord[] = []
  /** Offsets that can no longer be read. */
  readonly gone = new Set<number>()
  reads = 0
  private waiting: (() => void)[] = []

  get durableOffset(): number {
    return this.records.length
  }

  append({ kind, token, key, value }: SourceRecord, writtenMs = 0): number {
    const bytes = Buffer.from(`${token}:${key}`)
    const offset = this.records.length
    this.records.push({
      offset,
      kind,
      flags: 0,
      keyHash: murmur2(bytes, 0, bytes.length),
      tokenLength: Buffer.byteLength(token),
      key: bytes,
      value: Buffer.from(value),
      writtenMs,
    })
    for (const wake of this.waiting.splice(0)) wake()
    return offset
  }

  async *read(from: number, signal: AbortSignal): AsyncGenerator<Iterable<LogRecord>> {
    let next = from
    while (!signal.aborted) {
      const end = Math.min(this.durableOffset, next + FRAME_RECORDS_MAX)
      if (next < end) {
        const frame = this.records.slice(next, end).filter(({ offset }) => !this.gone.has(offset))
        const views = frame.map((record) => ({ ...record, key: copy(record.key), value: copy(record.value) }))
        next = end
        this.reads += views.length
        yield views
        // Whoever still looks at them sees that they are not his.
        for (const { key, value } of views) for (const bytes of [key, value]) bytes.fill(0x21)
      } else {
        await new Promise<void>((resolve) => {
          this.waiting.push(resolve)
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
    }
  }
}

const copy = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)
