/**
 * P1: what was answered with success is on stable storage. A recorded run of the log is cut off at every single call to
 * the disk, which then forgets what no completed sync covers; and every sync is left out once, which must show.
 */
import { describe, expect, it } from 'vitest'
import { firstFlaw, firstFlawOfKills, recordRun } from './support/crashes.js'
import { MIXED_FRAMES } from './support/run.js'

/** Syncs that no acknowledged event depends on, and why they are there. */
const NOT_FOR_P1: Readonly<Record<string, string>> = {
  'replace-file.ts:replaceFile': 'here writer.json alone: a lost one is made anew from the newest segment',
  'segment.ts:createSpare': 'allocates ahead, so that the syncs of batches are quick',
  'segment.ts:zeroTo': 'allocates ahead, so that the syncs of batches are quick',
}
const NOT_FOR_P1_AS_BLOCKS = { ...NOT_FOR_P1, 'segment.ts:writeZeroes': 'as in zeroTo' }

describe('P1: an acknowledged event is on stable storage', () => {
  describe.each([
    ['zeroes ahead of every frame', {}],
    ['frames of blocks, and larger ones that let the file grow', MIXED_FRAMES],
  ])('%s', (_, more) => {
    it('survives a crash at every call to the disk that forgets all that is not synced', async () => {
      const { snapshots, promised } = await recordRun(['strict'], undefined, more)
      expect(promised.acknowledged.length).toBeGreaterThan(120)
      expect(snapshots.length).toBeGreaterThan(200)
      expect(await firstFlaw(snapshots, promised.sent)).toBeUndefined()
    })

    it('survives crashes that keep any part of what is not synced', async () => {
      const { snapshots, promised } = await recordRun(
        [{ seed: 1 }, { seed: 2 }, { seed: 3 }],
        undefined,
        more,
      )
      expect(await firstFlaw(snapshots, promised.sent)).toBeUndefined()
    })

    it('survives a kill at every call to the disk, a new start, and then a crash', async () => {
      const { flaw, kills } = await firstFlawOfKills(() => false, more)
      expect(flaw).toBeUndefined()
      expect(kills).toBeGreaterThan(80)
    })
  })

  it.each([
    ['small frames', {}, NOT_FOR_P1],
    ['frames of blocks', MIXED_FRAMES, NOT_FOR_P1_AS_BLOCKS],
  ])(
    'shows each sync in src/log that is left out: %s',
    async (_, more, notForP1) => {
      const { sites } = await recordRun([], undefined, more)
      expect(sites.size).toBeGreaterThan(9)
      const unnoticed: string[] = []
      for (const site of sites) {
        const skip = (one: string): boolean => one === site
        const { snapshots, promised } = await recordRun(['strict'], skip, more)
        if ((await firstFlaw(snapshots, promised.sent)) !== undefined) continue
        if ((await firstFlawOfKills(skip, more)).flaw === undefined) unnoticed.push(site)
      }
      const names = new Set(unnoticed.map((site) => site.replace(/:\d+$/, '')))
      expect([...names].toSorted()).toEqual(Object.keys(notForP1).toSorted())
    },
    180_000,
  )
})
