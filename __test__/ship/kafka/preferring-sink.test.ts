import { expect, it } from 'vitest'
import { PreferringSink } from '../../../src/ship/kafka/preferring-sink.js'
import { type ClusterView, type Sink, SinkUnavailable } from '../../../src/ship/sink.js'

const VIEW: ClusterView = { clusterId: 'c', topics: [], unusable: [] }
const unavailable = (code: string): SinkUnavailable => new SinkUnavailable({ code, message: `${code}!` })

/** A sink whose `describe` answers or throws these in turn. */
function sinkWith(exactlyOnce: boolean, ...answers: (ClusterView | Error)[]): Sink & { closed: boolean } {
  const fail = (): never => {
    throw new Error('not expected')
  }
  return {
    exactlyOnce,
    closed: false,
    async describe() {
      const answer = answers.shift()!
      if (answer instanceof Error) throw answer
      return answer
    },
    producerIdentity: fail,
    producerState: fail,
    publish: fail,
    end: fail,
    scan: fail,
    async close() {
      this.closed = true
    },
  }
}

function preferring(first: Sink, second: Sink): { sink: PreferringSink; reasons: string[] } {
  const reasons: string[] = []
  return {
    sink: new PreferringSink(
      first,
      () => second,
      (why) => reasons.push(why),
    ),
    reasons,
  }
}

it('goes over to at least once when the brokers are too old, and says why', async () => {
  const exact = sinkWith(true, unavailable('kafka_too_old'))
  const { sink, reasons } = preferring(exact, sinkWith(false, VIEW))
  expect(sink.exactlyOnce).toBe(true)
  expect(await sink.describe([])).toBe(VIEW)
  expect(sink.exactlyOnce).toBe(false)
  expect(exact.closed).toBe(true)
  expect(reasons).toEqual(['kafka_too_old!'])
})

it('waits for a cluster that is away', async () => {
  const { sink, reasons } = preferring(sinkWith(true, unavailable('unreachable'), VIEW), sinkWith(false))
  await expect(sink.describe([])).rejects.toThrow('unreachable!')
  expect(sink.exactlyOnce).toBe(true)
  expect(await sink.describe([])).toBe(VIEW)
  expect(reasons).toEqual([])
})

it('never goes over once it has shipped exactly once: an old broker that joins is waited out', async () => {
  const { sink, reasons } = preferring(sinkWith(true, VIEW, unavailable('kafka_too_old')), sinkWith(false))
  await sink.describe([])
  await expect(sink.describe([])).rejects.toThrow('kafka_too_old!')
  expect(sink.exactlyOnce).toBe(true)
  expect(reasons).toEqual([])
})
