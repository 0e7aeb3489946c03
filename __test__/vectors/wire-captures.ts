/** Requests of real SDKs, as recorded: wire-captures.txt taken apart into the bytes that were on the wire. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { type ExpectedRecord, type ExpectedReply, readLines } from './golden.js'

export interface Capture {
  /** `node #1`. */
  readonly name: string
  readonly method: string
  readonly target: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Head and body as they were; a gzip body is compressed again, and its Content-Length put right. */
  readonly bytes: Buffer
  /** The body before compression. */
  readonly body: Buffer
}

/** What a capture must get and leave behind (wire-captures.jsonl). */
export interface CaptureExpectation {
  readonly id: string
  readonly reply: ExpectedReply
  readonly queue: readonly ExpectedRecord[]
}

export const captureExpectations = (): CaptureExpectation[] =>
  readLines<CaptureExpectation>('wire-captures.jsonl')

/** A heading between clients, framed in `=`; a line of `=` alone. */
const DECORATION = /^=+(?: .*)?$/gm
const GZIP = /^\[gzip \d+ bytes\] /

/** All captures in the order of the file; throws when one does not hold together. */
export function captures(): Capture[] {
  const text = readFileSync(new URL('wire-captures.txt', import.meta.url), 'utf8')
  const [, ...parts] = text.replaceAll(DECORATION, '').split(/^--- /m)
  return parts.map(captureOf)
}

function captureOf(part: string): Capture {
  const nameEnd = part.indexOf('\n')
  const headEnd = part.indexOf('\n\n')
  const name = part.slice(0, nameEnd)
  const [requestLine, ...lines] = part.slice(nameEnd + 1, headEnd).split('\n')
  const [method, target] = requestLine!.split(' ')
  const headers = new Map(lines.map(header))
  const written = part.slice(headEnd).trim()
  const gzip = GZIP.test(written)
  const body = Buffer.from(written.replace(GZIP, ''))
  const sentBody = gzip ? gzipSync(body) : body
  if (gzip) headers.set('content-length', String(sentBody.length))
  const declared = Number(headers.get('content-length') ?? 0)
  if (sentBody.length !== declared) throw new Error(`${name}: ${sentBody.length} bytes, not ${declared}`)
  const sent = lines.map((line) => line.replace(/^(content-length): .*/i, `$1: ${declared}`))
  const head = Buffer.from([requestLine, ...sent, '', ''].join('\r\n'), 'latin1')
  return { name, method: method!, target: target!, headers, bytes: Buffer.concat([head, sentBody]), body }
}

function header(line: string): [string, string] {
  const colon = line.indexOf(': ')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)]
}
