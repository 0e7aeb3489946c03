/** P4: what an owner says before it knows how far its logs go. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { askForOffsets } from '../../src/log/durable.js'
import { acquireLock } from '../../src/log/lock.js'

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'sluicegate-durable-'))))
afterEach(() => rmSync(directory, { recursive: true }))

it('nobody owns the folder: nothing to ask', async () => {
  expect(await askForOffsets(directory, ['log'])).toBeUndefined()
})

it('an owner that never knows is waited for, and then named as what keeps everybody', async () => {
  let asked = 0
  const lock = await acquireLock(directory, () => `{"pid":${++asked},"rejects":0}`)
  await expect(askForOffsets(directory, ['log'], 3)).rejects.toMatchObject({
    code: 'owner_recovering',
    message: expect.stringContaining(`${directory} has been recovering its logs`) as string,
  })
  expect(asked).toBe(3)
  expect(await askForOffsets(directory, ['rejects'])).toMatchObject({ rejects: 0 })
  await lock.release()
})

it('an owner that speaks another language is said to', async () => {
  const lock = await acquireLock(directory, () => 'hello')
  await expect(askForOffsets(directory, ['log'])).rejects.toMatchObject({ code: 'owner_unintelligible' })
  await lock.release()
})
