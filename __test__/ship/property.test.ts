/** P1, P6 and exactly once at random: whatever happens to the shipper and around it, each record arrives once, in order. */
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { type Command, fakeTimers, life, liveThrough } from './support/random-lives.js'

beforeEach(fakeTimers)
afterEach(() => void vi.useRealTimers())

/** Lives that once doubled or lost a record. */
const FOUND: [Command[], number][] = [
  // Found by a search, and forgotten by the next crash before reading had passed it.
  [
    [
      { do: 'append', count: 1, poison: false },
      { do: 'wait', ms: 20 },
      { do: 'faults', faults: [] },
      { do: 'lose state' },
      { do: 'stands', topic: 't.track', ms: 500 },
    ],
    2146697198,
  ],
  // The older state, which is all that is left, knew no topic yet.
  [
    [
      { do: 'append', count: 16, poison: false },
      { do: 'wait', ms: 12 },
      { do: 'rot', slot: 0 },
      { do: 'outage', ms: 10, forget: false },
      { do: 'wait', ms: 1 },
      { do: 'wait', ms: 1 },
    ],
    1712051813,
  ],
  // Arrived before the crash; refused when it was sent again, since the topic's limit had become smaller.
  [
    [
      { do: 'wait', ms: 4 },
      { do: 'append', count: 3, poison: false },
      { do: 'kill', steps: 12, made: true },
      { do: 'wait', ms: 5 },
      { do: 'partitions', more: 2 },
      { do: 'faults', faults: [undefined, 'not_enough_replicas'] },
      { do: 'stands', topic: 't.engage', ms: 2994 },
      { do: 'wait', ms: 97 },
      { do: 'power', seed: 1750559892 },
      { do: 'power', seed: 1189548895 },
      { do: 'append', count: 16, poison: true },
      { do: 'limit', bytes: 152 },
      { do: 'partitions', more: 1 },
      { do: 'stands', topic: 't.track', ms: 12 },
    ],
    439404921,
  ],
  // A batch stood around what a search had found: read again after a crash it was made of other records, and its own were lost.
  [
    [
      { do: 'outage', ms: 10, forget: false },
      { do: 'append', count: 1, poison: true },
      { do: 'append', count: 14, poison: false },
      { do: 'kill', steps: 15, made: false },
      { do: 'wait', ms: 12 },
      { do: 'kill', steps: 20, made: false },
      { do: 'lose state' },
      { do: 'kill', steps: 1, made: false },
      { do: 'append', count: 3, poison: false },
      { do: 'stands', topic: 't.track', ms: 25 },
    ],
    770113746,
  ],
  // What a search had found stood between two batches, and was taken before the next search was over.
  [
    [
      { do: 'kill', steps: 42, made: true },
      { do: 'kill', steps: 36, made: false },
      { do: 'limit', bytes: 444 },
      { do: 'append', count: 34, poison: true },
      { do: 'outage', ms: 4244, forget: true },
      { do: 'lose state' },
      { do: 'append', count: 27, poison: false },
      { do: 'wait', ms: 55 },
      { do: 'append', count: 10, poison: true },
      { do: 'wait', ms: 258 },
      { do: 'lose state' },
      { do: 'stands', topic: 't.engage', ms: 2621 },
      { do: 'wait', ms: 103 },
      { do: 'append', count: 28, poison: true },
    ],
    417741962,
  ],
  // A record that a search had found belongs to another partition now, whose own search begins further ahead.
  [
    [
      { do: 'append', count: 1, poison: false },
      { do: 'wait', ms: 19 },
      { do: 'partitions', more: 2 },
      { do: 'append', count: 11, poison: false },
      { do: 'append', count: 27, poison: false },
      { do: 'lose state' },
      { do: 'wait', ms: 22 },
    ],
    2147483617,
  ],
  // The epoch that the lost slot told of was used again: the broker took new records for those sent under it, and they were lost.
  [
    [
      { do: 'faults', faults: ['lost_reply', 'lost_reply', 'not_enough_replicas'] },
      { do: 'append', count: 6, poison: false },
      { do: 'limit', bytes: 167 },
      { do: 'wait', ms: 127 },
      { do: 'rot', slot: 0 },
      { do: 'append', count: 8, poison: false },
    ],
    5,
  ],
  // The slot that knew of the new partition is lost, so that it was not searched.
  [
    [
      { do: 'append', count: 1, poison: false },
      { do: 'kill', steps: 17, made: false },
      { do: 'wait', ms: 17 },
      { do: 'rot', slot: 1 },
      { do: 'partitions', more: 1 },
    ],
    3,
  ],
  // Routes that are new since the state was lost counted from before what former ones had sent.
  [
    [
      { do: 'append', count: 1, poison: false },
      { do: 'wait', ms: 16 },
      { do: 'lose state' },
      { do: 'outage', ms: 1, forget: false },
      { do: 'routes', own: true },
    ],
    0,
  ],
  // Killed between renaming the state and making that durable: the next power cut took the state with it.
  [
    [
      { do: 'kill', steps: 17, made: false },
      { do: 'wait', ms: 220 },
      { do: 'routes', own: true },
      { do: 'faults', faults: [] },
      { do: 'power', seed: 1733687071 },
      { do: 'kill', steps: 24, made: true },
      { do: 'power', seed: 697499533 },
      {
        do: 'faults',
        faults: [
          undefined,
          'lost_request',
          'not_enough_replicas',
          'not_enough_replicas',
          'lost_reply',
          'lost_request',
          'lost_request',
          'not_enough_replicas',
        ],
      },
      { do: 'append', count: 1, poison: true },
      { do: 'stands', topic: 't.engage', ms: 2998 },
      { do: 'kill', steps: 35, made: false },
    ],
    1205125578,
  ],
  // Partitions were added while a record waited for memory: it was noted with its former lane, and lost.
  [
    [
      { do: 'wait', ms: 5 },
      { do: 'append', count: 41, poison: true },
      { do: 'wait', ms: 20 },
      { do: 'partitions', more: 1 },
      { do: 'outage', ms: 2977, forget: false },
      { do: 'append', count: 18, poison: false },
      { do: 'stands', topic: 't.engage', ms: 1260 },
    ],
    1512321746,
  ],
  // No slot could be read, and after a power cut both could: they counted as newer than what was saved meanwhile.
  [
    [
      { do: 'append', count: 25, poison: false },
      { do: 'wait', ms: 11 },
      { do: 'rot', slot: 0 },
      { do: 'rot', slot: 1 },
      { do: 'outage', ms: 1, forget: true },
      { do: 'power', seed: 0 },
    ],
    2140624508,
  ],
  // Reading went back for another topic after partitions were added: what had been sent was given to its new lane, too.
  [
    [
      { do: 'wait', ms: 2 },
      { do: 'partitions', more: 1 },
      { do: 'append', count: 42, poison: false },
      { do: 'append', count: 43, poison: false },
      { do: 'stands', topic: 't.engage', ms: 2044 },
      { do: 'forget' },
      { do: 'append', count: 1, poison: false },
      { do: 'stands', topic: 't.track', ms: 10 },
    ],
    2145386494,
  ],
  // New routes came into force while reading had gone back: what was read again went to the new topic, too.
  [
    [
      { do: 'append', count: 31, poison: false },
      { do: 'wait', ms: 22 },
      { do: 'lose state' },
      { do: 'wait', ms: 2 },
      { do: 'routes', own: true },
    ],
    2147483618,
  ],
]

it('P1, P6: through random lives of shipper, disk and brokers every record arrives once, and those of a key in order', async () => {
  const totals = { starts: 0, sent: 0, rejects: 0 }
  const property = fc.asyncProperty(life, async (one) => {
    const lives = await liveThrough(one)
    totals.starts += lives.starts
    totals.sent += lives.sent
    totals.rejects += lives.rejects.length
  })
  await fc.assert(property, { numRuns: 200, examples: FOUND.map((one) => [one]) })
  expect(totals.starts).toBeGreaterThan(100)
  expect(totals.sent).toBeGreaterThan(300)
  expect(totals.rejects).toBeGreaterThan(5)
}, 300_000)
