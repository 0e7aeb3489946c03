/**
 * Runs of the log that are cut off: at every single call to a disk that then forgets what no completed sync covers, or
 * by killing the process at every call; and what is wrong with what is left.
 */
import type { LogOptions } from '../../../src/log/open.js'
import type { Disk, Log } from '../../../src/log/types.js'
import { aroundCalls } from './around.js'
import { type CrashChoice, MemoryDisk } from './memory-disk.js'
import { open, put, read, record } from './run.js'

/** How the log that is cut off differs from others of the tests. */
type More = Partial<LogOptions>

/** What was promised to clients up to now. */
interface Promised {
  readonly acknowledged: number[]
  readonly sent: Set<number>
}

/** Sends `count` records at once and waits for their answers. */
async function send(log: Log, promised: Promised, count: number, bytes = 100): Promise<void> {
  const answers = Array.from({ length: count }, async () => {
    const id = promised.sent.size
    promised.sent.add(id)
    const committed = put(log, record(id, bytes))
    if (committed === undefined) throw new Error('the run is meant to leave room')
    await committed.then(
      () => promised.acknowledged.push(id),
      () => undefined,
    )
  })
  await Promise.all(answers)
}

const writable = async (log: Log): Promise<void> => {
  for (let turns = 0; log.state !== 'writable'; turns++) {
    if (turns > 1000) throw new Error(`the log stays ${log.state}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Rolls, a batch larger than a segment, failed writes and syncs, a clean restart, a killed process that starts again. */
async function run(
  disk: MemoryDisk,
  seen: Disk,
  promised: Promised,
  fail: (op: string) => Promise<void>,
  more: More,
): Promise<void> {
  const first = await open(seen, more)
  for (let batch = 0; batch < 14; batch++)
    await send(first, promised, 1 + (batch % 4), 100 + 40 * (batch % 5))
  await send(first, promised, 1, 7000)
  await send(first, promised, 3)
  void fail('sync')
  await send(first, promised, 2)
  await writable(first)
  await send(first, promised, 3)
  void fail('write')
  await send(first, promised, 2)
  await writable(first)
  for (let batch = 0; batch < 8; batch++) await send(first, promised, 5)
  await first.close()
  const second = await open(seen, more)
  for (let batch = 0; batch < 6; batch++) await send(second, promised, 3, 200)
  // Killed: what it wrote stays in memory, its last call has been made. Then the power goes during the third life.
  const made = fail('never')
  void send(second, promised, 2)
  await made
  const third = await open(seen, more)
  for (let batch = 0; batch < 12; batch++) await send(third, promised, 4, 150)
  await third.close()
}

interface Snapshot {
  readonly call: number
  readonly disk: MemoryDisk
  readonly acknowledged: readonly number[]
}

const READS: ReadonlySet<string> = new Set(['read', 'readdir', 'size', 'isAt', 'stat', 'freeBytes', 'close'])

/**
 * Runs and keeps what a crash before each call would have left. `skip` says which sync does nothing; then only crashes
 * right after an answer are looked at, which is where a missing sync shows.
 */
export async function recordRun(
  choices: readonly CrashChoice[],
  skip?: (site: string) => boolean,
  more: More = {},
) {
  const disk = new MemoryDisk({ completion: 'microtask' })
  const promised: Promised = { acknowledged: [], sent: new Set() }
  const snapshots: Snapshot[] = []
  let next: string | undefined
  let hit = (): void => {}
  let hasChanged = true
  let acknowledged = 0
  disk.onCall = (call) => {
    // Calls that change nothing leave nothing new to lose.
    if ((hasChanged && skip === undefined) || promised.acknowledged.length > acknowledged) {
      for (const choice of choices) {
        snapshots.push({
          call: call.number,
          disk: disk.crash(choice),
          acknowledged: [...promised.acknowledged],
        })
      }
    }
    hasChanged = !READS.has(call.op)
    acknowledged = promised.acknowledged.length
    const fault = next
    if (fault === undefined || call.op !== (fault === 'never' ? 'write' : fault)) return undefined
    next = undefined
    hit()
    return fault === 'never' ? 'never' : { error: 'EIO', writtenBytes: 50 }
  }
  const sites = new Set<string>()
  const seen = skippingDisk(disk, (site) => {
    sites.add(site)
    return skip?.(site) === true
  })
  const fail = (fault: string): Promise<void> => {
    next = fault
    return new Promise((resolve) => (hit = resolve))
  }
  await run(disk, seen, promised, fail, more)
  disk.onCall = undefined
  snapshots.push({ call: Infinity, disk: disk.crash('strict'), acknowledged: [...promised.acknowledged] })
  return { disk, snapshots, sites, promised }
}

/** A disk on which the syncs that `skip` names are left out; sites are `file:line` of the caller in src/log. */
function skippingDisk(disk: MemoryDisk, skip: (site: string) => boolean): Disk {
  return aroundCalls(disk, (call, unsynced) =>
    unsynced !== undefined && skip(siteOf(new Error())) ? unsynced() : call(),
  )
}

/** How far the call at which a process is killed gets. */
const KILLS = ['before it', 'before its sync', 'behind it'] as const
type Kill = (typeof KILLS)[number]

/** A process that is killed at its k-th call: no call returns from then on. */
function killedDisk(disk: Disk, k: number, kill: Kill, onKill: () => void): Disk {
  let calls = 0
  return aroundCalls(disk, async (call, unsynced) => {
    if (++calls < k) return call()
    const made = kill === 'behind it' ? call : kill === 'before its sync' ? unsynced : undefined
    if (calls === k) await made?.().catch(() => undefined)
    if (calls === k) onKill()
    return new Promise(() => {})
  })
}

/** `file.ts:function:line` in src/log, from where the call was made. */
function siteOf(error: Error): string {
  const line = error.stack!.split('\n').find((text) => text.includes('/src/log/'))
  const [, made, file, number] = /at (?:async )?(\S+) .*src\/log\/([\w-]+\.ts):(\d+)/.exec(line!)!
  return `${file}:${made!.split('.').at(-1)}:${number}`
}

/**
 * A process that is killed at its k-th call to the disk, one that takes over, and a power loss after that. What the
 * second one showed to readers has to survive too. undefined: there is no k-th call.
 */
async function recordKill(k: number, kill: Kill, skip: (site: string) => boolean, more: More) {
  const disk = new MemoryDisk()
  const seen = skippingDisk(disk, skip)
  const promised: Promised = { acknowledged: [], sent: new Set() }
  const life = async (on: Disk, batches: number): Promise<false> => {
    const log = await open(on, more)
    // What can be read now counts as promised: it will not go away again.
    for (const id of await read(disk, log.durableOffset)) {
      if (!promised.acknowledged.includes(id)) promised.acknowledged.push(id)
    }
    for (let batch = 0; batch < batches; batch++) await send(log, promised, 4, 400)
    return false
  }
  const killed = await new Promise<boolean>((resolve, reject) => {
    life(
      killedDisk(seen, k, kill, () => setImmediate(resolve, true)),
      5,
    ).then(resolve, reject)
  })
  if (!killed) return undefined
  const snapshots: Snapshot[] = []
  for (const batches of [0, 1, 3]) {
    await life(seen, batches)
    snapshots.push({ call: k, disk: disk.crash('strict'), acknowledged: [...promised.acknowledged] })
  }
  return { snapshots, promised }
}

export async function firstFlawOfKills(
  skip: (site: string) => boolean,
  more: More = {},
): Promise<{ flaw?: string; kills: number }> {
  for (let kills = 1; ; kills++) {
    const k = Math.ceil(kills / KILLS.length)
    const kill = KILLS[(kills - 1) % KILLS.length]!
    const recorded = await recordKill(k, kill, skip, more).catch((error: unknown) => String(error))
    if (recorded === undefined) return { kills }
    const flaw =
      typeof recorded === 'string' ? recorded : await firstFlaw(recorded.snapshots, recorded.promised.sent)
    if (flaw !== undefined) return { flaw, kills }
  }
}

/** What is wrong with what is left after a crash; undefined when nothing is. */
async function flawOf(
  { disk, acknowledged }: Snapshot,
  sent: ReadonlySet<number>,
): Promise<string | undefined> {
  const log = await open(disk)
  if (log.state !== 'writable') return `the log is ${log.state} after the crash`
  const { damage } = log.status()
  if (damage.quarantinedBytes > 0) return 'a crash was taken for damage'
  const ids = await read(disk, log.durableOffset)
  const found = new Set(ids)
  const lost = acknowledged.filter((id) => !found.has(id))
  if (lost.length > 0) return `acknowledged and lost: ${lost.join(', ')}`
  if (found.size !== ids.length) return `doubled: ${ids.join(', ')}`
  if (ids.some((id) => !sent.has(id))) return `never sent: ${ids.join(', ')}`
  if (ids.some((id, at) => at > 0 && id < ids[at - 1]!)) return `out of order: ${ids.join(', ')}`
  await put(log, record(1_000_000))
  await log.close()
  const after = await read(disk)
  return after.at(-1) === 1_000_000 && after.length === ids.length + 1
    ? undefined
    : 'what came after is not read back'
}

export async function firstFlaw(
  snapshots: readonly Snapshot[],
  sent: ReadonlySet<number>,
): Promise<string | undefined> {
  for (const snapshot of snapshots) {
    const flaw = await flawOf(snapshot, sent).catch((error: unknown) => String(error))
    if (flaw !== undefined) return `crash before call ${snapshot.call}: ${flaw}`
  }
  return undefined
}
