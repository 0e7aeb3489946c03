import { beforeEach, describe, expect, it } from 'vitest'
import { diskCases, text, write } from './disk.cases.js'
import { type DiskCall, MemoryDisk } from './support/memory-disk.js'

const bytes = (value: string) => Buffer.from(value)

function emptyDisk(completion: 'microtask' | 'macrotask') {
  const disk = new MemoryDisk({ completion })
  void disk.mkdir('/data')
  return { disk, directory: '/data' }
}

diskCases('in memory, microtasks', () => emptyDisk('microtask'))
diskCases('in memory, turns of the event loop', () => emptyDisk('macrotask'))

let disk: MemoryDisk
beforeEach(async () => {
  disk = new MemoryDisk()
  await disk.mkdir('/d')
  await disk.syncDirectory('/')
})

/** A file whose content and name are durable. */
async function durable(path: string, value: string): Promise<void> {
  const file = await disk.open(path, 'wx+')
  await file.write(bytes(value), 0)
  await file.sync()
  await file.close()
  await disk.syncDirectory('/d')
}

/** All contents that seeded crashes show of a file; 'absent' when it is not there. */
function outcomes(path: string, seeds = 400): Set<string> {
  const seen = new Set<string>()
  for (let seed = 0; seed < seeds; seed++) {
    const content = disk.crash({ seed }).peek(path)
    seen.add(content === undefined ? 'absent' : Buffer.from(content).toString('latin1'))
  }
  return seen
}

const after = async (path: string) => text(disk.crash(), path)
const absent = { code: 'ENOENT' }

describe('P1: a strict crash keeps exactly what completed syncs cover', () => {
  it('a write that was synced', async () => {
    await durable('/d/f', 'abc')
    expect(await after('/d/f')).toBe('abc')
  })

  it('not a write after the sync', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('X'), 0)
    await file.write(bytes('tail'), 3)
    expect(await text(disk, '/d/f')).toBe('Xbctail')
    expect(await after('/d/f')).toBe('abc')
  })

  it('not a write that had not returned when the sync was called', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    await Promise.all([file.write(bytes('X'), 0), file.sync()])
    expect(await after('/d/f')).toBe('abc')
    await file.sync()
    expect(await after('/d/f')).toBe('Xbc')
  })

  it('not a write whose sync has not returned', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('X'), 0)
    const sync = file.sync()
    expect(await after('/d/f')).toBe('abc')
    await sync
    expect(await after('/d/f')).toBe('Xbc')
  })

  it('a durable write once it has returned, with the length that it gave the file', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    const written = file.writeDurably(bytes('XYZ'), 2)
    expect(await after('/d/f')).toBe('abc')
    await written
    expect(await after('/d/f')).toBe('abXYZ')
  })

  it('not what was written before a durable write: that covers its own bytes alone', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('X'), 0)
    await file.writeDurably(bytes('Z'), 2)
    expect(await after('/d/f')).toBe('abZ')
  })

  it('a truncation only when it was synced', async () => {
    await durable('/d/f', 'abcdef')
    const file = await disk.open('/d/f', 'r+')
    await file.truncate(2)
    expect(await after('/d/f')).toBe('abcdef')
    await file.sync()
    expect(await after('/d/f')).toBe('ab')
  })

  it('a sync through one handle covers writes through another', async () => {
    await durable('/d/f', 'abc')
    const [one, two] = [await disk.open('/d/f', 'r+'), await disk.open('/d/f', 'r')]
    await one.write(bytes('X'), 0)
    await two.sync()
    expect(await after('/d/f')).toBe('Xbc')
  })

  it('no synced file whose directory entry was not synced', async () => {
    const file = await disk.open('/d/f', 'wx+')
    await file.write(bytes('abc'), 0)
    await file.sync()
    await expect(after('/d/f')).rejects.toMatchObject(absent)
    await disk.syncDirectory('/d')
    expect(await after('/d/f')).toBe('abc')
  })

  it('of a synced entry without synced content, an empty file', async () => {
    await write(disk, '/d/f', 'abc')
    await disk.syncDirectory('/d')
    expect(await after('/d/f')).toBe('')
  })

  it('no directory whose parent was not synced, whatever was synced inside', async () => {
    await disk.mkdir('/d/new')
    const file = await disk.open('/d/new/f', 'wx+')
    await file.sync()
    await disk.syncDirectory('/d/new')
    await expect(after('/d/new/f')).rejects.toMatchObject(absent)
    await disk.syncDirectory('/d')
    expect(await after('/d/new/f')).toBe('')
  })

  it('a rename only when the directory was synced, and then as a whole', async () => {
    await durable('/d/old', 'old')
    await durable('/d/new', 'new')
    await disk.rename('/d/new', '/d/old')
    expect(disk.crash().paths()).toEqual(['/d/new', '/d/old'])
    expect(await after('/d/old')).toBe('old')
    await disk.syncDirectory('/d')
    expect(disk.crash().paths()).toEqual(['/d/old'])
    expect(await after('/d/old')).toBe('new')
  })

  it('a rename into another directory in two halves', async () => {
    await disk.mkdir('/d/sub')
    await durable('/d/f', 'abc')
    await disk.rename('/d/f', '/d/sub/f')
    await disk.syncDirectory('/d/sub')
    expect(disk.crash().paths()).toEqual(['/d/f', '/d/sub/f'])
    await disk.syncDirectory('/d')
    expect(disk.crash().paths()).toEqual(['/d/sub/f'])
  })

  it('a removal only when the directory was synced', async () => {
    await durable('/d/f', 'abc')
    await disk.unlink('/d/f')
    expect(await after('/d/f')).toBe('abc')
    await disk.syncDirectory('/d')
    await expect(after('/d/f')).rejects.toMatchObject(absent)
  })

  it('no entry that was not made yet when the directory sync was called', async () => {
    const made = disk.open('/d/f', 'wx+')
    await Promise.all([made, disk.syncDirectory('/d')])
    expect(disk.crash().paths()).toEqual([])
  })

  it('the disk after a crash is a disk like any other, and the first goes on', async () => {
    await durable('/d/f', 'abc')
    const second = disk.crash()
    const file = await second.open('/d/f', 'r+')
    await file.write(bytes('X'), 0)
    expect(Buffer.from(second.crash().peek('/d/f')!).toString()).toBe('abc')
    await file.sync()
    expect(Buffer.from(second.crash().peek('/d/f')!).toString()).toBe('Xbc')
    expect(await text(disk, '/d/f')).toBe('abc')
  })
})

describe('P1: a seeded crash shows everything that a real one could', () => {
  it('a write whole, missing, torn between sectors, and the length without the bytes', async () => {
    await durable('/d/f', '')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('a'.repeat(512) + 'b'.repeat(512) + 'c'.repeat(10)), 0)
    const [a, b, c] = ['a'.repeat(512), 'b'.repeat(512), 'c'.repeat(10)] as const
    const [za, zc] = ['\0'.repeat(512), '\0'.repeat(10)] as const
    const seen = outcomes('/d/f')
    for (const one of ['', a, a + b, a + b + c, za + b, za + za + c, a + za + c, za + za + zc, a + b + zc]) {
      expect(seen).toContain(one)
    }
    // Three sectors each there or not, and the length at its end or at the last sector's: no more than that.
    expect(seen.size).toBeLessThanOrEqual(12)
  })

  it('tears at multiples of 512 in the file, not in the write', async () => {
    await durable('/d/f', '.'.repeat(1024))
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('x'.repeat(24)), 500)
    const [dots, exes] = ['.'.repeat(500), '.'.repeat(500)]
    expect([...outcomes('/d/f')].toSorted()).toEqual(
      [
        dots + '.'.repeat(24) + exes,
        dots + 'x'.repeat(12) + '.'.repeat(12) + exes,
        dots + '.'.repeat(12) + 'x'.repeat(12) + exes,
        dots + 'x'.repeat(24) + exes,
      ].toSorted(),
    )
  })

  it('unsynced writes in any combination; synced ones always', async () => {
    await durable('/d/f', 'abcd')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('A'), 0)
    await file.sync()
    await file.write(bytes('B'), 1)
    await file.write(bytes('C'), 2)
    void file.write(bytes('D'), 3)
    const all = ['Abcd', 'ABcd', 'AbCd', 'ABCd', 'AbcD', 'ABcD', 'AbCD', 'ABCD']
    expect([...outcomes('/d/f')].toSorted()).toEqual(all.toSorted())
  })

  it('of several long writes one whole, one missing and one torn in the same crash', async () => {
    await durable('/d/f', '')
    const file = await disk.open('/d/f', 'r+')
    for (const [index, letter] of ['a', 'b', 'c'].entries()) {
      await file.write(bytes(letter.repeat(32 * 512)), index * 32 * 512)
    }
    const sectors = (content: string, letter: string) => (content.split(letter).length - 1) / 512
    const torn = [...outcomes('/d/f')].filter((content) => {
      const c = sectors(content, 'c')
      return sectors(content, 'a') === 32 && sectors(content, 'b') === 0 && c > 0 && c < 32
    })
    expect(torn.length).toBeGreaterThan(0)
  })

  it('creations, renames and removals, each or not', async () => {
    await durable('/d/gone', 'gone')
    await durable('/d/from', 'from')
    await disk.unlink('/d/gone')
    await disk.rename('/d/from', '/d/to')
    await write(disk, '/d/new', '')
    const seen = new Set<string>()
    for (let seed = 0; seed < 400; seed++) seen.add(disk.crash({ seed }).paths().join(' '))
    expect(seen.size).toBe(8)
    expect(seen).toContain('/d/to')
    expect(seen).toContain('/d/from /d/gone /d/new')
    for (const one of seen) expect(one.includes('/d/from')).not.toBe(one.includes('/d/to'))
  })

  it('is the same for the same seed', async () => {
    await durable('/d/f', '')
    const file = await disk.open('/d/f', 'r+')
    for (let at = 0; at < 20; at++) await file.write(bytes('x'), at * 512)
    const once = (seed: number) => Buffer.from(disk.crash({ seed }).peek('/d/f')!).toString('latin1')
    expect(once(7)).toBe(once(7))
    expect(new Set([1, 2, 3, 4, 5, 6, 7, 8].map(once)).size).toBeGreaterThan(3)
  })
})

describe('faults', () => {
  it('numbers and records every call', async () => {
    const file = await disk.open('d/f', 'wx+')
    await file.write(bytes('abc'), 5)
    await expect(disk.open('/absent', 'r')).rejects.toThrow('ENOENT')
    await disk.rename('/d/f', '/d/g')
    expect(disk.calls.slice(2)).toEqual([
      { number: 3, op: 'open', path: '/d/f', state: 'done' },
      { number: 4, op: 'write', path: '/d/f', position: 5, length: 3, state: 'done' },
      { number: 5, op: 'open', path: '/absent', state: 'failed' },
      { number: 6, op: 'rename', path: '/d/f', to: '/d/g', state: 'done' },
    ])
  })

  it('a call can be made to fail, and then has done nothing', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    disk.onCall = (call) => (call.op === 'write' ? { error: 'EIO' } : undefined)
    await expect(file.write(bytes('X'), 0)).rejects.toMatchObject({ code: 'EIO', path: '/d/f' })
    expect(await text(disk, '/d/f')).toBe('abc')
    disk.onCall = (call) => (call.op === 'rename' ? { error: 'EROFS' } : undefined)
    await expect(disk.rename('/d/f', '/d/g')).rejects.toMatchObject({ code: 'EROFS' })
    expect(disk.paths()).toEqual(['/d/f'])
  })

  it('a write can fail after some bytes', async () => {
    const file = await disk.open('/d/f', 'wx+')
    disk.onCall = (call) => (call.op === 'write' ? { error: 'ENOSPC', writtenBytes: 2 } : undefined)
    await expect(file.write(bytes('abc'), 0)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await text(disk, '/d/f')).toBe('ab')
  })

  it('a call can hang; its effect may be there after a crash', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    disk.onCall = () => 'never'
    let returned = false
    void file.write(bytes('X'), 0).finally(() => (returned = true))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(returned).toBe(false)
    expect(disk.calls.at(-1)?.state).toBe('running')
    expect([...outcomes('/d/f')].toSorted()).toEqual(['Xbc', 'abc'])
  })

  it('a durable write can be cut off, or stall, between write and sync', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    const seen: string[][] = []
    disk.onCall = ({ op }) => {
      if (op === 'sync') seen.push([Buffer.from(disk.crash().peek('/d/f')!).toString(), ...outcomes('/d/f')])
      return undefined
    }
    await file.writeDurably(bytes('X'), 0)
    expect(seen.map((contents) => contents.toSorted())).toEqual([['Xbc', 'abc', 'abc']])
  })

  it('a hook sees the disk just before the call', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    const seen: string[] = []
    disk.onCall = ({ op }) => {
      if (op !== 'read') seen.push(`${op} ${Buffer.from(disk.crash().peek('/d/f')!).toString()}`)
      return undefined
    }
    await file.write(bytes('X'), 0)
    await file.sync()
    await file.close()
    expect(seen).toEqual(['write abc', 'sync abc', 'close Xbc'])
  })

  it('after a failed sync later syncs succeed, reads show the bytes, and a crash loses them', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('X'), 0)
    disk.onCall = (call) => (call.op === 'sync' ? { error: 'EIO' } : undefined)
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    disk.onCall = undefined
    await file.sync()
    expect(await text(disk, '/d/f')).toBe('Xbc')
    expect(await after('/d/f')).toBe('abc')
    // What is written afterwards is none the worse.
    await file.write(bytes('Z'), 2)
    await file.sync()
    expect(await after('/d/f')).toBe('abZ')
    expect([...outcomes('/d/f')].toSorted()).toEqual(['XbZ', 'abZ'])
  })

  it('a durable write that fails may have left all of it, part or nothing, and a crash may lose any of that', async () => {
    await durable('/d/f', '.'.repeat(1024))
    const file = await disk.open('/d/f', 'r+')
    const [one, two, none] = ['x', 'y', '.'].map((letter) => letter.repeat(512)) as [string, string, string]
    disk.onCall = (call) => (call.op === 'sync' ? { error: 'EIO' } : undefined)
    await expect(file.writeDurably(bytes(one + two), 0)).rejects.toMatchObject({ code: 'EIO' })
    disk.onCall = undefined
    await file.sync()
    expect(await text(disk, '/d/f')).toBe(one + two)
    expect(await after('/d/f')).toBe(none + none)
    expect([...outcomes('/d/f')].toSorted()).toEqual([none + none, none + two, one + none, one + two])
    disk.onCall = (call) => (call.op === 'write' ? { error: 'EIO', writtenBytes: 2 } : undefined)
    await expect(file.writeDurably(bytes('abc'), 1024)).rejects.toMatchObject({ code: 'EIO' })
    disk.onCall = undefined
    expect(await text(disk, '/d/f')).toBe(`${one + two}ab`)
    expect(await after('/d/f')).toBe(none + none)
  })

  it('what was lost never covers what became durable later', async () => {
    await durable('/d/f', 'abc')
    const file = await disk.open('/d/f', 'r+')
    await file.write(bytes('X'), 0)
    disk.onCall = (call) => (call.op === 'sync' ? { error: 'EIO' } : undefined)
    await file.sync().catch(() => undefined)
    disk.onCall = undefined
    await file.write(bytes('Y'), 0)
    await file.sync()
    expect([...outcomes('/d/f')]).toEqual(['Ybc'])
  })

  it('a failed directory sync loses entries likewise', async () => {
    disk.onCall = (call) => (call.op === 'syncDirectory' ? { error: 'EIO' } : undefined)
    await write(disk, '/d/f', '')
    await expect(disk.syncDirectory('/d')).rejects.toMatchObject({ code: 'EIO' })
    disk.onCall = undefined
    await disk.syncDirectory('/d')
    expect(disk.paths()).toEqual(['/d/f'])
    expect(disk.crash().paths()).toEqual([])
    await write(disk, '/d/later', '')
    await disk.syncDirectory('/d')
    expect(disk.crash().paths()).toEqual(['/d/later'])
  })

  it('a full disk takes what fits and then says ENOSPC; space comes back', async () => {
    disk.limitBytes = 10
    const file = await disk.open('/d/f', 'wx+')
    await file.write(bytes('12345678'), 0)
    expect(await disk.freeBytes('/d')).toBe(2)
    await expect(file.write(bytes('abcd'), 8)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await text(disk, '/d/f')).toBe('12345678ab')
    await file.write(bytes('over'), 0)
    await expect(file.truncate(11)).rejects.toMatchObject({ code: 'ENOSPC' })
    await disk.unlink('/d/f')
    expect(await disk.freeBytes('/d')).toBe(0)
    await file.close()
    expect(await disk.freeBytes('/d')).toBe(10)
  })

  it('a buffer that is touched while it is written is an error', async () => {
    const file = await disk.open('/d/f', 'wx+')
    const buffer = bytes('abc')
    const written = file.write(buffer, 0)
    buffer[0] = 0
    await expect(written).rejects.toThrow('changed while it was written')
  })

  it('nothing returns once the power is gone', async () => {
    const file = await disk.open('/d/f', 'wx+')
    let returned = 0
    void file.write(bytes('abc'), 0).finally(() => returned++)
    disk.halt()
    void file.sync().finally(() => returned++)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(returned).toBe(0)
  })
})

describe('when calls return', () => {
  const order = async (completion: 'microtask' | 'macrotask') => {
    const seen: string[] = []
    const one = new MemoryDisk({ completion })
    const made = one.mkdir('/x').then(() => seen.push('call'))
    seen.push('after it was made')
    const turn = new Promise<void>((resolve) => setImmediate(resolve)).then(() => seen.push('turn'))
    const micro = Promise.resolve().then(() => seen.push('microtask'))
    await Promise.all([made, turn, micro])
    return seen
  }

  it('in a microtask', async () => {
    expect(await order('microtask')).toEqual(['after it was made', 'microtask', 'call', 'turn'])
  })

  it('in a later turn', async () => {
    expect(await order('macrotask')).toEqual(['after it was made', 'microtask', 'call', 'turn'])
  })

  it('when the test says so', async () => {
    const held: [() => void, DiskCall][] = []
    const one = new MemoryDisk({ completion: (finish, call) => held.push([finish, call]) })
    let made = false
    const call = one.mkdir('/x').then(() => (made = true))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect([made, held[0]?.[1].op]).toEqual([false, 'mkdir'])
    held[0]?.[0]()
    await call
    expect(made).toBe(true)
  })
})
