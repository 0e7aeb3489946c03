import { createNativeDecoder } from '../../src/decode/native.js'
import { describeWith } from '../support/require.js'
import { decoderCases } from './decoder.cases.js'

describeWith('native', 'native', () => decoderCases(createNativeDecoder))
