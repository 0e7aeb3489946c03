/** The Maven client `mixpanel-java`: base64 forms and JSON imports, plain and compressed. */
import { expect } from 'vitest'
import { clientSuite } from './support/others.js'
import { java } from './support/program.js'

clientSuite('mixpanel-java', await java(), {
  lib: 'jdk',
  ids: 'generated',
  people: [{ $append: { $transactions: expect.objectContaining({ $amount: 29.99 }) } }, { $delete: {} }],
  groups: [{ $delete: {} }],
  imports: { strict: 3, gzip: 3, lenient: 3 },
  others: [],
  refusals: 8,
})
