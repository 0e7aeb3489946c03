/** The file that tells whoever started the server that it is ready, and where. */
import { randomBytes } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'

/**
 * Puts `text` under `path` in one piece. The folder may be one that everybody writes to: the temporary name cannot be
 * guessed, and a link or file that somebody put there is never written through.
 */
export function writeReadyFile(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  try {
    writeFileSync(temporary, text, { flag: 'wx' })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
