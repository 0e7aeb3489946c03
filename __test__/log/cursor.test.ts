import { fork } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/clock.js'
import { SluicegateError, UsageError } from '../../src/errors.js'
import { Cursors } from '../../src/log/cursor.js'
import { write } from './disk.cases.js'
import { MemoryDisk } from './support/memory-disk.js'

const root = mkdtempSync(join(tmpdir(), 'sluicegate-cursor-'))
afterAll(() => rmSync(root, { recursive: true }))

let disk: MemoryDisk
let clock: ManualClock
let cursors: Cursors
beforeEach(async () => {
  disk = new MemoryDisk()
  await disk.mkdir('/0')
  await disk.syncDirectory('/')
  clock = new ManualClock(1_000_000)
  cursors = new Cursors('/0', disk, clock)
})

const on = (other: MemoryDisk) => new Cursors('/0', other, clock)
const put = async (name: string, content: string) => {
  await disk.mkdir('/0/cursors')
  await write(disk, `/0/cursors/${name}`, content)
}

describe('cursors', () => {
  it('are set, read, listed and deleted', async () => {
    expect(await cursors.list()).toEqual([])
    expect(await cursors.get('kafka')).toBeUndefined()
    await cursors.set('kafka', 7)
    clock.advance(5)
    await cursors.set('a.b-c_D', 0)
    await cursors.set('kafka', Number.MAX_SAFE_INTEGER)
    expect(await cursors.get('kafka')).toBe(Number.MAX_SAFE_INTEGER)
    expect(await cursors.list()).toEqual([
      { name: 'a.b-c_D', offset: 0, updatedMs: 1_000_005 },
      { name: 'kafka', offset: Number.MAX_SAFE_INTEGER, updatedMs: 1_000_005 },
    ])
    expect(await cursors.delete('kafka')).toBe(true)
    expect(await cursors.delete('kafka')).toBe(false)
    expect((await cursors.list()).map(({ name }) => name)).toEqual(['a.b-c_D'])
  })

  it('deleting where no cursor ever was is no error', async () => {
    expect(await cursors.delete('kafka')).toBe(false)
  })

  it.each(['', '.hidden', '-x', '_x', 'a/b', '../a', 'a b', 'ä', 'a'.repeat(65), 'a\n'])(
    'refuse the name %j',
    async (name) => {
      for (const call of [cursors.get(name), cursors.set(name, 1), cursors.delete(name)]) {
        await expect(call).rejects.toThrow(UsageError)
      }
      expect(disk.paths()).toEqual([])
    },
  )

  it.each([-1, 0.5, Number.NaN, Infinity, 2 ** 53])('refuse the offset %d', async (offset) => {
    await expect(cursors.set('kafka', offset)).rejects.toThrow(UsageError)
  })

  it('take a name of 64 characters, also one that looks like a file', async () => {
    for (const name of ['a'.repeat(64), 'x.json', 'y.tmp-1-0123456789abcdef']) {
      await cursors.set(name, 3)
      expect(await cursors.get(name)).toBe(3)
    }
    expect(await cursors.list()).toHaveLength(3)
  })

  it('of two calls the later one wins, however long the first takes', async () => {
    let writes = 0
    const slowFirst = new MemoryDisk({
      completion: (finish, { op }) => setTimeout(finish, op === 'write' && writes++ === 0 ? 20 : 0),
    })
    await slowFirst.mkdir('/0')
    const inTurn = on(slowFirst)
    await Promise.all([5, 9, 2].map((offset) => inTurn.set('kafka', offset)))
    expect(await inTurn.get('kafka')).toBe(2)
  })

  it('two processes in the same millisecond do not get into each other', async () => {
    await Promise.all([on(disk).set('kafka', 1), on(disk).set('kafka', 2)])
    expect([1, 2]).toContain(await cursors.get('kafka'))
    expect(disk.paths()).toEqual(['/0/cursors/kafka.json'])
  })

  it('a failed change does not stop the next one', async () => {
    disk.onCall = (call) => (call.op === 'write' ? { error: 'ENOSPC' } : undefined)
    await expect(cursors.set('kafka', 1)).rejects.toMatchObject({ code: 'ENOSPC' })
    disk.onCall = undefined
    expect(disk.paths()).toEqual([])
    await cursors.set('kafka', 2)
    expect(await cursors.get('kafka')).toBe(2)
  })
})

describe('a damaged cursor is an error, never offset 0', () => {
  const good = { v: 1, name: 'kafka', offset: 5, updated_ms: 6 }
  it.each<[string, unknown]>([
    ['empty', ''],
    ['zeros', '\0'.repeat(60)],
    ['torn', JSON.stringify(good).slice(0, 20)],
    ['no object', '[]'],
    ['null', 'null'],
    ['no offset', { ...good, offset: undefined }],
    ['a text for an offset', { ...good, offset: '5' }],
    ['a negative offset', { ...good, offset: -1 }],
    ['no time', { ...good, updated_ms: null }],
    ['another cursor (file systems that ignore case)', { ...good, name: 'Kafka' }],
    ['no version', { ...good, v: undefined }],
    ['a newer version', { ...good, v: 2 }],
  ])('%s', async (_, content) => {
    await put('kafka.json', typeof content === 'string' ? content : JSON.stringify(content))
    await put('other.json', JSON.stringify({ ...good, name: 'other' }))
    for (const call of [cursors.get('kafka'), cursors.list()]) {
      const error = await call.catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(SluicegateError)
      expect(error).toMatchObject({ code: 'cursor_damaged' })
      expect((error as Error).message).toMatch(
        /^the cursor kafka cannot be read from \/0\/cursors\/kafka\.json: .+; set it with "sluicegate cursors set kafka OFFSET" or delete it$/,
      )
    }
    expect(await cursors.get('other')).toBe(5)
    await cursors.set('kafka', 9)
    expect(await cursors.get('kafka')).toBe(9)
  })

  it('an unreadable one too', async () => {
    await cursors.set('kafka', 1)
    disk.onCall = (call) => (call.op === 'read' ? { error: 'EIO' } : undefined)
    await expect(cursors.list()).rejects.toMatchObject({ code: 'EIO' })
  })

  it('can be deleted', async () => {
    await put('kafka.json', 'rubbish')
    expect(await cursors.delete('kafka')).toBe(true)
    expect(await cursors.list()).toEqual([])
  })
})

describe('what crashed processes left behind', () => {
  const stale = `kafka.json.tmp-${1_000_000 - 60_001}-0123456789abcdef`
  const future = `kafka.json.tmp-${1_000_000 + 60_001}-0123456789abcdef`
  const young = `kafka.json.tmp-${1_000_000 - 60_000}-0123456789abcdef`

  it('is no cursor, and the next set removes it; a file that may be in the making stays', async () => {
    for (const name of [stale, future, young]) await put(name, '{')
    expect(await cursors.list()).toEqual([])
    expect(await cursors.get('kafka')).toBeUndefined()
    await cursors.set('other', 1)
    expect(await disk.readdir('/0/cursors')).toEqual([young, 'other.json'])
  })
})

describe('P1: a crash leaves the old cursor or the new one', () => {
  /** Offsets that crashes before each call of `change` show, and after it. */
  async function crashes(change: () => Promise<unknown>, seeds: number) {
    const during = new Set<number | undefined>()
    const look = async (crashed: MemoryDisk) => during.add(await on(crashed).get('kafka'))
    const disks: MemoryDisk[] = []
    disk.onCall = () => {
      disks.push(disk.crash())
      for (let seed = 0; seed < seeds; seed++) disks.push(disk.crash({ seed }))
      return undefined
    }
    await change()
    disk.onCall = undefined
    for (const crashed of disks) await look(crashed)
    const afterwards = new Set<number | undefined>()
    for (let seed = 0; seed < seeds; seed++) {
      afterwards.add(await on(disk.crash({ seed })).get('kafka'))
    }
    afterwards.add(await on(disk.crash()).get('kafka'))
    return { during, afterwards }
  }

  it('when it is made, its directory included', async () => {
    const { during, afterwards } = await crashes(() => cursors.set('kafka', 7), 200)
    expect(during).toEqual(new Set([undefined, 7]))
    expect(afterwards).toEqual(new Set([7]))
  })

  it('when it is changed', async () => {
    await cursors.set('kafka', 7)
    const { during, afterwards } = await crashes(() => cursors.set('kafka', 123_456), 200)
    expect(during).toEqual(new Set([7, 123_456]))
    expect(afterwards).toEqual(new Set([123_456]))
  })

  it('when it is deleted', async () => {
    await cursors.set('kafka', 7)
    const { during, afterwards } = await crashes(() => cursors.delete('kafka'), 200)
    expect(during).toEqual(new Set([7, undefined]))
    expect(afterwards).toEqual(new Set([undefined]))
  })

  it('when whoever made the directory crashed before its sync', async () => {
    await disk.mkdir('/0/cursors')
    await cursors.set('kafka', 7)
    expect(await on(disk.crash()).get('kafka')).toBe(7)
  })
})

describe('many processes', () => {
  it('setting the same cursor never corrupt it, nor fail', async () => {
    const script = join(root, 'setter.mjs')
    const compiled = new URL('../../dist/log/cursor.js', import.meta.url).href
    writeFileSync(
      script,
      `import { Cursors } from ${JSON.stringify(compiled)}
       const cursors = new Cursors(${JSON.stringify(root)})
       for (let i = 0; i < 25; i++) await cursors.set('kafka', Number(process.argv[2]) * 1000 + i)`,
    )
    const children = [1, 2, 3, 4].map((id) => fork(script, [`${id}`]))
    const reader = new Cursors(root)
    const seen = new Set<number | undefined>()
    while (children.some(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
      seen.add(await reader.get('kafka'))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(children.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    expect((await reader.get('kafka'))! % 1000).toBe(24)
    expect(seen.size).toBeGreaterThan(3)
    expect(readdirSync(join(root, 'cursors'))).toEqual(['kafka.json'])
  })
})
