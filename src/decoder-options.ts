/** From the configuration to what a decoder needs to know; the same for the server and for `explain`. */
import type { Config } from './config.js'
import { type DecoderOptions, StoreIp } from './decode/decoder.js'

/** docs/PROTOCOL.md 7.1. */
export const RECORDS_MAX = 2000
export const RECORD_BYTES_MAX = 1_048_576

const STORE_IP = { 'unless-refused': StoreIp.unlessRefused, always: StoreIp.always, never: StoreIp.never }

export function decoderOptions(config: Config): DecoderOptions {
  return {
    recordsMax: RECORDS_MAX,
    recordBytesMax: RECORD_BYTES_MAX,
    payloadBytesMax: config.bodyLimitBytes,
    outputBytesMax: config.batchBytesMax,
    storeIp: STORE_IP[config.storeIp],
    dropLate: config.late === 'drop',
    tokensAllowed: config.auth === 'tokens' ? config.tokens?.map((entry) => entry.token) : undefined,
    tokensMax: config.tokensMax,
  }
}
