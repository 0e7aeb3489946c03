/**
 * What goes wrong before there is a request: heads too large, too slow or not HTTP. Node's own answers to these have no
 * JSON (rule R5); where a head was understood and only its body fails, the reply goes the ordinary way, with CORS (R6).
 */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { jsonAnswer } from './answer.js'
import { connectionOf } from './connection.js'
import type { RequestCounts } from './counts.js'

interface ParserError extends Error {
  readonly code?: string
  /** The piece of input in which the parser stopped, and how far it came in it. */
  readonly rawPacket?: Buffer
  readonly bytesParsed?: number
}

/** How long a peer may take to read an answer before the connection is closed all the same. */
const CLOSE_MS = 2000

/** A listener for `clientError`. */
export function clientErrors(counts: RequestCounts): (error: Error, socket: Socket) => void {
  return (error: ParserError, socket) => {
    const connection = connectionOf(socket)
    if (connection.failed && error.code !== 'ECONNRESET') return
    // A connection that never asked for anything, or broke, gets no answer: a browser that opened it in advance would take
    // it for the answer to its next request.
    if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) {
      socket.destroy()
      return
    }
    connection.failed = true
    const status = statusOf(error)
    // A request that is complete, though nobody may have read its end yet, is not the one at fault.
    if (connection.receiving !== undefined && connection.last?.req.complete !== true) {
      connection.receiving.broken(status === 408 ? 408 : 400)
      // The answer lingers for what is still on its way; from a peer that has shut its side down nothing is.
      if (error.code === 'HPE_INVALID_EOF_STATE') connection.receiving?.broken(400)
      setTimeout(() => socket.destroy(), CLOSE_MS).unref()
      return
    }
    afterReplies(connection.last, () => answerRaw(socket, status, counts))
  }
}

/** Requests before the faulty one are answered first: their events may be on disk already. */
function afterReplies(last: ServerResponse | undefined, then: () => void): void {
  if (last === undefined || last.writableFinished || last.destroyed) then()
  else last.once('finish', then)
}

function answerRaw(socket: Duplex, status: number, counts: RequestCounts, headers = ''): void {
  if (!socket.writable) return
  counts.count(undefined, status)
  socket.end(rawReply(status, headers))
  setTimeout(() => socket.destroy(), CLOSE_MS).unref()
}

/** A listener for `connect`: nothing is tunnelled. node:http has let go of the socket, its errors included. */
export function refuseConnect(counts: RequestCounts): (request: unknown, socket: Duplex) => void {
  return (_request, socket) => {
    socket.on('error', () => socket.destroy())
    const { last } = connectionOf(socket as Socket)
    afterReplies(last, () => answerRaw(socket, 405, counts, 'Allow: GET, POST, OPTIONS\r\n'))
  }
}

const TEXTS: Readonly<Record<number, string>> = {
  400: 'bad request',
  405: 'method not allowed',
  408: 'request timeout',
  414: 'url too long',
  431: 'request header fields too large',
}

/** A whole reply, for where there is no ServerResponse to make it. */
function rawReply(status: number, headers: string): string {
  const { body } = jsonAnswer(status, { error: TEXTS[status], status: 0 })
  const length = Buffer.byteLength(body)
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n` +
    `Cache-Control: no-store\r\nConnection: close\r\n${headers}\r\n${String(body)}`
  )
}

function statusOf({ code, rawPacket, bytesParsed }: ParserError): number {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 408
  if (code === 'HPE_HEADER_OVERFLOW') return isUrl(rawPacket?.subarray(0, bytesParsed)) ? 414 : 431
  return 400
}

/**
 * The parser does not say where the head grew too large. The piece that broke it is looked at: a request line that long
 * has neither line breaks nor blanks in it, while headers have.
 */
function isUrl(packet: Buffer | undefined): boolean {
  return packet !== undefined && !/[\s"<>]/.test(packet.toString('latin1'))
}
