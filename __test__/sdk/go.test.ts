/** The Go client `mixpanel-go`: JSON bodies, gzip, strict and lenient imports. */
import { clientSuite } from './support/others.js'
import { go } from './support/program.js'

clientSuite('mixpanel-go', await go(), {
  // What the module v1.2.1 calls itself.
  lib: 'go/v1.2.0',
  ids: 'generated',
  people: [{ $delete: 'null' }],
  groups: [{ $delete: 'null' }],
  imports: { token: 3, secret: 3, account: 3 },
  others: ['Located', '$create_alias', '$merge'],
  refusals: 22,
})
