/** P10: rejected events are kept, bounded, listed, explained, mended and replayed; junk never harms good events. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exchange } from '../support/http.js'
import { event, post, postGzip, postJson } from './support/events.js'
import { expectBounded, flood } from './support/flood.js'
import { cli, startServer, workspace } from './support/server.js'
import { tail } from './support/tail.js'

describe('P10: a flood of junk', () => {
  it('is kept up to its rate and bytes, the oldest go, all of it is counted; good events do not notice', async () => {
    expectBounded(await flood(workspace(), 3))
  })
})

describe('P10: from a rejected event to a replayed one', () => {
  it('list, show, explain, mend, replay: once, and twice only when forced', async () => {
    const dataDir = workspace()
    const server = await startServer({ dataDir })
    const sent = [
      event('good'),
      { event: 'mended', properties: { token: 't0k', distinct_id: 'u7', n: '12345678901234567890' } },
    ]
    const broken = JSON.stringify(sent)
      .replace('"event":"mended"', '"evnt":"mended"')
      .replace('"12345678901234567890"', '12345678901234567890')
    const { body } = await exchange(server.ingest, postGzip('/track?verbose=1', broken))
    expect(JSON.parse(body.toString())).toMatchObject({ status: 1, num_good_events: 1, num_bad_events: 1 })

    const flags = ['--data-dir', dataDir]
    const rejects = (...args: string[]) => cli(['rejects', ...args, ...flags])
    // Synced at most a second later; the list shows what is durable.
    const listed = await eventually(async () => {
      const { stdout } = await rejects('list', '--json')
      return stdout === '' ? undefined : stdout
    })
    const rejected = JSON.parse(listed) as {
      offset: number
      raw: string
      problem: { code: string }
      received_ms: number
    }
    expect(rejected).toMatchObject({ offset: 0, problem: { code: 'event_missing' } })
    const table = await rejects('list')
    expect(table.stdout).toMatch(/^\s*0\s+\S+\s+track\s+event_missing/m)
    const shown = await rejects('show', '0')
    expect(shown.stdout.trimEnd()).toBe(rejected.raw)

    const file = join(dataDir, 'raw.json')
    writeFileSync(file, shown.stdout)
    const explained = await cli(['explain', file])
    expect(explained.stdout + explained.stderr).toContain('event_missing')

    // Still as it was: rejected again, and not kept a second time.
    const again = await rejects('replay', file, '--offset', '0')
    expect(again.code).toBe(1)
    expect(again.stdout).toContain('rejected again')
    writeFileSync(file, shown.stdout.replace('evnt', 'event'))
    const replayed = await rejects('replay', file, '--offset', '0')
    expect(replayed.code, replayed.stderr).toBe(0)
    expect(replayed.stdout).toMatch(/^0\taccepted/m)
    const once = await tail(dataDir)
    expect(once.map(({ record }) => record.event)).toEqual(['good', 'mended'])
    expect(once[1]).toMatchObject({
      flags: ['replayed'],
      distinct_id: 'u7',
      received_ms: rejected.received_ms,
    })
    expect((await cli(['tail', '--from', '1', ...flags])).stdout).toContain('"n":12345678901234567890')

    const twice = await rejects('replay', file, '--offset', '0')
    expect(twice.stdout).toContain('already replayed')
    // Also not after a crash.
    await server.kill()
    await startServer({ dataDir })
    expect((await rejects('replay', file, '--offset', '0')).stdout).toContain('already replayed')
    expect(await tail(dataDir)).toHaveLength(2)
    const forced = await rejects('replay', file, '--offset', '0', '--force')
    expect(forced.stdout).toMatch(/^0\taccepted/m)
    expect((await tail(dataDir)).map(({ record }) => record.event)).toEqual(['good', 'mended', 'mended'])
    expect((await rejects('list', '--json')).stdout.trimEnd().split('\n')).toHaveLength(1)
  })

  it('--code replays all of a kind once the server takes them, each with its endpoint, in their order', async () => {
    const dataDir = workspace()
    const limits = ['--body-limit-bytes', '1MiB']
    const server = await startServer({ dataDir, args: limits })
    // 65 levels are one too many; what is replayed is what was kept, so it is rejected again, and counted once.
    const deep = `${'['.repeat(64)}${']'.repeat(64)}`
    for (let n = 0; n < 3; n++) {
      await exchange(
        server.ingest,
        post('/track', `{"event":"e","properties":{"token":"t","n":${n},"x":${deep}}}`),
      )
    }
    await exchange(server.ingest, postJson('/engage', { $token: 't', $distinct_id: 'u' }))
    const { rejects } = await server.status()
    expect(rejects.kept).toBe(4)
    await server.stop()
    const again = await startServer({ dataDir, args: limits })
    const list = await cli(['rejects', 'list', '--json', '--data-dir', dataDir])
    const mended = list.stdout.replaceAll(deep, '[]')
    writeFileSync(join(dataDir, 'mended.ndjson'), mended)
    const replay = await cli(['rejects', 'replay', join(dataDir, 'mended.ndjson'), '--data-dir', dataDir])
    expect(replay.code).toBe(1)
    expect(replay.stdout.match(/accepted/g)).toHaveLength(3)
    expect(replay.stdout.match(/rejected again/g)).toHaveLength(1)
    expect((await tail(dataDir)).map(({ kind, record }) => [kind, record.properties!['n']])).toEqual([
      ['track', 0],
      ['track', 1],
      ['track', 2],
    ])
    // What went in is not sent again; what did not is.
    const code = await cli(['rejects', 'replay', '--code', 'record_too_deep', '--data-dir', dataDir])
    expect(code.stdout + code.stderr).toContain('nothing to send')
    expect(await tail(dataDir)).toHaveLength(3)
    expect((await again.status()).rejects.next_offset).toBe(4)
  })
})

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const found = await look()
    if (found !== undefined) return found
    if (attempt > 20) throw new Error('it does not come')
  }
}
