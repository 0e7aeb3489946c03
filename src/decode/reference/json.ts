/**
 * The JSON grammar, checked byte by byte without recursion: brackets may nest to any depth. The scanner reads one value
 * and notes what the record it stands for will need: repairs, white space, a container that lies too deep.
 */
import { isUtf8 } from 'node:buffer'
import { Byte, hexDigit } from './bytes.js'
import { codeUnit, escapeLength } from './text.js'

/** Levels of containers that are read; a record's own object is the first. */
export const DEPTH_MAX = 64

const STACK_BYTES_KEPT_MAX = 64 * 1024

/** What a value's opening turned out to be, or what follows a complete value. */
const Step = { failed: 0, complete: 1, more: 2 } as const
type StepResult = (typeof Step)[keyof typeof Step]

const isSpace = (byte: number | undefined): boolean =>
  byte === Byte.space || byte === Byte.lineFeed || byte === Byte.carriageReturn || byte === Byte.tab

const isDigit = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= Byte.zero && byte <= Byte.nine

/** 1 for bytes that may stand in a string as they are. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== Byte.quote && byte !== Byte.backslash ? 1 : 0,
)

const literal = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const TRUE = literal('true')
const FALSE = literal('false')
const NULL = literal('null')
const NAN = literal('NaN')
const INFINITY = literal('Infinity')

export class JsonScanner {
  /** Behind the value after `scan` gave true; the first byte that cannot go on after it gave false. */
  position = 0
  /** The value held invalid UTF-8 (CESU-8 included). */
  utf8Broken = false
  surrogateBroken = false
  nanFound = false
  /** White space stands outside the value's strings. */
  spaced = false
  /** The first container beyond DEPTH_MAX, -1 for none. */
  tooDeepAt = -1

  private bytes: Uint8Array = new Uint8Array()
  private end = 0
  private allowNan = false
  private depth = 0
  private stack = new Uint8Array(256)
  /** All bytes of the value's strings, or-ed: tells ASCII from the rest. */
  private bits = 0

  /** Chooses the text: `end` is exclusive; `allowNan`: NaN, Infinity and -Infinity are values. */
  read(bytes: Uint8Array, end: number, allowNan: boolean): void {
    this.bytes = bytes
    this.end = end
    this.allowNan = allowNan
    if (this.stack.length > STACK_BYTES_KEPT_MAX) this.stack = new Uint8Array(256)
  }

  /** Forgets the text that was read. */
  release(): void {
    this.read(new Uint8Array(), 0, false)
  }

  /** Behind the JSON white space that starts at `position`. */
  skipSpace(position: number): number {
    let next = position
    while (next < this.end && isSpace(this.bytes[next])) next++
    return next
  }

  /** Reads the value that starts at `start`, which is not white space. */
  scan(start: number): boolean {
    this.position = start
    this.depth = this.bits = 0
    this.tooDeepAt = -1
    this.utf8Broken = this.surrogateBroken = this.nanFound = this.spaced = false
    for (;;) {
      const opened = this.open()
      if (opened === Step.failed) return false
      if (opened === Step.more) continue
      const closed = this.close()
      if (closed === Step.failed) return false
      if (closed === Step.complete) break
    }
    // Bytes from 80 on stand in strings only, so that the whole value is valid exactly when all its strings are.
    if (this.bits >= 0x80) this.utf8Broken = !isUtf8(this.bytes.subarray(start, this.position))
    return true
  }

  /** A scalar or an empty container is complete; any other container waits for its first value. */
  private open(): StepResult {
    this.skip()
    const byte = this.peek()
    if (byte === Byte.quote) return this.string() ? Step.complete : Step.failed
    if (byte !== Byte.openBrace && byte !== Byte.openBracket) {
      return this.scalar(byte) ? Step.complete : Step.failed
    }
    this.push(byte)
    this.skip()
    if (this.peek() === byte + 2) return Step.complete
    if (byte === Byte.openBracket) return Step.more
    return this.name() ? Step.more : Step.failed
  }

  /** Behind a value (or in front of an empty container's closing bracket): closes what ends here. */
  private close(): StepResult {
    while (this.depth > 0) {
      this.skip()
      const byte = this.peek()
      const container = this.stack[this.depth - 1]!
      if (byte === container + 2) {
        this.position++
        this.depth--
      } else if (byte === Byte.comma) {
        this.position++
        if (container === Byte.openBracket) return Step.more
        this.skip()
        return this.name() ? Step.more : Step.failed
      } else return Step.failed
    }
    return Step.complete
  }

  private push(container: number): void {
    if (this.depth === this.stack.length) {
      const larger = new Uint8Array(this.stack.length * 2)
      larger.set(this.stack)
      this.stack = larger
    }
    this.stack[this.depth++] = container
    if (this.depth > DEPTH_MAX && this.tooDeepAt < 0) this.tooDeepAt = this.position
    this.position++
  }

  private peek(): number {
    return this.position < this.end ? this.bytes[this.position]! : -1
  }

  private skip(): void {
    const next = this.skipSpace(this.position)
    if (next !== this.position) this.spaced = true
    this.position = next
  }

  /** A member's name and its colon. */
  private name(): boolean {
    if (this.peek() !== Byte.quote || !this.string()) return false
    this.skip()
    if (this.peek() !== Byte.colon) return false
    this.position++
    return true
  }

  private string(): boolean {
    const { bytes, end } = this
    let position = this.position + 1
    let bits = 0
    for (;;) {
      while (position < end && PLAIN[bytes[position]!] === 1) bits |= bytes[position++]!
      this.position = position
      this.bits |= bits
      if (position >= end) return false
      if (bytes[position] === Byte.quote) {
        this.position++
        return true
      }
      if (bytes[position] !== Byte.backslash || !this.escape()) return false
      position = this.position
    }
  }

  /** The escape whose backslash is at `position`. */
  private escape(): boolean {
    const at = this.position
    const kind = at + 1 < this.end ? String.fromCharCode(this.bytes[at + 1]!) : ''
    if (kind === '' || !'"\\/bfnrtu'.includes(kind)) {
      this.position = at + 1
      return false
    }
    if (kind === 'u' && codeUnit(this.bytes, at + 2, this.end) < 0) {
      this.position = at + 2
      while (hexDigit(this.peek()) >= 0) this.position++
      return false
    }
    const length = escapeLength(this.bytes, at, this.end)
    if (length < 0) this.surrogateBroken = true
    this.position = at + Math.abs(length)
    return true
  }

  private scalar(byte: number): boolean {
    if (byte === Byte.minus) return this.minus()
    if (isDigit(byte)) return this.number()
    if (byte === TRUE[0]) return this.literal(TRUE)
    if (byte === FALSE[0]) return this.literal(FALSE)
    if (byte === NULL[0]) return this.literal(NULL)
    return this.nan(byte)
  }

  private minus(): boolean {
    this.position++
    const byte = this.peek()
    return isDigit(byte) ? this.number() : byte === INFINITY[0] && this.nan(byte)
  }

  private nan(byte: number): boolean {
    if (!this.allowNan || !this.literal(byte === NAN[0] ? NAN : INFINITY)) return false
    this.nanFound = true
    return true
  }

  /** Leaves `position` at the literal's first byte when it is another one. */
  private literal(expected: Uint8Array): boolean {
    if (this.position + expected.length > this.end) return false
    for (let i = 0; i < expected.length; i++) {
      if (this.bytes[this.position + i] !== expected[i]) return false
    }
    this.position += expected.length
    return true
  }

  /** From the first digit on. */
  private number(): boolean {
    if (this.peek() === Byte.zero) this.position++
    else this.digits()
    if (this.peek() === Byte.dot) {
      this.position++
      if (!this.digits()) return false
    }
    if ((this.peek() | 0x20) === 0x65) {
      this.position++
      if (this.peek() === Byte.plus || this.peek() === Byte.minus) this.position++
      return this.digits()
    }
    return true
  }

  private digits(): boolean {
    const start = this.position
    while (isDigit(this.peek())) this.position++
    return this.position > start
  }
}
