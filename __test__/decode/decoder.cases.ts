/** The suite that every decoder runs: docs/DECODING.md, section by section. */
import { describe } from 'vitest'
import type { Decoder, DecoderOptions } from '../../src/decode/decoder.js'
import { envelopeCases } from './cases/envelope.js'
import { grammarCases } from './cases/grammar.js'
import { importCases } from './cases/import.js'
import { profileCases } from './cases/profiles.js'
import { tableCases } from './cases/table.js'
import { textCases } from './cases/text.js'
import { timeCases } from './cases/time.js'
import { trackCases } from './cases/track.js'
import { wrappingCases } from './cases/wrapping.js'
import { OPTIONS } from './harness.js'

/** Makes the decoder under test. */
export type Make = (options?: Partial<DecoderOptions>) => Decoder

export function decoderCases(create: (options: DecoderOptions) => Decoder): void {
  const make: Make = (options) => create({ ...OPTIONS, ...options })
  describe('1, 2: parameters, forms, base64', () => wrappingCases(make))
  describe('3: JSON, lines, records', () => grammarCases(make))
  describe('4: rules of /track', () => trackCases(make))
  describe('4: rules of /import', () => importCases(make))
  describe('4: rules of /engage and /groups', () => profileCases(make))
  describe('5: envelope and key', () => envelopeCases(make))
  describe('5: time', () => timeCases(make))
  describe('6: text repair', () => textCases(make))
  describe('7, 8: limits, room, table', () => tableCases(make))
}
