/**
 * Who writes this log: a random 128-bit id, made once and kept in `writer.json`. Every segment and frame repeats it, so
 * that bytes of another log never pass for this one's, and consumers notice when a log was replaced.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { WRITER_ID_BYTES } from './format.js'
import { replaceFile } from './replace-file.js'
import type { Disk } from './types.js'

const FILE = 'writer.json'

export class Identity {
  private constructor(
    private readonly directory: string,
    private readonly disk: Disk,
    public writerId: Uint8Array,
  ) {}

  /**
   * Reads the id; makes one where there is none.
   *
   * @param known the id of the newest segment: a lost writer.json is made anew from it
   */
  static async load(directory: string, disk: Disk, known: Uint8Array | undefined): Promise<Identity> {
    const kept = await readId(directory, disk)
    const identity = new Identity(directory, disk, kept ?? known ?? randomBytes(WRITER_ID_BYTES))
    if (kept === undefined) await identity.save()
    return identity
  }

  /** Takes a new id: the log no longer is what its consumers knew. */
  async renew(): Promise<void> {
    this.writerId = randomBytes(WRITER_ID_BYTES)
    await this.save()
  }

  private async save(): Promise<void> {
    const { disk, directory } = this
    const temporary = join(directory, `${FILE}.tmp`)
    await disk.unlink(temporary).catch(() => {})
    const text = `${JSON.stringify({ v: 1, writer_id: hexOf(this.writerId) })}\n`
    await replaceFile(disk, join(directory, FILE), temporary, text)
  }
}

export const hexOf = (writerId: Uint8Array): string => Buffer.from(writerId).toString('hex')

async function readId(directory: string, disk: Disk): Promise<Uint8Array | undefined> {
  if (!(await disk.readdir(directory)).includes(FILE)) return undefined
  const file = await disk.open(join(directory, FILE), 'r')
  try {
    const bytes = Buffer.alloc(1024)
    const text = bytes.toString('utf8', 0, await file.read(bytes, 0))
    const hex = /"writer_id":"([0-9a-f]{32})"/.exec(text)?.[1]
    return hex === undefined ? undefined : Buffer.from(hex, 'hex')
  } finally {
    await file.close()
  }
}
