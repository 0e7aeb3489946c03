/** The PyPI client `mixpanel`, single and buffered, with every kind of credential. */
import { clientSuite } from './support/others.js'
import { python } from './support/program.js'

clientSuite('mixpanel (PyPI)', await python(), {
  lib: 'python/5.4.1',
  ids: 'client',
  people: [
    { $append: { $transactions: { $amount: 29.99 } } },
    { $unset: ['$transactions'] },
    { $delete: '' },
    { $set: { buffered: true } },
  ],
  groups: [{ $delete: '' }],
  imports: { api_key: 1, account: 1, buffer: 60 },
  others: ['Not numbers', '$merge'],
  refusals: 4,
})
