/** Problems in words are bounded, however long a name the client chose (P7). */
import { expect, it } from 'vitest'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { decode, engage, OPTIONS } from './harness.js'

it('P7: a member name of 500 000 characters is shortened in message, field and pointer', () => {
  const name = 'n'.repeat(500_000)
  const body = `{"$token":"t","$distinct_id":"u","$add":{"${name}":"x"}}`
  const [row] = decode(createReferenceDecoder(OPTIONS), engage(body)).rows
  const { field, pointer, message, code } = row!.problem!
  expect(code).toBe('add_invalid')
  for (const text of [field, pointer, message]) expect(text.length).toBeLessThan(700)
  expect(pointer).toBe(`/$add/${'n'.repeat(255)}…`)
})
