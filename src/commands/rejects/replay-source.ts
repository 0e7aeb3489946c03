/** Where the records of a replay come from: a file of mended ones, one raw text, or the log of rejects as it is. */
import { createReadStream } from 'node:fs'
import { UsageError } from '../../errors.js'
import { type Endpoint, ENDPOINTS } from '../../record.js'
import type { ReplayRecord } from '../../replay.js'
import { extentOf, ownerOf, type WriterDirectory } from '../directory.js'
import { readInputFile, unreadable } from '../input-file.js'
import { findRejected, readRejected, replayedIn, type RejectedEnvelope } from './read.js'

/** A record that is not even sent. */
export interface Skipped {
  readonly offset: number | null
  readonly outcome: 'skipped'
  readonly reason: string
}

/** One of both; `bytes` is what it adds to a request. */
export interface Item {
  readonly record?: ReplayRecord
  readonly skipped?: Skipped
  readonly bytes: number
}

/** A line that somebody may have worked on: nothing about it is certain. */
type Line = Partial<RejectedEnvelope> & { readonly kind?: unknown; readonly offset?: number | null }

const skip = (offset: number | null, reason: string): Item => {
  return { skipped: { offset, outcome: 'skipped', reason }, bytes: 0 }
}

/** All of these codes, up to the end of the log as it is now: what a replay adds is not replayed in turn. */
export async function* fromLog(
  directory: WriterDirectory,
  codes: readonly string[],
  force: boolean,
): AsyncGenerator<Item> {
  const { endOffset } = await extentOf(directory, 'rejects', await ownerOf(directory))
  const replayed = replayedIn(directory)
  for await (const { offset, envelope } of readRejected(directory)) {
    if (offset >= endOffset) return
    if (!codes.includes(envelope.problem.code) || (!force && replayed(offset) === 'yes')) continue
    yield itemOf(envelope, offset)
  }
}

/**
 * Lines of `rejects list --json` or `tail --kind rejected`.
 *
 * @param directory whose log of rejects tells the offset of each by its request; undefined: the lines' own count
 */
export async function* fromFile(
  file: string,
  directory: WriterDirectory | undefined,
  force: boolean,
): AsyncGenerator<Item> {
  const offsets = directory === undefined ? undefined : await offsetsOf(directory)
  let number = 0
  for await (const text of linesOf(file)) {
    number++
    if (text.trim() === '') continue
    const line = parseLine(text, `${file}:${number}`)
    const offset = (offsets === undefined ? line.offset : offsets.get(identity(line))) ?? null
    if (offset === null && !force) {
      const reason = offsets === undefined ? 'it has no offset' : 'it is not in the log of rejects (any more)'
      yield skip(line.offset ?? null, `${reason}, so nobody knows whether it was replayed; --force sends it`)
    } else {
      yield itemOf(line, offset)
    }
  }
}

/** One raw text: of a known rejected record, or of none. */
export async function* fromText(
  file: string,
  about: {
    readonly offset: number | undefined
    readonly endpoint: string | undefined
    readonly token: string | undefined
    readonly directory: () => WriterDirectory
  },
): AsyncGenerator<Item> {
  const bytes = readInputFile(file)
  const raw = bytes.toString()
  const text = Buffer.from(raw).equals(bytes) ? { raw } : { raw_base64: bytes.toString('base64') }
  if (about.offset === undefined) {
    const endpoint = endpointOf(about.endpoint)
    if (endpoint === undefined) throw new UsageError(`--endpoint must be one of ${ENDPOINTS.join(', ')}`)
    yield itemOf({ endpoint, token: about.token ?? null, ...text }, null)
    return
  }
  const { envelope } = await findRejected(about.directory(), about.offset)
  const { raw: _raw, raw_base64: _base64, truncated: _truncated, ...rest } = envelope
  yield itemOf({ ...rest, ...(about.token !== undefined && { token: about.token }), ...text }, about.offset)
}

const endpointOf = (text: unknown): Endpoint | undefined => ENDPOINTS.find((name) => name === text)

function itemOf(line: Line, offset: number | null): Item {
  const { endpoint, token, project_id: projectId, received_ms: receivedMs } = line
  const { ip, ua, test, raw, raw_base64: base64, truncated } = line
  if (truncated === true) return skip(offset, 'only its start was kept; mend it and take "truncated" out')
  if ((raw ?? base64 ?? '') === '') return skip(offset, 'its text was not kept')
  const record: ReplayRecord = {
    offset,
    endpoint: endpoint!,
    token: token ?? null,
    project_id: projectId ?? null,
    received_ms: receivedMs ?? null,
    ip: ip ?? null,
    ua: ua ?? null,
    ...(test === true && { test }),
    ...(raw === undefined ? { raw_base64: base64! } : { raw }),
  }
  return { record, bytes: Buffer.byteLength(JSON.stringify(record)) }
}

function parseLine(text: string, place: string): Line {
  let line: Line | null
  try {
    line = JSON.parse(text) as Line | null
  } catch (cause) {
    throw new UsageError(`${place}: is not JSON; for one raw text give --offset or --endpoint`, { cause })
  }
  if (line?.kind !== 'rejected' || endpointOf(line.endpoint) === undefined) {
    const expected = 'a rejected record as "sluicegate rejects list --json" prints it'
    throw new UsageError(`${place}: is not ${expected}; for one raw text give --offset or --endpoint`)
  }
  return line
}

/** A record is known by its request and its place in there, whatever was mended. */
const identity = ({ request_id: id, index }: Line): string => `${id}-${index}`

async function offsetsOf(directory: WriterDirectory): Promise<ReadonlyMap<string, number>> {
  const offsets = new Map<string, number>()
  for await (const { offset, envelope } of readRejected(directory)) offsets.set(identity(envelope), offset)
  return offsets
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      const bytes = Buffer.concat([rest, chunk])
      let start = 0
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
        yield bytes.toString('utf8', start, end)
        start = end + 1
      }
      rest = bytes.subarray(start)
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause
    throw unreadable(file, cause)
  }
  yield rest.toString()
}
