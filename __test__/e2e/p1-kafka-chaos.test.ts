/** P1 and P6 through Kafka, with everything failing: the short form; p1-kafka-chaos.soak.test.ts goes on for longer. */
import { expect, it } from 'vitest'
import { describeKafka } from '../kafka/support/suite.js'
import { CHAOS_TOPIC, chaos } from './support/kafka-chaos.js'
import { expectOrdered, expectSame } from './support/kafka.js'
import { workspace } from './support/server.js'

const CLUSTER = { brokers: 3, faults: true } as const

await describeKafka(
  'P1, P6: server and leaders killed, a leader frozen, replies lost',
  CLUSTER,
  (cluster) => {
    it('every acknowledged event is in the topic once, in the order of its key', async () => {
      await cluster().createTopic(CHAOS_TOPIC, 3, { 'max.message.bytes': '4194304' })
      const dataDir = workspace()
      const options = { events: 20_000, serverKills: 3, leaderKills: 1, frozenMs: 4000, seed: 20261125 }
      const { verdict, lines, faults } = await chaos(cluster(), dataDir, options)
      expect(verdict).toMatchObject({ lost: 0, doubled: 0, split: 0, disordered: 0 })
      await expectSame(dataDir, lines)
      expectOrdered(lines)
      // That it was chaos: something was lost on the way, and some requests were cut short.
      expect(verdict.acknowledged).toBeGreaterThan(10_000)
      expect(verdict.unanswered).toBeGreaterThan(0)
      expect(faults).toBeGreaterThan(2)
      expect(lines.filter(({ possibleDuplicate }) => possibleDuplicate)).toEqual([])
    }, 180_000)
  },
)
