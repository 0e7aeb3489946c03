/** How a reply leaves: straight through node:http, or through the hooks of somebody else's app. */
import type { FastifyReply } from 'fastify'

/** Names and values in turns. */
export type HeaderList = string[]

/** @param body '' for none */
export type Send = (reply: FastifyReply, status: number, headers: HeaderList, body: string | Buffer) => void

/**
 * For an app of our own, where no hook waits for the reply. Head and body are one write to the socket: `end(body)` would
 * make two of them, which node:http joins in a vectored write that costs several microseconds more.
 */
export const sendAlone: Send = (reply, status, headers, body) => {
  const { raw } = reply
  const bytes = Buffer.byteLength(body)
  if (status !== 204) headers.push('content-length', String(bytes))
  // This may throw, and then the request is still to be answered.
  raw.writeHead(status, headers)
  reply.hijack()
  if (bytes > 0) {
    // A reply that is pipelined behind another has no socket yet.
    const { socket } = raw
    socket?.cork()
    if (bytes === body.length) raw.write(body, 'latin1')
    else raw.write(body)
    socket?.uncork()
  }
  raw.end()
}

/** For a scope of somebody's app, whose hooks see the reply. */
export const sendThroughHooks: Send = (reply, status, headers, body) => {
  reply.code(status).serializer(asItIs)
  for (let at = 0; at < headers.length; at += 2) reply.header(headers[at]!, headers[at + 1])
  reply.send(body === '' ? undefined : body)
}

/** Fastify adds a charset to JSON that it serialises itself; ours is sent as it is. */
function asItIs(payload: unknown): string {
  return payload as string
}
