/** Sends a vector's exchange over a raw socket, byte for byte, and says what came back. */
import { gzipSync } from 'node:zlib'
import {
  chunkedBytes,
  headBytes,
  RawConnection,
  type RawRequest,
  type Reply,
  requestBytes,
} from '../support/http.js'
import { bytesOf, type Send } from './golden.js'

const PIECE_BYTES_MIN = 7
const PIECES_MAX = 200
/** How long a server may take to close a connection whose body it has refused. */
const CLOSE_MS_MAX = 20_000

/** The request as it is sent, with headers of the runner's own. */
export function rawRequest(
  { method, target, headers, body, gzip }: Send,
  more: Record<string, string>,
): RawRequest {
  const bytes = body === undefined ? undefined : bytesOf(body)
  return {
    method,
    target: bytesOf(target).toString('latin1'),
    headers: { ...headers, ...(gzip && { 'Content-Encoding': 'gzip' }), ...more },
    ...(bytes && { body: gzip ? gzipSync(bytes) : bytes }),
  }
}

/** On a connection of its own. */
export async function send(address: string, how: Send, request: RawRequest): Promise<Reply> {
  const connection = await RawConnection.open(address)
  try {
    if (how.framing === 'expect') await sendAfterContinue(connection, request)
    else connection.write(framed(how, request))
    const reply = await connection.reply(request.method)
    if (how.framing === 'unfinished') await closes(connection)
    return reply
  } finally {
    connection.destroy()
  }
}

/** All in one write; replies in order. */
export async function sendPipelined(address: string, requests: readonly RawRequest[]): Promise<Reply[]> {
  const connection = await RawConnection.open(address)
  try {
    connection.write(Buffer.concat(requests.map(requestBytes)))
    return await Promise.all(requests.map(({ method }) => connection.reply(method)))
  } finally {
    connection.destroy()
  }
}

function framed({ framing, declared }: Send, request: RawRequest): Buffer {
  const length = request.body?.length ?? 0
  const pieceBytes = Math.max(PIECE_BYTES_MIN, Math.ceil(length / PIECES_MAX))
  if (framing === 'chunked') return chunkedBytes(request, pieceBytes)
  if (framing !== 'unfinished') return requestBytes(request)
  if (declared === undefined) return chunkedBytes(request, pieceBytes, false)
  const headers = { ...request.headers, 'Content-Length': String(declared) }
  return Buffer.concat([headBytes({ ...request, headers }), request.body!])
}

async function sendAfterContinue(connection: RawConnection, request: RawRequest): Promise<void> {
  const body = request.body!
  const headers = { ...request.headers, Expect: '100-continue', 'Content-Length': String(body.length) }
  connection.write(headBytes({ ...request, headers }))
  const { status } = await connection.reply()
  if (status !== 100) throw new Error(`the server answered ${status} before it saw a body`)
  connection.write(body)
}

async function closes(connection: RawConnection): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('the connection stays open after the reply')), CLOSE_MS_MAX)
  })
  await Promise.race([connection.closed, late]).finally(() => clearTimeout(timer))
  if (connection.error !== undefined) throw new Error('the connection was reset', { cause: connection.error })
}
