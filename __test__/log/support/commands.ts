/** Random commands for a log's lives. */
import * as fc from 'fast-check'
import type { Command } from './lives.js'

const choice = fc.oneof(
  fc.constant('strict' as const),
  fc.nat().map((seed) => ({ seed })),
)

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      records: fc.integer({ min: 1, max: 6 }),
      bytes: fc.oneof(
        { weight: 4, arbitrary: fc.constant(100) },
        fc.integer({ min: 100, max: 3000 }),
        fc.constant(7000),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Command>({ do: 'read' }) },
  { weight: 1, arbitrary: fc.constant<Command>({ do: 'close' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('kill' as const),
      calls: fc.integer({ min: 1, max: 40 }),
      made: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('power' as const), choice }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      op: fc.constantFrom(
        'write',
        'sync',
        'syncDirectory',
        'rename',
        'open',
        'truncate',
        'unlink',
        'close',
        'size',
      ),
      code: fc.constantFrom('EIO', 'EIO', 'ENOSPC'),
      after: fc.integer({ min: 1, max: 15 }),
      times: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 8 })),
      writtenBytes: fc.oneof(fc.constant(0), fc.constant(100_000), fc.integer({ min: 1, max: 5000 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('limit' as const), bytes: fc.integer({ min: 0, max: 12_000 }) }),
  },
  { weight: 1, arbitrary: fc.constant<Command>({ do: 'unlimit' }) },
)

export const commands = fc.array(command, { minLength: 1, maxLength: 40, size: 'max' })
