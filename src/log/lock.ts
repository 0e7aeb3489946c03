/**
 * One owner a directory. Pid files fail in containers, where everybody is pid 1, and a file lock would need native
 * code; so the owner is who listens on the Unix socket `lock.<N>`. The kernel stops listening for a killed process,
 * whose lock is then taken over at once.
 *
 * A socket cannot be bound over a dead one, and between removing that and binding anew anybody may come. Therefore
 * what is published listens already: everybody binds a name of his own and links it to the next free generation, which
 * only one can. Generations grow; whoever finds a higher one than his, or a lower one that lives, withdraws.
 */
import { randomBytes, randomInt } from 'node:crypto'
import * as fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Clock, systemClock } from '../clock.js'
import { SluicegateError } from '../errors.js'
import {
  ask,
  listens,
  lockImpossible,
  OwnerSocket,
  reason,
  type Reply,
  SocketDirectory,
} from './owner-socket.js'

export interface Lock {
  /** undefined while the lock's file is where it was made; else what has become of it. Others may own the path then. */
  missing(): Promise<string | undefined>
  /** Others may take the directory from the call on. Its file stays behind, dead: generations only grow. */
  release(): Promise<void>
}

/** Like the log's files: the group may read, and so ask. */
const SOCKET_MODE = 0o660
const GENERATION = /^lock\.(\d{1,15})$/
const TEMPORARY = /^lock\.tmp\.[0-9a-f]{16}$/
/** From making a temporary name to linking it takes milliseconds; a minute later it was left behind. */
const TEMPORARY_MS_MAX = 60_000
/** Each ends in a decision except when several starts disturb each other. */
const ATTEMPTS_MAX = 200
const PAUSE_MS_MAX = 10

/**
 * Makes this process the directory's owner. `answer` is what askOwner gets, a line without line break; when it is a
 * JSON object, its `pid` names the owner to people. Throws SluicegateError `data_dir_locked` when there is a live owner,
 * `lock_impossible` when the file system cannot do it.
 */
export async function acquireLock(
  directory: string,
  answer: () => string,
  clock: Clock = systemClock,
): Promise<Lock> {
  const sockets = new SocketDirectory(directory)
  const owner = new OwnerSocket(answer)
  const temporary = `lock.tmp.${randomBytes(8).toString('hex')}`
  const release = async () => {
    await owner.close()
    sockets.close()
  }
  let published: Published
  try {
    await owner.listen(sockets.socket(temporary))
    fs.chmodSync(sockets.file(temporary), SOCKET_MODE)
    const { mine, dead } = await claim(sockets, owner, temporary)
    published = { path: sockets.file(mine), stats: fs.lstatSync(sockets.file(mine), { bigint: true }) }
    owner.confirm()
    await clean(sockets, [...dead, temporary], clock)
  } catch (error) {
    await release()
    throw error instanceof SluicegateError ? error : lockImpossible(directory, error)
  }
  let released: Promise<void> | undefined
  return { missing: () => missing(published), release: () => (released ??= release()) }
}

/** The lock's file as it was made. */
interface Published {
  readonly path: string
  readonly stats: fs.BigIntStats
}

async function missing({ path, stats }: Published): Promise<string | undefined> {
  const now = await fs.promises.lstat(path, { bigint: true }).catch(() => undefined)
  if (now !== undefined && now.dev === stats.dev && now.ino === stats.ino) return undefined
  return `${path}, by which this server owns its directory, was removed or replaced`
}

/**
 * What the directory's live owner answers, undefined when there is none. Throws SluicegateError `owner_silent` when the
 * owner lives and says nothing for ANSWER_MS_MAX, `owner_unreachable` when it cannot be told whether there is one.
 */
export async function askOwner(directory: string): Promise<string | undefined> {
  if (!fs.existsSync(directory)) return undefined
  const sockets = new SocketDirectory(directory)
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const found = await findOwner(sockets, generations(sockets))
      if (found === 'dead') return undefined
      if (typeof found === 'object') return found.answer
      if (found === 'silent') break
      await pause()
    }
  } catch (error) {
    throw unreachable(directory, error)
  } finally {
    sockets.close()
  }
  throw new SluicegateError('owner_silent', `the sluicegate that owns ${directory} does not answer`)
}

interface Claimed {
  /** The name that was published, and those of dead owners. */
  readonly mine: string
  readonly dead: readonly string[]
}

/** Publishes the temporary name as the next generation. Throws `data_dir_locked`. */
async function claim(sockets: SocketDirectory, owner: OwnerSocket, temporary: string): Promise<Claimed> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const present = generations(sockets)
    const found = await findOwner(sockets, present)
    if (typeof found === 'object') throw locked(sockets.path, found.answer)
    if (found === 'silent') throw locked(sockets.path)
    if (found === 'dead') {
      // Above those that were found dead, not above what is there by now: that may live.
      const mine = (present[0] ?? 0) + 1
      owner.claim()
      if (publish(sockets, temporary, mine)) {
        const lower = await undisputed(sockets, mine)
        if (lower !== undefined) return { mine: `lock.${mine}`, dead: lower }
        sockets.unlink(`lock.${mine}`)
      }
      owner.withdraw()
    }
    await pause()
  }
  throw locked(sockets.path)
}

/** False when somebody else has taken this generation. */
function publish(sockets: SocketDirectory, temporary: string, generation: number): boolean {
  try {
    fs.linkSync(sockets.file(temporary), sockets.file(`lock.${generation}`))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/**
 * Looks again, now that others see us: whoever publishes later sees us in turn, so of two at least one withdraws.
 * Returns the lower, dead names; undefined when there is a higher generation or a lower one lives.
 */
async function undisputed(sockets: SocketDirectory, mine: number): Promise<string[] | undefined> {
  const present = generations(sockets)
  if (present[0] !== mine) return undefined
  const lower = present.filter((other) => other < mine).map((generation) => `lock.${generation}`)
  const alive = await Promise.all(lower.map((name) => listens(sockets.socket(name))))
  return alive.includes(true) ? undefined : lower
}

/** Highest first. */
function generations(sockets: SocketDirectory): number[] {
  return sockets
    .list()
    .map((name) => GENERATION.exec(name)?.[1])
    .filter((generation) => generation !== undefined)
    .map(Number)
    .toSorted((a, b) => b - a)
}

/** The first answer; else that somebody lives; `dead` when nobody does. */
async function findOwner(sockets: SocketDirectory, present: readonly number[]): Promise<Reply> {
  let found: Reply = 'dead'
  for (const generation of present) {
    const reply = await ask(sockets.socket(`lock.${generation}`))
    if (typeof reply === 'object') return reply
    if (reply === 'silent' || found === 'dead') found = reply
  }
  return found
}

/** Best effort: what stays behind costs a name and nothing else. */
async function clean(sockets: SocketDirectory, names: readonly string[], clock: Clock): Promise<void> {
  for (const name of [...names, ...(await leftBehind(sockets, clock))]) {
    try {
      sockets.unlink(name)
    } catch {
      continue
    }
  }
}

/** Temporary names of starts that were killed. */
async function leftBehind(sockets: SocketDirectory, clock: Clock): Promise<string[]> {
  const oldestMs = clock.nowMs() - TEMPORARY_MS_MAX
  const left: string[] = []
  for (const name of sockets.list().filter((entry) => TEMPORARY.test(entry))) {
    const stats = fs.statSync(sockets.file(name), { throwIfNoEntry: false })
    if (stats === undefined || stats.mtimeMs >= oldestMs) continue
    if (!(await listens(sockets.socket(name)))) left.push(name)
  }
  return left
}

function locked(directory: string, answer?: string): SluicegateError {
  const pid = answer === undefined ? undefined : pidOf(answer)
  const who = pid === undefined ? '' : ` (pid ${pid})`
  return new SluicegateError(
    'data_dir_locked',
    `the directory ${directory} belongs to another sluicegate that is running${who}: stop that one, or give this one a directory of its own`,
  )
}

function unreachable(directory: string, cause: unknown): SluicegateError {
  return new SluicegateError(
    'owner_unreachable',
    `whether a sluicegate owns ${directory} cannot be told: ${reason(cause)}. Only its user and group may ask`,
    { cause },
  )
}

function pidOf(answer: string): number | undefined {
  try {
    const { pid } = JSON.parse(answer) as { pid?: unknown }
    return Number.isSafeInteger(pid) ? (pid as number) : undefined
  } catch {
    return undefined
  }
}

/** Of random length, so that starts that disturbed each other do not do it again in step. */
function pause(): Promise<void> {
  return sleep(randomInt(1, PAUSE_MS_MAX))
}
