/** Directories that survive a power loss: each is synced into its parent. */
import { dirname } from 'node:path'
import type { Disk } from './types.js'

/**
 * Makes `DIR/<writer>` and whatever is missing above it, durably. Directories that are there already are synced too: a
 * process that ended between making one and syncing it left nothing that could be seen.
 */
export async function prepareDirectory(writerDirectory: string, disk: Disk): Promise<void> {
  await disk.mkdir(writerDirectory)
  for (let path = writerDirectory; path !== dirname(path); path = dirname(path)) {
    await syncParent(dirname(path), disk)
  }
}

/** A directory that we may not open (above a mount point, say) was not made by us either. */
async function syncParent(parent: string, disk: Disk): Promise<void> {
  try {
    await disk.syncDirectory(parent)
  } catch (error) {
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
