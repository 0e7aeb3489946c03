/** P9 for the shipper: whatever a crash leaves of its state, the newest whole one counts, and damage is never silence. */
import { beforeEach, describe, expect, it } from 'vitest'
import { decodeState, encodeState, cursorOf, type LaneState, type ShipState } from '../../src/ship/state.js'
import { StateFile } from '../../src/ship/state-file.js'
import { MemoryDisk } from '../log/support/memory-disk.js'

const PATH = '/ship/state'

const lane = (changes: Partial<LaneState> = {}): LaneState => ({
  partition: 3,
  producer: { id: 2n ** 62n, epoch: 7 },
  nextSequence: 2 ** 31 - 1,
  brokerOffset: 2n ** 60n,
  from: 12,
  flights: [
    { first: 12, last: 90, records: 5, firstSequence: 4, possibleDuplicate: true, refused: undefined },
    {
      first: 95,
      last: 95,
      records: 1,
      firstSequence: 9,
      possibleDuplicate: false,
      refused: { code: 'x', message: 'y' },
    },
  ],
  unknown: false,
  doubtfulTo: 44,
  ...changes,
})

const stateOf = (head: number, changes: Partial<ShipState> = {}): ShipState => ({
  writerId: 'ab'.repeat(16),
  clusterId: 'c',
  producer: { id: 5n, epoch: 0 },
  head,
  lostTo: 3,
  routes: 'r1',
  nextRoutes: undefined,
  topics: [],
  ...changes,
})

let disk: MemoryDisk
beforeEach(async () => {
  disk = new MemoryDisk()
  await disk.mkdir('/ship')
  await disk.syncDirectory('/')
})

async function saved(...states: readonly ShipState[]): Promise<StateFile> {
  const file = new StateFile('/ship', disk)
  await file.load()
  for (const state of states) await file.save(state)
  return file
}

const load = () => new StateFile('/ship', disk).load()

it('comes back as it was, with every member', async () => {
  const full = stateOf(100, {
    nextRoutes: { id: 'r2', from: 77 },
    topics: [
      {
        name: 't',
        id: 'ff',
        partitions: 4,
        next: { partitions: 6, from: 80 },
        waitingFrom: undefined,
        unknown: false,
        doubtfulTo: 0,
        lanes: [
          lane(),
          lane({
            partition: 4,
            producer: undefined,
            brokerOffset: undefined,
            from: undefined,
            unknown: true,
            flights: [],
          }),
        ],
      },
      {
        name: 'u',
        id: '',
        partitions: 0,
        next: undefined,
        waitingFrom: 61,
        unknown: true,
        doubtfulTo: 62,
        lanes: [],
      },
    ],
  })
  await saved(full)
  expect(await load()).toEqual({ state: full, doubtful: false })
})

it('the newest of the two slots counts, over many saves and starts', async () => {
  for (let head = 1; head < 8; head++) {
    await saved(stateOf(head))
    expect((await load()).state?.head).toBe(head)
  }
  await saved(stateOf(8), stateOf(9), stateOf(10))
  expect((await load()).state?.head).toBe(10)
})

it('a state that outgrows its slot gets a larger file, and a crash leaves the old or the new one', async () => {
  const large = stateOf(2, {
    topics: [
      {
        name: 'x'.repeat(40_000),
        id: '',
        partitions: 0,
        next: undefined,
        waitingFrom: undefined,
        unknown: false,
        doubtfulTo: 0,
        lanes: [],
      },
    ],
  })
  const file = await saved(stateOf(1))
  const before = disk.calls.length
  await file.save(large)
  const calls = disk.calls.length - before
  await file.save(stateOf(3))
  expect((await load()).state?.head).toBe(3)
  for (let call = 1; call <= calls; call++) {
    disk = new MemoryDisk()
    await disk.mkdir('/ship')
    await disk.syncDirectory('/')
    const again = await saved(stateOf(1))
    const from = disk.calls.length
    let crashed: MemoryDisk | undefined
    disk.onCall = ({ number }) => {
      if (number === from + call) crashed = disk.crash()
      return undefined
    }
    await again.save(large)
    disk = crashed!
    expect([1, 2]).toContain((await load()).state?.head)
  }
})

it('one sync a save, into a file that does not grow', async () => {
  const file = await saved(stateOf(1))
  const from = disk.calls.length
  const size = disk.peek(PATH)!.length
  await file.save(stateOf(2))
  expect(disk.calls.slice(from).map(({ op }) => op)).toEqual(['write', 'sync'])
  expect(disk.peek(PATH)).toHaveLength(size)
})

describe('after a crash', () => {
  it.each([...Array(60).keys()])(
    'in the middle of a save (%i) the state before or the new one is there',
    async (seed) => {
      const file = await saved(stateOf(1), stateOf(2))
      disk.onCall = ({ op }) => (op === 'sync' ? 'never' : undefined)
      void file.save(stateOf(3))
      await new Promise((resolve) => setImmediate(resolve))
      disk.halt()
      disk = disk.crash({ seed })
      const { state, doubtful } = await load()
      expect([2, 3]).toContain(state?.head)
      if (state?.head === 2) expect([true, false]).toContain(doubtful)
    },
  )

  it('a sync that failed is not trusted: the next state goes to a new file', async () => {
    const file = await saved(stateOf(1))
    disk.onCall = ({ op }) => (op === 'sync' ? { error: 'EIO' } : undefined)
    await expect(file.save(stateOf(2))).rejects.toThrow('EIO')
    disk.onCall = undefined
    const from = disk.calls.length
    await file.save(stateOf(3))
    expect(disk.calls.slice(from).map(({ op }) => op)).toContain('rename')
    disk = disk.crash()
    expect((await load()).state?.head).toBe(3)
  })
})

describe('damage', () => {
  it.each([0, 1])(
    'in slot %i is told; the other slot counts, and the damaged one is written next',
    async (slot) => {
      await saved(stateOf(1), stateOf(2))
      const file = await disk.open(PATH, 'r+')
      const half = (await file.size()) / 2
      await file.write(Buffer.from('x'), slot * half + 40)
      await file.close()
      const { state, doubtful } = await load()
      expect(doubtful).toBe(true)
      // Generations begin at 1, in the second slot.
      expect(state?.head).toBe(slot === 0 ? 1 : 2)
      await saved(stateOf(5))
      expect(await load()).toMatchObject({ state: { head: 5 }, doubtful: false })
    },
  )

  it('in both slots is no state, which is told', async () => {
    await saved(stateOf(1), stateOf(2))
    const file = await disk.open(PATH, 'r+')
    const half = (await file.size()) / 2
    for (const at of [0, half]) await file.write(Buffer.from('x'), at + 40)
    expect(await load()).toEqual({ state: undefined, doubtful: true })
  })

  it('of a file cut to nothing is told, too; a file that was never there is not damage', async () => {
    expect(await load()).toEqual({ state: undefined, doubtful: false })
    await saved(stateOf(1))
    const file = await disk.open(PATH, 'r+')
    await file.truncate(10)
    expect(await load()).toEqual({ state: undefined, doubtful: true })
  })
})

it('a state of a newer version is refused', () => {
  const text = encodeState(stateOf(1)).replace('"v":1', '"v":2')
  expect(() => decodeState(text)).toThrow(/newer version/)
})

it('the cursor is the least of all that is not done with', () => {
  const topic = {
    name: 't',
    id: 'a',
    partitions: 1,
    next: undefined,
    waitingFrom: undefined,
    unknown: false,
    doubtfulTo: 0,
    lanes: [],
  }
  expect(cursorOf(stateOf(100))).toBe(100)
  expect(cursorOf(stateOf(100, { nextRoutes: { id: 'x', from: 70 } }))).toBe(70)
  expect(
    cursorOf(stateOf(100, { topics: [{ ...topic, lanes: [lane({ from: 40 }), lane({ from: 60 })] }] })),
  ).toBe(40)
  expect(cursorOf(stateOf(100, { topics: [{ ...topic, waitingFrom: 30 }] }))).toBe(30)
})
