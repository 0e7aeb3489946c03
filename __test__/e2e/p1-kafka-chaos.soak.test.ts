/** The long form of p1-kafka-chaos.test.ts, and the same with the client's own producer, whose duplicates are counted. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { describeKafka } from '../kafka/support/suite.js'
import { install } from './support/installed.js'
import { CHAOS_TOPIC, chaos } from './support/kafka-chaos.js'
import { expectOrdered, expectSame } from './support/kafka.js'
import { workspace } from './support/server.js'

const CLUSTER = { brokers: 3, faults: true } as const
const OPTIONS = { events: 210_000, serverKills: 20, leaderKills: 3, frozenMs: 10_000, seed: 20261126 }

await describeKafka(
  'P1, P6: 20 kills of the server, 3 of leaders, a leader frozen for 10 s',
  CLUSTER,
  (cluster) => {
    it('every acknowledged event of more than 200 000 is in the topic once, in the order of its key', async () => {
      await cluster().createTopic(CHAOS_TOPIC, 3, { 'max.message.bytes': '4194304' })
      const dataDir = workspace()
      const { verdict, lines, faults, drainMs } = await chaos(cluster(), dataDir, OPTIONS)
      console.log('exactly once:', {
        ...verdict,
        records: lines.length,
        faults,
        drainMs: Math.round(drainMs),
      })
      expect(verdict).toMatchObject({ lost: 0, doubled: 0, split: 0, disordered: 0 })
      await expectSame(dataDir, lines)
      expectOrdered(lines)
      expect(verdict.acknowledged).toBeGreaterThanOrEqual(200_000)
      expect(faults).toBeGreaterThan(10)
    })
  },
)

await describeKafka("the same with the client's own producer", CLUSTER, (cluster) => {
  it('loses nothing; how many stand there twice is reported', async () => {
    await cluster().createTopic(CHAOS_TOPIC, 3, { 'max.message.bytes': '4194304' })
    // A client of another version: `prefer` then publishes at least once.
    const installed = install()
    onTestFinished(() => installed.remove())
    const file = join(installed.directory, 'node_modules/kafkajs/package.json')
    const content = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    writeFileSync(file, JSON.stringify({ ...content, version: '2.2.5' }))
    const options = { ...OPTIONS, command: installed.command, args: ['--kafka-exactly-once', 'prefer'] }
    const { verdict, lines, faults } = await chaos(cluster(), workspace(), options)
    console.log('at least once:', { ...verdict, records: lines.length, faults })
    expect(verdict).toMatchObject({ lost: 0, split: 0 })
  })
})
