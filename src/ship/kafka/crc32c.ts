/**
 * CRC-32C (Castagnoli), which every record batch carries: hardware, through the addon, or tables here. Both have the
 * same test vectors, and a process uses the addon's only once it has shown that they agree.
 */
import { optionalAddon } from '../../optional-addon.js'

/** The checksum of `bytes`; `seed` is that of what stands before them, 0 for nothing. */
export type Crc32c = (bytes: Uint8Array, seed?: number) => number

/** The polynomial with its bits reversed. */
const POLYNOMIAL = 0x82f63b78
const SLICES = 8

/** Table k, at k × 256: what a byte does to the checksum once k more bytes have passed. */
const TABLES = slicingTables()

function slicingTables(): Uint32Array {
  const tables = new Uint32Array(SLICES * 256)
  for (let index = 0; index < 256; index++) {
    let value = index
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0)
    tables[index] = value
  }
  for (let index = 256; index < tables.length; index++) {
    const value = tables[index - 256]!
    tables[index] = (value >>> 8) ^ tables[value & 255]!
  }
  return tables
}

/** In JavaScript, eight bytes a step (slicing by 8). */
export const javascriptCrc32c: Crc32c = (bytes, seed = 0) => {
  const tables = TABLES
  const { length } = bytes
  let crc = ~seed
  let at = 0
  for (const whole = length - (length % SLICES); at < whole; at += SLICES) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      tables[1792 + (low & 255)]! ^
      tables[1536 + ((low >>> 8) & 255)]! ^
      tables[1280 + ((low >>> 16) & 255)]! ^
      tables[1024 + (low >>> 24)]! ^
      tables[768 + bytes[at + 4]!]! ^
      tables[512 + bytes[at + 5]!]! ^
      tables[256 + bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!
  }
  for (; at < length; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}

/** The addon's when it is there and right, else the one in JavaScript. */
export async function loadCrc32c(): Promise<Crc32c> {
  const { crc32c: native } = await optionalAddon<{ readonly crc32c: Crc32c }>()
  return native !== undefined && agrees(native) ? native : javascriptCrc32c
}

/** An addon built from other sources must not put a wrong checksum into every batch. */
function agrees(candidate: Crc32c): boolean {
  const probe = Uint8Array.from({ length: 67 }, (_, index) => (index * 37) & 255)
  try {
    return candidate(probe, 0x1234abcd) === javascriptCrc32c(probe, 0x1234abcd)
  } catch {
    return false
  }
}
