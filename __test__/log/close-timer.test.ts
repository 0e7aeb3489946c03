/** A log that syncs at most once in a while, and is closed while it waits to do so. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { MemoryDisk } from './support/memory-disk.js'
import { open, put, read, record } from './support/run.js'

it('P2: closing such a log leaves the immediates of the process alone, on which every commit stands', async () => {
  const disk = new MemoryDisk()
  const rejects = await open(disk, { syncIntervalMs: 1000 })
  await put(rejects, record(0))
  await sleep(10)
  const waiting = put(rejects, record(1))
  await rejects.close()
  await waiting
  const first = await Promise.race([
    new Promise((resolve) => setImmediate(() => resolve('an immediate'))),
    sleep(200, 'a later timer'),
  ])
  expect(first).toBe('an immediate')
  expect(await read(disk)).toEqual([0, 1])
})
