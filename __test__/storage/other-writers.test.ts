/** /status names the folders of other writers that hold what nobody has read yet. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Cursors } from '../../src/log/cursor.js'
import { acquireLock } from '../../src/log/lock.js'
import { OtherWriters } from '../../src/storage/other-writers.js'
import { dataDirectory, event, openIntake, remove, request } from '../commands/support/data-directory.js'

const events = (...names: string[]) => names.map((name) => request(event(name)))

let dataDir: string
let others: OtherWriters
beforeEach(async () => {
  dataDir = await dataDirectory(events('A', 'B'))
  others = new OtherWriters(dataDir, '0')
})
afterEach(() => {
  others.stop()
  remove(dataDir)
})

async function found(): Promise<OtherWriters['found']> {
  await others.look()
  return others.found
}

it('its own folder is none of them, nor what holds no log', async () => {
  mkdirSync(join(dataDir, 'notes'))
  writeFileSync(join(dataDir, 'a file'), '')
  expect(await found()).toEqual([])
})

it('with what the slowest cursor has not passed, until it has', async () => {
  await dataDirectory(events('C', 'D', 'E'), { into: dataDir, writer: 'one' })
  const one = { writer: 'one', pid: null, first_offset: 0, end_offset: 3 }
  expect(await found()).toEqual([{ ...one, unread: 3 }])
  const cursors = new Cursors(join(dataDir, 'one'))
  await cursors.set('fast', 3)
  await cursors.set('slow', 1)
  expect(await found()).toEqual([{ ...one, unread: 2 }])
  await cursors.set('slow', 3)
  expect(await found()).toEqual([])
  // What comes later is seen.
  await dataDirectory(events('F'), { into: dataDir, writer: 'one' })
  expect(await found()).toEqual([{ ...one, end_offset: 4, unread: 1 }])
})

it('a live one says itself how far it has come, and who it is', async () => {
  const path = join(dataDir, 'one')
  const { intake, log, rejectsLog } = await openIntake(path)
  const lock = await acquireLock(path, () => JSON.stringify({ pid: 4711, log: log.durableOffset }))
  for (const one of events('C', 'D')) await intake.take(one)
  const live = { writer: 'one', pid: 4711, first_offset: 0, end_offset: 2, unread: 2 }
  expect(await found()).toEqual([live])
  for (const one of events('E')) await intake.take(one)
  expect(await found()).toEqual([{ ...live, end_offset: 3, unread: 3 }])
  // Ended without closing its log: the segment's size is what it was.
  await lock.release()
  expect(await found()).toEqual([{ ...live, pid: null, end_offset: 3, unread: 3 }])
  await Promise.all([log.close(), rejectsLog.close()])
})

it('one that cannot be looked at is named with the reason, and the others are looked at all the same', async () => {
  for (const writer of ['one', 'two']) await dataDirectory(events('C'), { into: dataDir, writer })
  mkdirSync(join(dataDir, 'one/cursors'))
  writeFileSync(join(dataDir, 'one/cursors/c.json'), '{"v":1,"off')
  expect(await found()).toMatchObject([
    { writer: 'one', error: expect.stringContaining('the cursor c cannot be read') as string },
    { writer: 'two', unread: 1 },
  ])
})
