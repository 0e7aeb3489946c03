/** P10: half a minute of junk beside good events, with figures. */
import { describe, it } from 'vitest'
import { expectBounded, flood } from './support/flood.js'
import { print } from './support/print.js'
import { workspace } from './support/server.js'

const SECONDS = 20

describe('P10: a flood of junk, the long form', () => {
  it(`${SECONDS} s of good neighbours and ${SECONDS} s of junk, by turns`, async () => {
    const result = await flood(workspace(), SECONDS)
    print('flood of junk beside one steady client', [result])
    expectBounded(result)
  })
})
