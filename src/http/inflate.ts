/**
 * Undoes Content-Encoding: gzip under a limit. Small bodies are inflated at once, on the main thread; large ones on the
 * thread pool, no more than two at a time, for the pool also carries the log's syncs.
 */
import { inflateRaw, inflateRawSync, type InflateRaw, type ZlibOptions } from 'node:zlib'
import { deflateStart, isMember, TRAILER_BYTES, trailerFits } from './gzip.js'

/** Compressed bytes up to which a body is inflated on the main thread, and what it may grow to there. */
export const INLINE_BYTES_MAX = 64 * 1024
export const INLINE_OUTPUT_MAX = 512 * 1024
export const THREADS_MAX = 2
/** Each member costs a new engine: a body of nothing but empty ones would keep a thread busy for long. */
export const MEMBERS_MAX = 100
const CHUNK_BYTES_MIN = 4 * 1024
const CHUNK_BYTES_MAX = 64 * 1024
/** Deflate cannot do better: 258 bytes for two bits. */
const RATIO_MAX = 1032

export type Inflated =
  | { readonly body: Buffer }
  /** `too large`: more than the limit. `refused`: there was no memory for it. */
  | { readonly fault: 'too large' | 'invalid' | 'refused' }

/** Takes memory from the budget, for as long as the request lives; false when there is none. */
export type Hold = (bytes: number) => boolean

interface Job {
  readonly body: Buffer
  readonly limit: number
  readonly hold: Hold
  readonly done: (result: Inflated) => void
}

const EMPTY = Buffer.alloc(0)
const TOO_LARGE: Inflated = { fault: 'too large' }
const INVALID: Inflated = { fault: 'invalid' }
const REFUSED: Inflated = { fault: 'refused' }

export class Inflater {
  private readonly queue: Job[] = []
  private running = 0

  /** Calls `done` once, now or later. An empty body stays empty. */
  inflate(job: Job): void {
    const { body, hold, done } = job
    if (body.length === 0) return done({ body: EMPTY })
    if (body.length > INLINE_BYTES_MAX) return this.enqueue(job)
    const outputMax = Math.min(job.limit, INLINE_OUTPUT_MAX, body.length * RATIO_MAX)
    if (!hold(outputMax)) return done(REFUSED)
    const result = inflateNow(body, outputMax)
    if (result === TOO_LARGE && outputMax === INLINE_OUTPUT_MAX) return this.enqueue(job)
    done(result)
  }

  private enqueue(job: Job): void {
    this.queue.push(job)
    this.next()
  }

  private next(): void {
    while (this.running < THREADS_MAX) {
      const job = this.queue.shift()
      if (job === undefined) return
      this.running++
      void this.run(job)
    }
  }

  private async run({ body, limit, hold, done }: Job): Promise<void> {
    const held = hold(Math.min(limit, body.length * RATIO_MAX))
    const result = held ? await inflateMembers(body, limit) : REFUSED
    this.running--
    done(result)
    this.next()
  }
}

interface Piece {
  readonly data: Buffer
  /** Compressed bytes it was made from. */
  readonly used: number
}

/** Where the next member starts, and what the ones before it hold. */
class Members {
  private readonly pieces: Buffer[] = []
  private length = 0
  private position = 0

  constructor(
    readonly body: Buffer,
    private readonly limit: number,
  ) {}

  get more(): boolean {
    return this.position === 0 || isMember(this.body, this.position)
  }

  get options(): ZlibOptions {
    // zlib wants at least 1; one byte too many is noticed in `add`. Large pieces: each costs a trip through the pool.
    const maxOutputLength = Math.max(1, this.limit - this.length)
    const chunkSize = Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, 8 * this.body.length))
    return { maxOutputLength, chunkSize, info: true }
  }

  /** The member's deflated bytes; undefined when it has no proper header, or is one too many. */
  start(): Buffer | undefined {
    const start = deflateStart(this.body, this.position)
    if (start === undefined || this.pieces.length === MEMBERS_MAX) return undefined
    this.position = start
    return this.body.subarray(start)
  }

  /** What is wrong with it, if anything. */
  add({ data, used }: Piece): Inflated | undefined {
    const trailer = this.position + used
    if (!trailerFits(this.body, trailer, data)) return INVALID
    this.position = trailer + TRAILER_BYTES
    this.length += data.length
    this.pieces.push(data)
    return this.length > this.limit ? TOO_LARGE : undefined
  }

  all(): Inflated {
    return { body: this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces, this.length) }
  }
}

function inflateNow(body: Buffer, limit: number): Inflated {
  const members = new Members(body, limit)
  while (members.more) {
    const deflated = members.start()
    if (deflated === undefined) return INVALID
    const fault = attempt(() => members.add(pieceOf(inflateRawSync(deflated, members.options))))
    if (fault !== undefined) return fault
  }
  return members.all()
}

async function inflateMembers(body: Buffer, limit: number): Promise<Inflated> {
  const members = new Members(body, limit)
  while (members.more) {
    const deflated = members.start()
    if (deflated === undefined) return INVALID
    const fault = await inflateOne(deflated, members)
    if (fault !== undefined) return fault
  }
  return members.all()
}

function inflateOne(deflated: Buffer, members: Members): Promise<Inflated | undefined> {
  return new Promise((resolve) => {
    inflateRaw(deflated, members.options, (error, result) => {
      resolve(error === null ? attempt(() => members.add(pieceOf(result))) : faultOf(error))
    })
  })
}

function attempt(add: () => Inflated | undefined): Inflated | undefined {
  try {
    return add()
  } catch (error) {
    return faultOf(error)
  }
}

function faultOf(error: unknown): Inflated {
  return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? TOO_LARGE : INVALID
}

/** With `info` zlib answers with its engine, too, which knows how much of the input it took. */
function pieceOf(result: unknown): Piece {
  const { buffer, engine } = result as { readonly buffer: Buffer; readonly engine: InflateRaw }
  return { data: buffer, used: engine.bytesWritten }
}
