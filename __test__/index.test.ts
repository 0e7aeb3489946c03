/** The library's entrance: a program starts the server, sends an event, and reads it back. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { configWith, createLogger, readLog, startGate } from '../src/index.js'

it('serves and reads back within one program', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluicegate-index-'))
  const logger = createLogger({ logLevel: 'silent', logFormat: 'json' })
  const gate = await startGate(configWith({ port: 0, opsPort: 0, dataDir, drainMs: 0 }), { logger })
  try {
    const body = '{"event":"e","properties":{"token":"t0k","n":12345678901234567890}}'
    const reply = await fetch(`${gate.ingestAddress}/track`, { method: 'POST', body })
    expect(await reply.text()).toBe('1')
    const values: string[] = []
    for await (const { value } of readLog({ directory: join(dataDir, '0/log'), from: 'start' })) {
      values.push(Buffer.from(value).toString())
    }
    expect(values).toHaveLength(1)
    expect(values[0]).toContain(`"record":${body}}`)
  } finally {
    await gate.stop()
    rmSync(dataDir, { recursive: true })
  }
})
