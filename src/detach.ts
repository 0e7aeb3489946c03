/**
 * Memory that nobody looks at again is given back at once, instead of at some garbage collection: the next body then
 * lies where the processor's caches are warm, and what waits to be collected does not bring collections forward.
 */
import { optionalAddon } from './optional-addon.js'

/** The buffer is empty afterwards, unless it shares its memory: then nothing is done. */
export type Detach = (bytes: Uint8Array) => void

const addon = await optionalAddon<{ readonly detach: Detach }>()

/** Without the addon all is left to the garbage collector, as in memory that is not ours alone. */
export const leave: Detach = () => {}
export const detach: Detach = addon.detach ?? leave

/** glibc looks at no larger one. */
const SETTLED_BYTES = 32 * 1024 * 1024 - 64 * 1024

/**
 * Has the allocator keep up to 64 MiB of what is given back. To begin with glibc returns all but 128 KiB at the heap's end
 * to the system, and has it mapped anew, page by page, by the next bodies; it goes by the largest block that was ever
 * freed (mallopt(3), M_MMAP_THRESHOLD). This one is never touched, and so costs no memory.
 */
export function settleHeap(): void {
  detach(Buffer.allocUnsafeSlow(SETTLED_BYTES))
}
