/** The shared suite over a real broker, once for every way of sending. */
import { afterAll, beforeAll, describe } from 'vitest'
import { canCompress, COMPRESSIONS } from '../../../src/ship/kafka/compression.js'
import { PublicProducerSink } from '../../../src/ship/kafka/public-sink.js'
import { createSink } from '../../../src/ship/kafka/select.js'
import type { Sink } from '../../../src/ship/sink.js'
import type { Cluster } from '../../kafka/support/cluster.js'
import { describeKafka } from '../../kafka/support/suite.js'
import { exactlyOnceCases, scanCases, sinkCases, type SinkFixture } from '../sink.cases.js'
import { fixtureOf, optionsFor } from './fixture.js'

type Cases = (fixture: () => SinkFixture) => void

const CODECS = COMPRESSIONS.filter((codec) => codec !== 'none' && canCompress(codec))

/** The cases over one sink, made once. */
function suite(make: () => Promise<Sink>, cluster: () => Cluster, cases: readonly Cases[]): void {
  let sink: Sink
  beforeAll(async () => {
    sink = await make()
  })
  afterAll(() => sink.close())
  for (const add of cases) add(() => fixtureOf(cluster(), sink))
}

await describeKafka('kafka sink', {}, (cluster) => {
  describe('exactly once', () => {
    const cases = [sinkCases, exactlyOnceCases, scanCases]
    suite(() => createSink(optionsFor(cluster())), cluster, cases)
  })

  describe.each(CODECS)('exactly once, compression %s', (compression) => {
    suite(() => createSink(optionsFor(cluster(), { compression })), cluster, [sinkCases, scanCases])
  })

  describe('exactly once preferred', () => {
    const make = (): Promise<Sink> => createSink(optionsFor(cluster(), { exactlyOnce: 'prefer' }))
    suite(make, cluster, [sinkCases, scanCases])
  })

  describe.each(['none', ...CODECS] as const)('at least once, compression %s', (compression) => {
    suite(async () => new PublicProducerSink(optionsFor(cluster(), { compression })), cluster, [sinkCases])
  })
})

await describeKafka('kafka sink, Kafka 3.9', { version: '3.9.2' }, (cluster) => {
  suite(() => createSink(optionsFor(cluster(), { compression: 'lz4' })), cluster, [
    sinkCases,
    exactlyOnceCases,
    scanCases,
  ])
})
