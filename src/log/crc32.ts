/**
 * CRC-32 (IEEE) of what is written: the addon's, which takes a third of the time, or zlib's. What is read is checked by
 * zlib's, so that neither vouches for itself.
 */
import { crc32 as zlibCrc32 } from 'node:zlib'
import { optionalAddon } from '../optional-addon.js'

/** `seed`: the checksum of what stands before the bytes. */
export type Crc32 = (bytes: Uint8Array, seed?: number) => number

interface Addon {
  /** null where the processor has no instruction for it. */
  readonly crc32: (bytes: Uint8Array, seed?: number) => number | null
}

/** The addon's when it is there, fast and right, else zlib's. */
export async function loadCrc32(): Promise<Crc32> {
  const { crc32: native } = await optionalAddon<Addon>()
  return native !== undefined && agrees(native) ? (native as Crc32) : zlibCrc32
}

/** An addon built from other sources must not put a wrong checksum into every frame. Long enough for each way it has. */
function agrees(candidate: NonNullable<Addon['crc32']>): boolean {
  const probe = Uint8Array.from({ length: 1347 }, (_, index) => (index * 37) & 255)
  const cut = 123
  try {
    return candidate(probe.subarray(cut), candidate(probe.subarray(0, cut))!) === zlibCrc32(probe)
  } catch {
    return false
  }
}
