/** From the payload to its records: one JSON value or lines, where each record lies and what it will need (section 3). */
import { ProblemId } from '../problems.js'
import { Byte, trim, trimBlanks, type Span } from './bytes.js'
import { JsonScanner } from './json.js'
import { type Payload, type PayloadProblem, problemAt } from './payload.js'

/** One record's text and what the scanner noted about it. */
export interface FoundRecord extends Span {
  /** A line that is not JSON: the byte that cannot go on, else -1. */
  readonly syntaxErrorAt: number
  readonly utf8Broken: boolean
  readonly surrogateBroken: boolean
  readonly nanFound: boolean
  readonly spaced: boolean
  readonly tooDeepAt: number
}

/** Takes payloads apart. One for a decoder's life. */
export class RecordFinder {
  /** The records found; no more than recordsMax are kept. */
  readonly records: FoundRecord[] = []
  count = 0
  readonly scanner = new JsonScanner()

  constructor(private readonly recordsMax: number) {}

  /** Fills `records` or says why the payload has none. */
  find(payload: Payload, allowNan: boolean): PayloadProblem | undefined {
    this.clear()
    if (payload.problem) return payload.problem
    const text = trim(payload.bytes)
    if (text.start === text.end) return problemAt(ProblemId.dataMissing)
    if (payload.shape === 'lines') return this.lines(payload.bytes, text, allowNan)
    const problem = this.json(payload.bytes, text, allowNan)
    const retry = payload.shape === 'json or lines' && problem?.problem === ProblemId.jsonInvalid
    if (!retry || !this.isLines(payload.bytes, text, allowNan)) return problem
    this.clear()
    return this.lines(payload.bytes, text, allowNan)
  }

  clear(): void {
    this.records.length = this.count = 0
    this.scanner.release()
  }

  private json(bytes: Uint8Array, text: Span, allowNan: boolean): PayloadProblem | undefined {
    const { scanner } = this
    scanner.read(bytes, text.end, allowNan)
    const valid = bytes[text.start] === Byte.openBracket ? this.list(bytes, text) : this.value(text.start)
    const behind = valid ? scanner.skipSpace(scanner.position) : scanner.position
    if (!valid || behind < text.end) return problemAt(ProblemId.jsonInvalid, behind)
    if (this.count === 0) return problemAt(ProblemId.dataMissing)
    const first = bytes[text.start]
    const isRecords = first === Byte.openBrace || first === Byte.openBracket
    return isRecords ? this.tooMany() : problemAt(ProblemId.payloadNotRecords, text.start)
  }

  /** The root list: its elements are the records. Leaves the scanner behind it or at the byte that cannot go on. */
  private list(bytes: Uint8Array, text: Span): boolean {
    if (!this.goOn(text.start + 1, text.end)) return false
    let closed = bytes[this.scanner.position] === Byte.closeBracket
    while (!closed) {
      if (!this.value(this.scanner.position) || !this.goOn(this.scanner.position, text.end)) return false
      const byte = bytes[this.scanner.position]
      closed = byte === Byte.closeBracket
      if (!closed && (byte !== Byte.comma || !this.goOn(this.scanner.position + 1, text.end))) return false
    }
    this.scanner.position++
    return true
  }

  /** Moves the scanner to the next byte that is not white space; false at the end. */
  private goOn(position: number, end: number): boolean {
    this.scanner.position = this.scanner.skipSpace(position)
    return this.scanner.position < end
  }

  private value(start: number): boolean {
    if (!this.scanner.scan(start)) return false
    this.keep(start, this.scanner.position, -1)
    return true
  }

  private keep(start: number, end: number, syntaxErrorAt: number): void {
    if (this.count++ >= this.recordsMax) return
    const { utf8Broken, surrogateBroken, nanFound, spaced, tooDeepAt } = this.scanner
    this.records.push({
      start,
      end,
      syntaxErrorAt,
      utf8Broken,
      surrogateBroken,
      nanFound,
      spaced,
      tooDeepAt,
    })
  }

  private lines(bytes: Uint8Array, text: Span, allowNan: boolean): PayloadProblem | undefined {
    for (const line of linesOf(bytes, text)) {
      if (this.count >= this.recordsMax) this.count++
      else this.line(bytes, line, allowNan)
    }
    return this.tooMany()
  }

  private line(bytes: Uint8Array, line: Span, allowNan: boolean): void {
    this.keep(line.start, line.end, this.lineError(bytes, line, allowNan))
  }

  /** The byte of a line that cannot go on, -1 when the line is one complete value. */
  private lineError(bytes: Uint8Array, line: Span, allowNan: boolean): number {
    const { scanner } = this
    scanner.read(bytes, line.end, allowNan)
    if (!scanner.scan(line.start)) return scanner.position
    return scanner.position === line.end ? -1 : scanner.skipSpace(scanner.position)
  }

  private isLines(bytes: Uint8Array, text: Span, allowNan: boolean): boolean {
    const lines = linesOf(bytes, text)
    const first = lines.next()
    if (first.done || lines.next().done) return false
    return this.lineError(bytes, first.value, allowNan) < 0
  }

  private tooMany(): PayloadProblem | undefined {
    return this.count > this.recordsMax ? problemAt(ProblemId.tooManyRecords, -1, this.count) : undefined
  }
}

/** The lines that are not empty, trimmed. */
function* linesOf(bytes: Uint8Array, text: Span): Generator<Span, undefined> {
  for (let start = text.start; start < text.end;) {
    const feed = bytes.indexOf(Byte.lineFeed, start)
    const end = feed < 0 || feed > text.end ? text.end : feed
    const line = trimBlanks(bytes, start, end)
    if (line.start < line.end) yield line
    start = end + 1
  }
  return undefined
}
