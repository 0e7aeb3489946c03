/** Memory that the kernel can have the drive read from, instead of copying it first. */
import { optionalAddon } from '../optional-addon.js'
import { sharedBytes } from '../shared-bytes.js'
import { BLOCK_BYTES, blockEnd } from './format.js'

const { bytesToBoundary } = await optionalAddon<{
  readonly bytesToBoundary: (bytes: Uint8Array, alignment: number) => number
}>()

/**
 * Zeroes, in whole blocks, `bytes` or more. They begin at an address that is a multiple of BLOCK_BYTES where the addon
 * can tell addresses; elsewhere the kernel has to copy what is written from them.
 */
export function memoryOfBlocks(bytes: number): Uint8Array<SharedArrayBuffer> {
  const length = blockEnd(bytes)
  const memory = sharedBytes(length + BLOCK_BYTES)
  const start = bytesToBoundary?.(memory, BLOCK_BYTES) ?? 0
  return memory.subarray(start, start + length)
}
