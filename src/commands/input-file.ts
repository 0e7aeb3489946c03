/** What a command is given to look at: a file, or standard input. */
import { readFileSync } from 'node:fs'
import { UsageError } from '../errors.js'

/**
 * @param file `-` for standard input, which a terminal is told of
 * @throws UsageError that names the file, and why it cannot be read
 */
export function readInputFile(file: string): Buffer {
  if (file === '-' && process.stdin.isTTY)
    process.stderr.write('reading from standard input, end with Ctrl-D\n')
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

/** @param cause what the system said */
export function unreadable(file: string, cause: unknown): UsageError {
  return new UsageError(`${file}: cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause })
}
