import { expect, it } from 'vitest'
import { trialNotice } from '../src/platform.js'

it('where durability is not proven, the server says so in one line', () => {
  expect(trialNotice('linux')).toBeUndefined()
  expect(trialNotice('darwin')).toMatch(/^on macOS the server is for trials: .*Linux only$/)
  expect(trialNotice('win32')).toMatch(/^on Windows /)
  expect(trialNotice('freebsd')).toMatch(/^on freebsd /)
})
