/** Writing to stdout fast and politely: in large pieces, waiting for the reader, quiet when it goes away. */
import { fdatasync, fstatSync, write } from 'node:fs'
import type { Writable } from 'node:stream'

/** The reader of our output has gone (`| head`): not a failure. */
export class OutputClosed extends Error {}

const PIECE_BYTES = 256 * 1024

/** Collects bytes and writes them in large pieces. */
export class Output {
  private piece = Buffer.allocUnsafe(PIECE_BYTES)
  private used = 0
  private writing: Promise<void> = Promise.resolve()
  private failure: Error | undefined
  private readonly file: number | undefined

  constructor(private readonly stream: Writable) {
    this.file = fileOf(stream)
    stream.on('error', (error) => this.failed(error))
  }

  /** Bytes collected that are not handed to the stream yet. */
  get pending(): number {
    return this.used
  }

  /** A place for `length` bytes at the end of the piece; to be filled before anything else is called. */
  async room(length: number): Promise<Buffer> {
    if (this.used + length > this.piece.length) await this.flush()
    if (length > this.piece.length) this.piece = Buffer.allocUnsafe(length)
    const place = this.piece.subarray(this.used, this.used + length)
    this.used += length
    return place
  }

  async text(text: string): Promise<void> {
    const place = await this.room(Buffer.byteLength(text))
    place.write(text)
  }

  /** Resolves when everything so far is with the operating system. @throws OutputClosed when nobody reads any more */
  async flush(): Promise<void> {
    if (this.used > 0) {
      const bytes = this.piece.subarray(0, this.used)
      this.piece = Buffer.allocUnsafe(PIECE_BYTES)
      this.used = 0
      this.writing = this.writing.then(() => this.write(bytes))
    }
    await this.writing
    if (this.failure !== undefined) throw this.failure
  }

  /** Resolves when what was flushed is on stable storage, as far as it went into a file. */
  async sync(): Promise<void> {
    const { file } = this
    if (file === undefined) return
    await new Promise<void>((resolve, reject) => {
      fdatasync(file, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** Nothing behind a piece that failed: it would close the gap, and hide it. */
  private write(bytes: Buffer): Promise<void> {
    if (this.failure !== undefined) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (error?: Error | null): void => {
        if (error) this.failed(error)
        resolve()
      }
      if (this.file === undefined) this.stream.write(bytes, done)
      else writeAll(this.file, bytes, done)
    })
  }

  private failed(error: NodeJS.ErrnoException): void {
    this.failure ??= error.code === 'EPIPE' ? new OutputClosed() : error
  }
}

/** The descriptor of a stream that leads into a regular file. */
function fileOf(stream: Writable & { readonly fd?: unknown }): number | undefined {
  const { fd } = stream
  return typeof fd === 'number' && fstatSync(fd).isFile() ? fd : undefined
}

/** Node's own stream takes a write for whole that a disk running full has cut short. */
function writeAll(file: number, bytes: Buffer, done: (error?: Error | null) => void): void {
  write(file, bytes, (error, written) => {
    if (error) done(error)
    else if (written === bytes.length) done()
    else writeAll(file, bytes.subarray(written), done)
  })
}

/** One line on a terminal that is written over while long work goes on; nothing in a pipe. */
export class Progress {
  private shownAtMs = -Infinity

  constructor(
    private readonly stream: Writable & { isTTY?: boolean },
    private readonly nowMs: () => number,
  ) {}

  show(text: () => string): void {
    if (this.stream.isTTY !== true || this.nowMs() - this.shownAtMs < 200) return
    this.shownAtMs = this.nowMs()
    this.stream.write(`\r\x1b[K${text()}`)
  }

  end(): void {
    if (this.shownAtMs !== -Infinity) this.stream.write('\r\x1b[K')
  }
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]!.length)),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        /^[\d.,]+$/.test(cell) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd()
  return [header, ...rows].map((row) => `${line(row)}\n`).join('')
}

/** For people: `1.2 MiB`. */
export function shownBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${units[power]}`
}

/** For people: `5 minutes ago`. */
export function shownAge(ageMs: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ] as const
  for (const [name, lengthMs] of units) {
    const amount = Math.floor(ageMs / lengthMs)
    if (amount >= 1) return `${amount} ${name}${amount === 1 ? '' : 's'} ago`
  }
  return 'now'
}

/** Bytes that a reader had to skip. */
export function warnDamage({
  path,
  position,
  bytes,
}: {
  path: string
  position: number
  bytes: number
}): void {
  process.stderr.write(`sluicegate: damage in ${path} at ${position}: ${bytes} bytes are skipped\n`)
}
