/** Bodies on their way from node:http's parser to whoever collects them: at once, or as a stream. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { type BodyTaker, DirectRequest, handBody, takeBodyBack } from '../../src/http/incoming.js'
import { chunk, CHUNKED, Client, JSON_BODY, requestBytes, until } from './support.js'

class Taker implements BodyTaker {
  readonly heard: string[] = []
  constructor(private readonly finished: () => void = () => {}) {}
  add(piece: Buffer): void {
    this.heard.push(piece.toString())
  }
  finish(): void {
    this.heard.push('end')
    this.finished()
  }
  abort(): void {
    this.heard.push('gone')
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

let server: Server
let client: Client
afterEach(() => {
  client?.destroy()
  server.closeAllConnections()
  server.close()
})

async function serve(direct: boolean, handler: Handler): Promise<Client> {
  server = direct ? createServer({ IncomingMessage: DirectRequest }, handler) : createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (client = await Client.open((server.address() as AddressInfo).port))
}

const post = (body: string): Buffer => requestBytes('/track', { headers: JSON_BODY, body })
const chunkedHead = requestBytes('/track', { method: 'POST', headers: CHUNKED })

describe.each([
  ['a request of our own server', true],
  ["a request of somebody's app", false],
])('%s', (_name, direct) => {
  test('hands on each piece, then the end; the connection stays', async () => {
    const takers: Taker[] = []
    await serve(direct, (request, response) => {
      const taker = new Taker(() => response.end('ok'))
      takers.push(taker)
      handBody(request, taker)
    })
    client.write(chunkedHead, chunk('one'))
    await until(() => takers[0]?.heard.length === 1)
    client.write(chunk('two'), chunk(''), post('three'))
    expect((await client.reply()).body).toBe('ok')
    expect((await client.reply()).body).toBe('ok')
    client.write(post('four'))
    expect((await client.reply()).body).toBe('ok')
    expect(takers.map(({ heard }) => heard)).toEqual([
      ['one', 'two', 'end'],
      ['three', 'end'],
      ['four', 'end'],
    ])
  })

  test('what follows once it is taken back is a stream for others', async () => {
    const taker = new Taker()
    let rest = ''
    await serve(direct, (request, response) => {
      handBody(request, {
        add: (piece) => {
          taker.add(piece)
          takeBodyBack(request)
          request.on('data', (more: Buffer) => (rest += more.toString())).on('end', () => response.end('ok'))
          request.resume()
        },
        finish: () => taker.finish(),
        abort: () => taker.abort(),
      })
    })
    client.write(chunkedHead, chunk('one'))
    await until(() => taker.heard.length === 1)
    client.write(chunk('two'), chunk('three'), chunk(''))
    expect((await client.reply()).body).toBe('ok')
    expect(taker.heard).toEqual(['one'])
    expect(rest).toBe('twothree')
  })

  test('tells of a client that goes away in the middle, and not of one that goes behind the end', async () => {
    const takers: Taker[] = []
    await serve(direct, (request) => {
      takers.push(new Taker())
      handBody(request, takers.at(-1)!)
    })
    client.write(post('one'), chunkedHead, chunk('two'))
    await until(() => takers[1]?.heard.length === 1)
    client.destroy()
    await until(() => takers[1]!.heard.length === 2)
    await turn()
    expect(takers.map(({ heard }) => heard)).toEqual([
      ['one', 'end'],
      ['two', 'gone'],
    ])
  })

  test('a body that nobody took is read away after the reply', async () => {
    await serve(direct, (_request, response) => void response.end('ok'))
    client.write(chunkedHead, chunk('one'))
    expect((await client.reply()).body).toBe('ok')
    client.write(chunk('two'), chunk(''), post('three'))
    expect((await client.reply()).body).toBe('ok')
  })
})

test('what came before somebody takes it is not lost', async () => {
  const takers: Taker[] = []
  await serve(true, (request, response) => {
    setTimeout(() => {
      const taker = new Taker(() => response.end('ok'))
      takers.push(taker)
      handBody(request, taker)
    }, 20)
  })
  client.write(post('one'))
  expect((await client.reply()).body).toBe('ok')
  client.write(chunkedHead, chunk('two'))
  await new Promise((resolve) => setTimeout(resolve, 40))
  client.write(chunk('three'), chunk(''))
  expect((await client.reply()).body).toBe('ok')
  expect(takers.map(({ heard }) => heard)).toEqual([
    ['one', 'end'],
    ['two', 'three', 'end'],
  ])
})

test('our own hands a body on while the parser has it: no stream flows, and nothing listens', async () => {
  const seen: unknown[] = []
  let request: IncomingMessage | undefined
  await serve(true, (incoming, response) => {
    request = incoming
    handBody(incoming, new Taker(() => response.end('ok')))
    seen.push(incoming.readableFlowing, incoming.eventNames())
  })
  client.write(post('one'))
  expect((await client.reply()).body).toBe('ok')
  await turn()
  // false: node:http reads away, with a turn of its own, what it believes that nobody has read.
  expect(request!.readableFlowing).toBe(null)
  expect(seen).toEqual([null, []])
})
