import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OffsetRanges } from '../../src/rejects/ranges.js'

describe('OffsetRanges', () => {
  it('joins what touches', () => {
    const ranges = new OffsetRanges([[5, 7]])
    ranges.add(3)
    ranges.add(4)
    ranges.add(9, 12)
    ranges.add(8)
    expect(ranges.toJSON()).toEqual([[3, 12]])
  })

  it('splits where something is taken out', () => {
    const ranges = new OffsetRanges([[0, 4]])
    ranges.remove(2)
    ranges.remove(0)
    ranges.remove(7)
    expect(ranges.toJSON()).toEqual([
      [1, 1],
      [3, 4],
    ])
  })

  it('is bounded: beyond that it takes more for replayed, never less', () => {
    const ranges = new OffsetRanges([], 3)
    for (const offset of [10, 20, 30, 40]) ranges.add(offset)
    expect(ranges.toJSON()).toEqual([
      [10, 20],
      [30, 30],
      [40, 40],
    ])
  })

  it('does what a plain set of numbers does', () => {
    const offset = fc.nat(40)
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), from: offset, length: fc.nat(5) }),
      fc.record({
        do: fc.constantFrom('remove' as const, 'below' as const, 'beyond' as const),
        from: offset,
      }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ranges = new OffsetRanges()
        let plain = new Set<number>()
        for (const one of steps) {
          if (one.do === 'add') {
            ranges.add(one.from, one.from + one.length)
            for (let at = one.from; at <= one.from + one.length; at++) plain.add(at)
          } else if (one.do === 'remove') {
            ranges.remove(one.from)
            plain.delete(one.from)
          } else if (one.do === 'below') {
            ranges.dropBelow(one.from)
            plain = new Set([...plain].filter((at) => at >= one.from))
          } else {
            const dropped = ranges.dropFrom(one.from)
            expect(dropped).toBe([...plain].some((at) => at >= one.from))
            plain = new Set([...plain].filter((at) => at < one.from))
          }
        }
        const all = Array.from({ length: 50 }, (_, at) => at)
        expect(all.filter((at) => ranges.has(at))).toEqual(all.filter((at) => plain.has(at)))
        // Sorted, and never touching.
        const flat = ranges.toJSON()
        for (let at = 1; at < flat.length; at++) expect(flat[at]![0]).toBeGreaterThan(flat[at - 1]![1] + 1)
      }),
    )
  })
})
