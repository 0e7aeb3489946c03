/** P6 and R10: pipelined requests reach the log in the order in which they were sent, whatever each of them takes. */
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { RawConnection, requestBytes } from '../support/http.js'
import { event, get, JSON_TYPE, post, postJson } from './support/events.js'
import { startServer, workspace } from './support/server.js'
import { tail } from './support/tail.js'

/** Inflated off the main thread: more than is done at once there (src/http/inflate.ts). */
const PAD = randomBytes(300_000).toString('base64')

describe('P6: pipelined requests of one connection', () => {
  it('a GET does not overtake a POST, nor a small body a large one that is inflated elsewhere', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir })
    const connection = await RawConnection.open(server.ingest)
    const large = (n: number) =>
      post('/track', gzipSync(JSON.stringify(event('large', { n, pad: PAD })), { level: 1 }), {
        'Content-Encoding': 'gzip',
        'Content-Type': JSON_TYPE,
      })
    const broken = post('/track', Buffer.from('not gzip'), { 'Content-Encoding': 'gzip' })
    const small = (n: number) => (n % 2 === 0 ? get : postJson)('/track', event('small', { n }))
    const requests = [
      large(0),
      small(1),
      small(2),
      broken,
      small(3),
      large(4),
      large(5),
      small(6),
      small(7),
      small(8),
    ]
    connection.write(Buffer.concat(requests.map(requestBytes)))
    const answers: string[] = []
    for (const _ of requests) answers.push((await connection.reply()).body.toString())
    connection.destroy()
    expect(answers.join('')).toBe('1110111111')
    const lines = await tail(dataDir)
    expect(lines.map(({ record }) => record.properties!['n'])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('100 pipelined requests are answered in order, one reply each', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir })
    const connection = await RawConnection.open(server.ingest)
    // Even ones are good; the others say which they are.
    const request = (n: number) =>
      postJson('/track?verbose=1', n % 2 === 0 ? event('e', { n }) : { event: 'e' })
    connection.write(Buffer.concat(Array.from({ length: 100 }, (_, n) => requestBytes(request(n)))))
    const statuses: unknown[] = []
    for (let n = 0; n < 100; n++) {
      const { status, body } = await connection.reply()
      statuses.push([status, (JSON.parse(body.toString()) as { status: number }).status])
    }
    expect(statuses).toEqual(Array.from({ length: 100 }, (_, n) => [200, n % 2 === 0 ? 1 : 0]))
    expect(connection.rest).toHaveLength(0)
    connection.destroy()
    const lines = await tail(dataDir)
    expect(lines.map(({ record }) => record.properties!['n'])).toEqual(
      Array.from({ length: 50 }, (_, n) => 2 * n),
    )
  })
})
