/** Directories that survive a power loss: each is synced into its parent. */
import { dirname } from 'node:path'
import type { Disk } from './types.js'

/** Makes `DIR/<writer>` and whatever is missing above it, durably, and makes sure of it when it is there already. */
export async function prepareDirectory(writerDirectory: string, disk: Disk): Promise<void> {
  await makeDirectory(writerDirectory, disk)
  await syncUpwards(writerDirectory, disk)
}

/** Makes a directory and whatever is missing above it, each durably. */
async function makeDirectory(path: string, disk: Disk): Promise<void> {
  const exists = await disk.readdir(path).then(
    () => true,
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    },
  )
  if (exists) return
  const parent = dirname(path)
  if (parent !== path) await makeDirectory(parent, disk)
  await disk.mkdir(path)
  await disk.syncDirectory(parent)
}

/** A process that ended between making a directory and syncing it left nothing that can be seen: sync it again. */
async function syncUpwards(writerDirectory: string, disk: Disk): Promise<void> {
  const dataDirectory = dirname(writerDirectory)
  await disk.syncDirectory(dataDirectory)
  try {
    await disk.syncDirectory(dirname(dataDirectory))
  } catch (error) {
    // A parent that we may not open (the data directory is a mount point, say) was not made by us either.
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
