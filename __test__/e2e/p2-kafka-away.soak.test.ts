/** The long form of p2-kafka-away.test.ts. */
import { it } from 'vitest'
import { describeKafka } from '../kafka/support/suite.js'
import { away, expectUnnoticed } from './support/kafka-away.js'
import { workspace } from './support/server.js'

await describeKafka('P2, P6, P7: Kafka is away', {}, (cluster) => {
  it('for 5 minutes: no reply fails, memory stays bounded, all follows in order', async () => {
    await cluster().createTopic('sluicegate.track', 6, { 'max.message.bytes': '4194304' })
    const result = await away(cluster(), workspace(), 300)
    console.log(result)
    expectUnnoticed(result, 5)
  })
})
