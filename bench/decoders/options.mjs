/** Of a decoder, as `serve` has them by default. */
export const OPTIONS = {
  recordsMax: 2000,
  recordBytesMax: 1_048_576,
  payloadBytesMax: 10_485_760,
  outputBytesMax: 33_554_432,
  storeIp: 0,
  dropLate: false,
  tokensAllowed: undefined,
  tokensMax: 65_536,
}
