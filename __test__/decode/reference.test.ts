import { describe } from 'vitest'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { decoderCases } from './decoder.cases.js'

describe('reference', () => decoderCases((options) => createReferenceDecoder(options)))
