/**
 * Requests of real SDKs, recorded on the wire and replayed byte for byte against a running server: each gets the reply
 * that its SDK needs (docs/PROTOCOL.md 6.1, 10), and each of its events stands in the log exactly once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RawConnection, type Reply } from '../support/http.js'
import { describeWith } from '../support/require.js'
import { NOW_MS, type StoredRecord, startTestGate, type TestGate } from '../support/server.js'
import { expectedRecords } from '../vectors/expected.js'
import { judge } from '../vectors/judge.js'
import { type Capture, captureExpectations, captures } from '../vectors/wire-captures.js'

interface Replayed {
  readonly reply: Reply
  /** The server has closed the connection, as the client asked. */
  readonly closed: boolean
}

async function replay(address: string, { bytes, method, headers }: Capture): Promise<Replayed> {
  const connection = await RawConnection.open(address)
  try {
    connection.write(bytes)
    const reply = await connection.reply(method)
    const closes = headers.get('connection') === 'close'
    if (closes) await connection.closed
    return { reply, closed: closes }
  } finally {
    connection.destroy()
  }
}

/** The records of each request, in the order of the log; requests were sent one after the other. */
function byRequest(records: readonly StoredRecord[]): Map<string, StoredRecord[]> {
  const groups = new Map<string, StoredRecord[]>()
  for (const record of records) {
    const { request_id: id } = JSON.parse(record.value) as { request_id: string }
    groups.set(id, [...(groups.get(id) ?? []), record])
  }
  return groups
}

function suite(decoder: 'native' | 'reference'): void {
  const all = captures()
  const expectations = captureExpectations()
  const replies: Replayed[] = []
  let gate: TestGate
  let stored: [string, StoredRecord[]][]

  beforeAll(async () => {
    gate = await startTestGate({ decoder })
    for (const capture of all) replies.push(await replay(gate.ingest, capture))
    await gate.stop()
    stored = [...byRequest(await gate.read('log'))]
  })
  afterAll(() => gate.remove())

  it.each(all.map((capture, at) => [capture.name, at] as const))('%s', (name, at) => {
    const { headers } = all[at]!
    const expectation = expectations[at]!
    expect(expectation.id).toBe(name)
    judge(replies[at]!.reply, expectation.reply, headers.get('origin'))
    const [requestId, records] = stored[at]!
    const userAgent = headers.get('user-agent')
    const about = {
      receivedMs: NOW_MS,
      requestId,
      ipJson: '"127.0.0.1"',
      uaJson: userAgent === undefined ? 'null' : JSON.stringify(userAgent),
    }
    const found = records.map(({ key, value }) => ({ key, value }))
    expect(found).toEqual(expectedRecords(expectation.queue, about))
  })

  it('every event is there once, and none is rejected', async () => {
    const expected = expectations.reduce((sum, { queue }) => sum + queue.length, 0)
    expect(stored.flatMap(([, records]) => records)).toHaveLength(expected)
    expect(stored).toHaveLength(all.length)
    expect(await gate.read('rejects')).toEqual([])
  })

  it('a connection is closed when its client asks for that (Ruby), and left open otherwise', () => {
    const asked = all.filter(({ headers }) => headers.get('connection') === 'close').map(({ name }) => name)
    expect(asked).toEqual(['rb #1', 'rb #2', 'rb #3', 'rb #4'])
    expect(replies.filter(({ closed }) => closed)).toHaveLength(asked.length)
    const kept = replies.filter(({ reply }) => reply.headers.get('connection') !== 'close')
    expect(kept).toHaveLength(all.length - asked.length)
  })
}

describe('recorded requests of SDKs, reference decoder', () => suite('reference'))
describeWith('native', 'recorded requests of SDKs, native decoder', () => suite('native'))
