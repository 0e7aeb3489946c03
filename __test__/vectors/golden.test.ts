/** That all golden vectors are there, and that each is held by a test. */
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { evaluate } from './expression.js'
import { vectors } from './golden.js'
import { captureExpectations, captures } from './wire-captures.js'

const COUNT = 137
const CAPTURE_COUNT = 45

describe('golden vectors', () => {
  it('are all there: 1 to 137, in order, each once', () => {
    expect(vectors().map(({ id }) => id)).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1))
  })

  it('hold each at least one exchange with a reply, or name the tests that hold them', () => {
    for (const { id, levels, exchanges, tests } of vectors()) {
      if (levels.length > 0) expect(exchanges?.length, `vector ${id}`).toBeGreaterThan(0)
      else expect(tests?.length, `vector ${id}`).toBeGreaterThan(0)
      for (const { reply } of exchanges ?? []) {
        const judged = reply.body !== undefined || reply.shape !== undefined
        expect(judged, `vector ${id}: a reply that nothing is expected of`).toBe(true)
      }
    }
  })

  it('name tests that are there', () => {
    const named = vectors().flatMap(({ tests = [] }) => tests)
    expect(named).not.toEqual([])
    expect(named.filter((path) => !existsSync(new URL(`../../${path}`, import.meta.url)))).toEqual([])
  })
})

describe('recorded requests', () => {
  it('are 45, each with what is expected of it', () => {
    expect(captures()).toHaveLength(CAPTURE_COUNT)
    expect(captureExpectations().map(({ id }) => id)).toEqual(captures().map(({ name }) => name))
  })
})

describe('expressions of the vectors', () => {
  const of = (expression: Parameters<typeof evaluate>[0]): string =>
    evaluate(expression, { EV: '{}' }).toString('latin1')

  it.each([
    ['text', 'é', 'Ã©'],
    ['list', ['a', { use: 'EV' }], 'a{}'],
    ['base64', { base64: '>>>?' }, 'Pj4+Pw=='],
    ['percent', { percent: 'a+/=é_' }, 'a%2B%2F%3D%C3%A9_'],
    ['hex', { hex: 'ff00' }, '\xff\0'],
    ['repeat', { repeat: 'k{index}', times: 3, between: ',' }, 'k0,k1,k2'],
    ['repeat without separator', { repeat: 'ab', times: 2 }, 'abab'],
    ['wrap', { wrap: 'abcdef', width: 3 }, 'abc\r\ndef'],
    ['replace', { replace: 'a+b+', from: '+', to: '%20' }, 'a%20b%20'],
    ['first', { first: 2, of: 'abc' }, 'ab'],
  ] as const)('%s', (_, expression, expected) => {
    expect(of(expression)).toBe(expected)
  })
})
