/** A small file that is replaced as a whole: a crash leaves the old one or the new one. */
import { dirname } from 'node:path'
import type { Disk } from './types.js'

/**
 * Resolves when `text` stands under `path` on stable storage.
 *
 * @param temporary a path in the same directory that nothing has; left behind when something fails
 */
export async function replaceFile(disk: Disk, path: string, temporary: string, text: string): Promise<void> {
  const file = await disk.open(temporary, 'wx+')
  try {
    await file.write(Buffer.from(text), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(temporary, path)
  await disk.syncDirectory(dirname(path))
}
