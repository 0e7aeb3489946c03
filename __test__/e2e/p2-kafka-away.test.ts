/** P2, P6 and P7 while Kafka is away: the short form; p2-kafka-away.soak.test.ts goes on for longer. */
import { it } from 'vitest'
import { describeKafka } from '../kafka/support/suite.js'
import { away, expectUnnoticed } from './support/kafka-away.js'
import { workspace } from './support/server.js'

await describeKafka('P2, P6, P7: Kafka is away', {}, (cluster) => {
  it('for 30 s: no reply fails, memory stays bounded, all follows in order at several times the rate', async () => {
    await cluster().createTopic('sluicegate.track', 6, { 'max.message.bytes': '4194304' })
    const result = await away(cluster(), workspace(), 30)
    console.log(result)
    expectUnnoticed(result, 3)
  }, 180_000)
})
