import * as fs from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.js'
import { SluicegateError } from '../../src/errors.js'
import { acquireLock, askOwner, type Lock } from '../../src/log/lock.js'
import { ask, CONNECTIONS_MAX, OwnerSocket, SocketDirectory } from '../../src/log/owner-socket.js'
import { describeWith } from '../support/require.js'
import { type LockChild, lockChildren } from './support/lock-child.js'

/** Runs just before the next link is made: what another process does between our look and our link. */
const between = vi.hoisted(() => ({ link: undefined as (() => void) | undefined, proc: true }))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>()
  return {
    ...real,
    linkSync(from: string, to: string) {
      const meanwhile = between.link
      between.link = undefined
      meanwhile?.()
      real.linkSync(from, to)
    },
    existsSync: (path: string) => (between.proc || !path.startsWith('/proc/')) && real.existsSync(path),
  }
})

const root = fs.mkdtempSync(join(tmpdir(), 'sluicegate-lock-'))
const startChild = lockChildren(root)
const held: Lock[] = []
const servers: net.Server[] = []
const children: LockChild[] = []
let directory: string

beforeEach(() => {
  directory = fs.mkdtempSync(join(root, 'case-'))
})
afterEach(async () => {
  between.link = undefined
  between.proc = true
  await Promise.all(held.splice(0).map((lock) => lock.release()))
  for (const server of servers.splice(0)) server.close()
  await Promise.all(children.splice(0).map((one) => one.kill()))
})
afterAll(() => fs.rmSync(root, { recursive: true }))

async function acquire(answer = '{"pid":4711}', where = directory): Promise<Lock> {
  const lock = await acquireLock(where, () => answer)
  held.push(lock)
  return lock
}

async function child(prefix?: readonly string[]): Promise<LockChild> {
  const started = await startChild(prefix)
  children.push(started)
  return started
}

const names = () => fs.readdirSync(directory).toSorted()
const LOCKED = { code: 'data_dir_locked' }

function raise(): never {
  throw new Error('not now')
}

/** Somebody else's socket in the directory. */
async function listen(name: string, onConnection: (socket: net.Socket) => void): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(join(directory, name), resolve))
}

/** Files as a killed owner leaves them. */
async function leaveDead(...left: readonly string[]): Promise<void> {
  for (const name of left) {
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(join(directory, 'dying'), resolve))
    fs.linkSync(join(directory, 'dying'), join(directory, name))
    await new Promise((resolve) => server.close(resolve))
  }
}

describe('one owner', () => {
  it('has the directory until it releases it', async () => {
    const lock = await acquire()
    await expect(acquire()).rejects.toMatchObject({
      ...LOCKED,
      message: `the directory ${directory} belongs to another sluicegate that is running (pid 4711): stop that one, or give this one a directory of its own`,
    })
    await lock.release()
    await lock.release()
    await acquire()
  })

  it('answers whoever asks, anew each time', async () => {
    let durable = 0
    held.push(await acquireLock(directory, () => JSON.stringify({ durable: durable++ })))
    expect(await askOwner(directory)).toBe('{"durable":0}')
    expect(await Promise.all([askOwner(directory), askOwner(directory)])).toHaveLength(2)
    expect(await askOwner(directory)).toBe('{"durable":3}')
  })

  it('answers more askers than it serves at once, and long lines', async () => {
    const answer = 'x'.repeat(60_000)
    await acquire(answer)
    const answers = await Promise.all(Array.from({ length: 200 }, () => askOwner(directory)))
    expect(answers.every((one) => one === answer)).toBe(true)
  })

  it('is told without pid when the answer has none', async () => {
    for (const answer of ['', '{}', 'null', '{"pid":"1"}']) {
      const lock = await acquire(answer)
      await expect(acquire()).rejects.toThrow('that is running: stop')
      await lock.release()
    }
  })

  it('keeps the directory though its answer throws', async () => {
    held.push(await acquireLock(directory, () => raise()))
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    await expect(askOwner(directory)).rejects.toMatchObject({ code: 'owner_silent' })
  })

  it('is nobody before, after, and where no directory is', async () => {
    expect(await askOwner(directory)).toBeUndefined()
    const lock = await acquire()
    await lock.release()
    expect(await askOwner(directory)).toBeUndefined()
    expect(await askOwner(join(directory, 'absent'))).toBeUndefined()
  })

  it('lets its group ask, nobody else', async () => {
    await acquire()
    expect(fs.statSync(join(directory, 'lock.1')).mode & 0o777).toBe(0o660)
  })
})

describe('generations', () => {
  it('grow, and the dead ones go', async () => {
    for (const generation of [1, 2, 3]) {
      const lock = await acquire()
      expect(names()).toEqual([`lock.${generation}`])
      await lock.release()
      expect(names()).toEqual([`lock.${generation}`])
    }
  })

  it('go on behind the highest dead one, gaps or not, and by number, not by text', async () => {
    await leaveDead('lock.2', 'lock.9', 'lock.10')
    await acquire()
    expect(names()).toEqual(['lock.11'])
  })

  it('what else is in the directory stays, temporary names of killed starts go after a minute', async () => {
    const [left, young, other] = ['lock.tmp.00000000000000aa', 'lock.tmp.00000000000000bb', 'lock.txt']
    await leaveDead(left, young)
    fs.writeFileSync(join(directory, other), '')
    const longAgo = new Date(systemClock.nowMs() - 61_000)
    for (const name of [left, other]) fs.utimesSync(join(directory, name), longAgo, longAgo)
    await listen('lock.tmp.00000000000000cc', () => undefined)
    fs.utimesSync(join(directory, 'lock.tmp.00000000000000cc'), longAgo, longAgo)
    await acquire()
    expect(names()).toEqual(['lock.1', young, 'lock.tmp.00000000000000cc', other])
  })

  it('a refused start leaves nothing behind', async () => {
    await acquire()
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    expect(names()).toEqual(['lock.1'])
  })
})

describe('between looking and linking', () => {
  it('somebody took the same generation: it is his', async () => {
    await listen('other', (socket) => socket.end('{"pid":1}\n'))
    between.link = () => fs.linkSync(join(directory, 'other'), join(directory, 'lock.1'))
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    expect(names()).toEqual(['lock.1', 'other'])
  })

  it('generations have come and gone: whoever finds a higher one withdraws', async () => {
    await listen('other', (socket) => socket.end('{"pid":1}\n'))
    between.link = () => fs.linkSync(join(directory, 'other'), join(directory, 'lock.2'))
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    expect(names()).toEqual(['lock.2', 'other'])
  })

  it('also if that one is dead by now; then the next try is above it', async () => {
    await leaveDead('gone')
    between.link = () => fs.renameSync(join(directory, 'gone'), join(directory, 'lock.2'))
    await acquire()
    expect(names()).toEqual(['lock.3'])
  })

  it('a lower generation lives: whoever is above it withdraws', async () => {
    await leaveDead('lock.1')
    await listen('other', (socket) => socket.end('{"pid":1}\n'))
    between.link = () => {
      fs.unlinkSync(join(directory, 'lock.1'))
      fs.linkSync(join(directory, 'other'), join(directory, 'lock.1'))
    }
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    expect(names()).toEqual(['lock.1', 'other'])
  })

  it('somebody had published and withdrew: the start goes on', async () => {
    await listen('other', (socket) => socket.destroy())
    fs.linkSync(join(directory, 'other'), join(directory, 'lock.1'))
    setTimeout(() => fs.unlinkSync(join(directory, 'lock.1')), 50)
    await acquire()
    expect(names()).toEqual(['lock.1', 'other'])
  })

  it('whoever asks meanwhile gets an answer only when it is decided', async () => {
    const [sockets, owner] = [new SocketDirectory(directory), new OwnerSocket(() => 'me')]
    await owner.listen(sockets.socket('own'))
    const asked = () => ask(sockets.socket('own'))
    expect(await asked()).toBe('undecided')
    owner.claim()
    let replied = false
    const waiting = asked().finally(() => (replied = true))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(replied).toBe(false)
    owner.withdraw()
    expect(await waiting).toBe('undecided')
    owner.claim()
    // As many as it serves at once wait; the others look again.
    let refused = 0
    const more = Array.from({ length: CONNECTIONS_MAX + 9 }, () => asked().finally(() => refused++))
    await vi.waitFor(() => expect(refused).toBe(9), { timeout: 20_000, interval: 5 })
    owner.confirm()
    const replies = await Promise.all(more)
    expect(replies.filter((reply) => reply === 'undecided')).toHaveLength(9)
    expect(replies.filter((reply) => reply !== 'undecided')).toEqual(
      Array.from({ length: CONNECTIONS_MAX }, () => ({ answer: 'me' })),
    )
    expect(await asked()).toEqual({ answer: 'me' })
    await owner.close()
    expect(await asked()).toBe('dead')
    sockets.close()
  })

  it('an answer that throws is none, at once', async () => {
    const [sockets, owner] = [new SocketDirectory(directory), new OwnerSocket(() => raise())]
    await owner.listen(sockets.socket('own'))
    owner.confirm()
    expect(await ask(sockets.socket('own'))).toBe('undecided')
    await owner.close()
    sockets.close()
  })
})

describe('an owner that says nothing', () => {
  it('still owns the directory', { timeout: 20_000 }, async () => {
    const owner = await child()
    expect(await owner.does('acquire', directory)).toBe('won')
    owner.process.kill('SIGSTOP')
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    const start = systemClock.monoMs()
    await expect(askOwner(directory)).rejects.toMatchObject({ code: 'owner_silent' })
    expect(systemClock.monoMs() - start).toBeLessThan(4_000)
    // Nor does it help that the kernel takes no more connections for it.
    const crowd = Array.from({ length: 600 }, () => net.connect(join(directory, 'lock.1')))
    for (const one of crowd) one.on('error', () => undefined)
    await expect(acquire()).rejects.toMatchObject(LOCKED)
    for (const one of crowd) one.destroy()
    owner.process.kill('SIGCONT')
    expect(await askOwner(directory)).toBe(JSON.stringify({ pid: owner.process.pid }))
  })
})

describe('paths', () => {
  const deep = (where: string) => {
    const path = join(where, ...Array.from({ length: 5 }, (_, index) => `${index}`.repeat(50)))
    fs.mkdirSync(path, { recursive: true })
    return path
  }

  it.runIf(process.platform === 'linux')('longer than 200 characters work like others', async () => {
    const path = deep(directory)
    expect(path.length).toBeGreaterThan(200)
    await acquire('here', path)
    expect(await askOwner(path)).toBe('here')
    await expect(acquire('', path)).rejects.toMatchObject(LOCKED)
    expect(fs.readdirSync(path)).toEqual(['lock.1'])
  })

  it('two long paths that differ only behind the 108th character are two', async () => {
    const [one, two] = [join(deep(directory), 'one'), join(deep(directory), 'two')]
    for (const path of [one, two]) {
      fs.mkdirSync(path)
      await acquire(path, path)
    }
    expect(await askOwner(one)).toBe(one)
    expect(await askOwner(two)).toBe(two)
  })

  it('without /proc short ones work, and long ones are refused clearly', async () => {
    between.proc = false
    await acquire('here')
    expect(await askOwner(directory)).toBe('here')
    await expect(acquire('', deep(directory))).rejects.toThrow(/path \S+ is too long for a socket here, 100/)
  })
})

describe('where no lock can be made the message says so', () => {
  const failure = async (where: string) => {
    const error = await acquire('', where).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(SluicegateError)
    expect(error).toMatchObject({ code: 'lock_impossible' })
    return (error as Error).message
  }

  it.runIf(process.platform === 'linux')('no sockets', async () => {
    expect(await failure('/proc/self')).toMatch(
      /^the directory \/proc\/self cannot be locked: listen E[A-Z]+: [a-z ]+\. The lock needs a local file system/,
    )
  })

  it('no hard links', async () => {
    between.link = () => {
      throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' })
    }
    expect(await failure(directory)).toContain('EPERM: operation not permitted, link. The lock needs')
    expect(names()).toEqual([])
  })

  it('no directory', async () => {
    expect(await failure(join(directory, 'absent'))).toContain('ENOENT')
    fs.writeFileSync(join(directory, 'file'), '')
    expect(await failure(join(directory, 'file'))).toContain('ENOTDIR')
  })
})

describe('many processes', () => {
  it('starting at the same moment: exactly one wins, each time', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => child()))
    for (let round = 0; round < 40; round++) {
      // By turns in a new directory and where the last owner has just released.
      if (round % 2 === 0) directory = fs.mkdtempSync(join(root, 'round-'))
      const results = await Promise.all(all.map((one) => one.does('acquire', directory)))
      expect(results.filter((result) => result === 'won')).toHaveLength(1)
      const winner = all[results.indexOf('won')]!
      for (const result of results.filter((one) => one !== 'won')) {
        expect(result).toMatch(/^data_dir_locked .*running(?= \(pid|:)/)
        expect(result).toContain(`(pid ${winner.process.pid})`)
      }
      expect(names()).toEqual([`lock.${(round % 2) + 1}`])
      await winner.does('release')
    }
  })

  it('taking and releasing as fast as they can: never two owners', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => child()))
    const wins = await Promise.all(all.map((one) => one.does('churn', directory, '1500')))
    for (const count of wins) expect(count).toMatch(/^\d+$/)
    expect(wins.map(Number).reduce((sum, count) => sum + count)).toBeGreaterThan(20)
  })

  it('P9: a killed owner is followed at once, however many start then', async () => {
    const waiting = await Promise.all(Array.from({ length: 4 }, () => child()))
    const tookMs: number[] = []
    for (let round = 0; round < 4; round++) {
      const owner = await child()
      expect(await owner.does('acquire', directory)).toBe('won')
      await owner.kill()
      const start = systemClock.monoMs()
      const results = await Promise.all(waiting.map((one) => one.does('acquire', directory)))
      tookMs.push(systemClock.monoMs() - start)
      expect(results.filter((result) => result === 'won')).toHaveLength(1)
      await waiting[results.indexOf('won')]!.does('release')
    }
    // Were anything waited for, it would be in each round; a busy machine is slow in some.
    expect(Math.min(...tookMs)).toBeLessThan(1_000)
  })

  it('the lock keeps no process alive', async () => {
    const owner = await child()
    expect(await owner.does('acquire', directory)).toBe('won')
    const exit = new Promise((resolve) => owner.process.once('exit', resolve))
    owner.process.stdin!.end()
    expect(await exit).toBe(0)
  })
})

describeWith('unshare', 'two pid namespaces, where everybody is pid 1', () => {
  it.each([['with the same /proc'], ['each with a /proc of its own', '--mount-proc']])(
    '%s',
    async (_, ...flags) => {
      const namespace = ['unshare', '-p', '-f', '--kill-child', ...flags]
      const [one, two] = [await child(namespace), await child(namespace)]
      expect(await one.does('acquire', directory)).toBe('won')
      expect(await two.does('acquire', directory)).toMatch(/^data_dir_locked .*\(pid 1\)/)
      await expect(acquire()).rejects.toMatchObject(LOCKED)
      await one.kill()
      await vi.waitFor(async () => expect(await askOwner(directory)).toBeUndefined())
      expect(await two.does('acquire', directory)).toBe('won')
      expect(await askOwner(directory)).toBe('{"pid":1}')
    },
  )
})
