/**
 * Answers a request whose body has not been read. The rest is read and thrown away for a bounded time and size before the
 * connection is closed: to close it at once, with bytes unread, would reset it, and the reset destroys the reply on its way
 * (docs/PROTOCOL.md 12, vector 44).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connectionOf } from './connection.js'

/** How long the sender may be silent, and how long it may go on, before the connection is closed. */
export const LINGER_IDLE_MS = 2000
export const LINGER_MS_MAX = 30_000
export const LINGER_BYTES_MAX = 64 * 1024 * 1024

export interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** The reply is sent whole at once, but ended, which closes the connection, only when the rest is in or given up. */
export function answerAndLinger(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers }: Head,
  body: string | Buffer,
): void {
  connectionOf(request.socket).closing = true
  response.writeHead(status, {
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  })
  response.write(body)
  if (request.complete || request.destroyed) endLast(request, response)
  else discardRest(request, () => endLast(request, response))
}

/**
 * Not before the parser is through with what has arrived, and with nothing read after it: of requests behind a reply that
 * has closed its connection, node:http gives the socket to the wrong one, and dies of an assertion when it is answered.
 */
function endLast(request: IncomingMessage, response: ServerResponse): void {
  readNoMore(request)
  setImmediate(() => response.end())
}

/**
 * To be called when the last reply of a connection is given, which may have to wait for those before it: requests that
 * came meanwhile would pile up, unseen and counted by nobody (promise P7).
 */
export function readNoMore(request: IncomingMessage): void {
  // Not at once: with each request that the parser has come through it has reading go on.
  setImmediate(() => request.socket.pause())
}

function discardRest(request: IncomingMessage, done: () => void): void {
  const connection = connectionOf(request.socket)
  let discarded = 0
  const end = (): void => {
    connection.receiving = undefined
    clearTimeout(idle)
    clearTimeout(longest)
    request.off('data', count).off('end', end).off('close', end)
    done()
  }
  const count = (chunk: Buffer): void => {
    discarded += chunk.length
    if (discarded > LINGER_BYTES_MAX) end()
    else idle.refresh()
  }
  connection.receiving = { broken: end }
  const idle = setTimeout(end, LINGER_IDLE_MS)
  const longest = setTimeout(end, LINGER_MS_MAX)
  // An aborted upload ends in an error, which nobody else would hear.
  request.on('data', count).on('end', end).on('close', end).on('error', ignore).resume()
}

function ignore(): void {
  // The connection is gone; `close` follows.
}
