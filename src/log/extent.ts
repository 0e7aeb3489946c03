/** Which offsets a log holds, seen from outside. */
import { inspectLog } from './inspect.js'
import { readLog } from './reader.js'

export interface Extent {
  readonly firstOffset: number
  /** Offset behind the last durable record. */
  readonly endOffset: number
}

/**
 * @param ownersEnd what the log's owner says that its end is; without an owner the last segment is read for it
 * @throws SluicegateError `log_format_newer`
 */
export async function extentOfLog(directory: string, ownersEnd?: number): Promise<Extent> {
  const { segments, firstOffset } = await inspectLog(directory)
  if (ownersEnd !== undefined) return { firstOffset, endOffset: ownersEnd }
  let endOffset = segments.at(-1)?.firstOffset ?? 0
  for await (const { offset } of readLog({ directory, from: endOffset })) endOffset = offset + 1
  return { firstOffset, endOffset }
}
