/** docs/guides/kafka.md: its commands as they stand there, one after the other. */
import { expect, it } from 'vitest'
import { readDocument } from '../docs/markdown.js'
import { describeKafka } from '../kafka/support/suite.js'
import { drained, startShipping } from './support/kafka.js'
import { CLI, launch, workspace } from './support/server.js'

await describeKafka('docs/guides/kafka.md', {}, (cluster) => {
  const run = async (command: string, ingest = ''): Promise<string> => {
    const own = command
      .replaceAll('127.0.0.1:9092', cluster().addresses)
      .replaceAll('http://127.0.0.1:8080', ingest)
      .replaceAll('npx sluicegate', `${process.execPath} ${CLI}`)
    const one = launch(['bash', '-c', own], { cwd: workspace() })
    const { code } = await one.exited
    expect(code, `${own}: ${one.stderr}`).toBe(0)
    return one.stdout
  }

  it('leads from nothing to an event read from a topic', async () => {
    const blocks = readDocument('docs/guides/kafka.md').blocks.filter(({ language }) => language === 'sh')
    const [create, dryRun, doctor, first] = blocks.map(({ text }) => text.trim())
    expect(blocks).toHaveLength(4)
    expect((await run(create!)).match(/ made /g)).toHaveLength(4)
    expect((await run(dryRun!)).match(/ is there /g)).toHaveLength(4)
    expect(await run(doctor!)).toContain('Nothing needs a hand.')
    const server = await startShipping(cluster(), workspace())
    const [curl, kcat] = first!.split('\n')
    expect(await run(curl!, server.ingest)).toBe('{"error":null,"status":1}')
    await drained(server)
    expect(await run(kcat!)).toMatch(/^\{"v":1,"kind":"track","token":"t0k".*"event":"Signed Up".*\}\n$/)
    await server.stop()
  })
})
