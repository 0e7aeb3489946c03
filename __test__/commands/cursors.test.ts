import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeDisk } from '../../src/log/node-disk.js'
import { Cursors } from '../../src/log/cursor.js'
import { acquireLock } from '../../src/log/lock.js'
import { systemClock } from '../../src/clock.js'
import { dataDirectory, event, remove, request } from './support/data-directory.js'
import { run } from './support/run.js'

let directory: string
beforeAll(async () => {
  directory = await dataDirectory([event('A'), event('B'), event('C')].map((body) => request(body)))
})
afterAll(() => remove(directory))

const cursors = (...args: string[]) => run('cursors', ...args, '--data-dir', directory)

describe('cursors', () => {
  it('none at first: said on stderr, and fine', async () => {
    expect(await cursors('list')).toEqual({ out: '', err: 'there are no cursors\n', code: 0 })
    expect(await cursors('list', '--json')).toEqual({ out: '', err: '', code: 0 })
  })

  it('are made, moved, listed with their lag, and deleted', async () => {
    expect((await cursors('set', 'warehouse', '1')).out).toBe(
      'warehouse: made, now at 1; 2 records are to come\n',
    )
    const moved = await cursors('set', 'warehouse', '3')
    expect(moved.out).toBe('warehouse: moved from 1, now at 3; 0 records are to come\n')
    await cursors('set', 'archive', '0')
    const table = (await cursors('list')).out.split('\n')
    expect(table[0]).toMatch(/^cursor +offset +behind +moved$/)
    expect(table[1]).toMatch(/^archive +0 +3 +(now|\d+ seconds? ago)$/)
    expect(table[2]).toMatch(/^warehouse +3 +0 +(now|\d+ seconds? ago)$/)
    const json = (await cursors('list', '--json')).out
      .trimEnd()
      .split('\n')
      .map((row) => JSON.parse(row) as unknown)
    expect(json).toMatchObject([
      { name: 'archive', offset: 0, lag: 3, updated_ms: expect.any(Number) as number },
      { name: 'warehouse', offset: 3, lag: 0 },
    ])
    expect(await cursors('delete', 'archive')).toEqual({ out: 'archive: deleted\n', err: '', code: 0 })
    expect(await cursors('delete', 'archive')).toMatchObject({ code: 2, out: '' })
    expect((await cursors('delete', 'archive')).err).toContain(
      'there is no cursor archive; there are warehouse',
    )
  })

  it('cannot be set beyond the end of the log', async () => {
    const beyond = await cursors('set', 'warehouse', '4')
    expect(beyond).toMatchObject({ code: 2, out: '' })
    expect(beyond.err).toContain('OFFSET 4 is beyond the end of the log, which is 3')
    expect(await new Cursors(`${directory}/0`, nodeDisk, systemClock).get('warehouse')).toBe(3)
  })

  it('P4: wait for a server that recovers its logs, whose end nobody knows before', async () => {
    for (const args of [
      ['set', 'warehouse', '2'],
      ['list', '--json'],
    ]) {
      let answer = '{"pid":1,"ops":null}'
      const lock = await acquireLock(`${directory}/0`, () => answer)
      const done = cursors(...args)
      const first = await Promise.race([done, sleep(200)])
      answer = '{"pid":1,"log":3,"rejects":0,"ops":null}'
      const ran = await done
      await lock.release()
      expect(first, 'not before the end is known').toBe(undefined)
      expect(ran.code).toBe(0)
      expect(ran.out).toMatch(/1 records are to come|"lag":1/)
    }
  })

  it('cannot have names that are paths', async () => {
    expect(await cursors('set', '../x', '1')).toMatchObject({ code: 2, out: '' })
  })
})
