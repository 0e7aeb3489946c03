/** gzip bodies that grow, made without making what they grow to. */
import { constants, deflateRawSync } from 'node:zlib'

const BLOCK_BYTES = 1024 * 1024
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])

/** About a thousandth of `mebibytes`; its checksum is wrong, but nobody should come that far. */
export function gzipBomb(mebibytes: number, text = ' '): Buffer {
  const block = deflateRawSync(Buffer.alloc(BLOCK_BYTES, text), {
    finishFlush: constants.Z_FULL_FLUSH,
    level: 9,
  })
  const blocks = Array.from({ length: mebibytes }, () => block)
  return Buffer.concat([HEADER, ...blocks, deflateRawSync(Buffer.alloc(0)), Buffer.alloc(8)])
}
