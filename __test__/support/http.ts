/**
 * HTTP/1.1 over a raw socket: what a client library would mend, forbid or hide (a literal `#`, pipelining, half a body,
 * `Expect`, framing by hand) is sent as it stands, and replies are read byte for byte.
 */
import { connect, type Socket } from 'node:net'

export interface Reply {
  readonly status: number
  readonly reason: string
  /** Names in lower case; values of repeated ones joined with `, `. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

export interface RawRequest {
  readonly method: string
  /** Path and query, one character a byte. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

const CRLF = '\r\n'
const HEAD_END = '\r\n\r\n'
const REPLY_MS_MAX = 40_000

/** Head of a request; `Host` is added. */
export function headBytes({ method, target, headers = {} }: RawRequest): Buffer {
  const lines = Object.entries({ Host: '127.0.0.1', ...headers }).map(([name, value]) => `${name}: ${value}`)
  return Buffer.from(`${method} ${target} HTTP/1.1${CRLF}${lines.join(CRLF)}${HEAD_END}`, 'latin1')
}

/** A whole request; a body gets its Content-Length. */
export function requestBytes(request: RawRequest): Buffer {
  const { body } = request
  if (body === undefined) return headBytes(request)
  const headers = { ...request.headers, 'Content-Length': String(body.length) }
  return Buffer.concat([headBytes({ ...request, headers }), body])
}

/** One piece of a chunked body; an empty one ends it. */
export function chunkBytes(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(bytes.length.toString(16) + CRLF), bytes, Buffer.from(CRLF)])
}

/** The same request with its body in pieces of `pieceBytes`. */
export function chunkedBytes(request: RawRequest, pieceBytes: number, end = true): Buffer {
  const headers = { ...request.headers, 'Transfer-Encoding': 'chunked' }
  const body = request.body ?? Buffer.alloc(0)
  const pieces = [headBytes({ ...request, headers })]
  for (let at = 0; at < body.length; at += pieceBytes) {
    pieces.push(chunkBytes(body.subarray(at, at + pieceBytes)))
  }
  if (end) pieces.push(chunkBytes(Buffer.alloc(0)))
  return Buffer.concat(pieces)
}

interface Waiting {
  readonly withoutBody: boolean
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

/** One connection; replies come in the order in which they are asked for. */
export class RawConnection {
  /** Resolves when the server has closed the connection, in whatever way. */
  readonly closed: Promise<void>
  /** Why the connection ended, if not in peace: `ECONNRESET`, `EPIPE`. */
  error: Error | undefined

  private received = Buffer.alloc(0)
  private ended = false
  private readonly waiting: Waiting[] = []

  /** @param address `http://127.0.0.1:8080` or `127.0.0.1:8080` */
  static async open(address: string): Promise<RawConnection> {
    const { hostname, port } = new URL(address.includes('://') ? address : `http://${address}`)
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new RawConnection(socket)
  }

  private constructor(private readonly socket: Socket) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes])
      this.deliver()
    })
    socket.on('error', (error) => (this.error = error))
    const end = (): void => {
      this.ended = true
      this.deliver()
    }
    socket.on('end', end).on('close', end)
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Bytes that no reply has claimed yet. */
  get rest(): Buffer {
    return this.received
  }

  /** No more from our side; replies can still be read. */
  end(): void {
    this.socket.end()
  }

  /** Reads nothing more: the server's replies stay on their way. */
  pause(): void {
    this.socket.pause()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Breaks off with a reset instead of an end. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /**
   * The next reply (interim ones such as 100 included). Rejects when the connection ends before, or after 40 s.
   *
   * @param method of the request: an answer to HEAD has no body
   */
  reply(method = 'GET'): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.failure('no reply in time')), REPLY_MS_MAX)
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          then(value)
        }
      this.waiting.push({ withoutBody: method === 'HEAD', resolve: settle(resolve), reject: settle(reject) })
      this.deliver()
    })
  }

  private failure(what: string): Error {
    return new Error(`${what}; received: ${JSON.stringify(this.received.toString('latin1', 0, 400))}`, {
      cause: this.error,
    })
  }

  private deliver(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      const parsed = parseReply(this.received, next.withoutBody, this.ended)
      if (parsed === undefined && !this.ended) return
      this.waiting.shift()
      if (parsed === undefined) {
        next.reject(this.failure('the connection ended without a whole reply'))
        continue
      }
      this.received = this.received.subarray(parsed.length)
      next.resolve(parsed.reply)
    }
  }
}

interface Parsed {
  readonly reply: Reply
  readonly length: number
}

/** undefined: not whole yet. */
function parseReply(bytes: Buffer, withoutBody: boolean, ended: boolean): Parsed | undefined {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd < 0) return undefined
  const [statusLine, ...lines] = bytes.toString('latin1', 0, headEnd).split(CRLF)
  const [, status, reason] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(statusLine!) ?? []
  if (status === undefined) throw new Error(`not a status line: ${statusLine}`)
  const headers = readHeaders(lines)
  const start = headEnd + HEAD_END.length
  const body =
    withoutBody || /^(1..|204|304)$/.test(status) ? NO_BODY : readBody(bytes, start, headers, ended)
  return (
    body && {
      reply: { status: Number(status), reason: reason!, headers, body: body.bytes },
      length: start + body.length,
    }
  )
}

const NO_BODY = { bytes: Buffer.alloc(0), length: 0 }

function readHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const before = headers.get(name)
    const value = line.slice(colon + 1).trim()
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return headers
}

interface Body {
  readonly bytes: Buffer
  readonly length: number
}

function readBody(
  bytes: Buffer,
  start: number,
  headers: ReadonlyMap<string, string>,
  ended: boolean,
): Body | undefined {
  if (headers.get('transfer-encoding') === 'chunked') return readChunks(bytes, start)
  const declared = headers.get('content-length')
  if (declared === undefined)
    return ended ? { bytes: bytes.subarray(start), length: bytes.length - start } : undefined
  const length = Number(declared)
  if (bytes.length < start + length) return undefined
  return { bytes: bytes.subarray(start, start + length), length }
}

function readChunks(bytes: Buffer, start: number): Body | undefined {
  const pieces: Buffer[] = []
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf(CRLF, at)
    if (lineEnd < 0) return undefined
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const next = lineEnd + 2 + length + 2
    if (bytes.length < next) return undefined
    if (length === 0) return { bytes: Buffer.concat(pieces), length: next - start }
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length))
    at = next
  }
}

/** One request on a connection of its own. */
export async function exchange(address: string, request: RawRequest): Promise<Reply> {
  const connection = await RawConnection.open(address)
  try {
    connection.write(requestBytes(request))
    return await connection.reply(request.method)
  } finally {
    connection.destroy()
  }
}
