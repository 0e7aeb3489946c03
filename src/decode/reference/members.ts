/** Walks text that the scanner has found valid: members, elements and what kind of value each is. */
import { asBuffer } from '../../as-buffer.js'
import { Byte, type Span } from './bytes.js'
import { stringValue } from './text.js'

export type Kind = 'string' | 'number' | 'boolean' | 'null' | 'object' | 'list'

/** A value where it stands in the payload. */
export class Value implements Span {
  constructor(
    readonly bytes: Uint8Array,
    readonly start: number,
    readonly end: number,
  ) {}

  /** NaN, Infinity and -Infinity are read as null. */
  get kind(): Kind {
    switch (this.bytes[this.start]) {
      case Byte.quote:
        return 'string'
      case Byte.openBrace:
        return 'object'
      case Byte.openBracket:
        return 'list'
      case 0x74:
      case 0x66:
        return 'boolean'
      case 0x6e:
      case 0x4e:
      case 0x49:
        return 'null'
      case Byte.minus:
        return this.bytes[this.start + 1] === 0x49 ? 'null' : 'number'
      default:
        return 'number'
    }
  }

  /** A string's value, repaired and unescaped; undefined for other kinds. */
  string(): string | undefined {
    return this.kind === 'string' ? stringValue(this.bytes, this.start + 1, this.end - 1) : undefined
  }

  /** The JSON text as received. */
  raw(): string {
    return asBuffer(this.bytes).toString('utf8', this.start, this.end)
  }

  /** The text of a string, number or boolean; undefined for other kinds. */
  text(): string | undefined {
    const kind = this.kind
    if (kind === 'string') return this.string()
    return kind === 'number' || kind === 'boolean' ? this.raw() : undefined
  }
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let position = start
  while (bytes[position]! <= Byte.space) position++
  return position
}

/** Behind the string that starts at `start`. */
export function skipString(bytes: Uint8Array, start: number): number {
  let position = start + 1
  while (bytes[position] !== Byte.quote) position += bytes[position] === Byte.backslash ? 2 : 1
  return position + 1
}

function skipContainer(bytes: Uint8Array, start: number): number {
  let depth = 0
  let position = start
  for (;;) {
    const byte = bytes[position]!
    if (byte === Byte.quote) {
      position = skipString(bytes, position)
      continue
    }
    position++
    // `[` and `{`, `]` and `}` differ in one bit.
    if ((byte | 0x20) === Byte.openBrace) depth++
    else if ((byte | 0x20) === Byte.closeBrace && --depth === 0) return position
  }
}

function skipScalar(bytes: Uint8Array, start: number): number {
  let position = start
  for (; position < bytes.length; position++) {
    const byte = bytes[position]!
    if (byte <= Byte.space || byte === Byte.comma || (byte | 0x20) === Byte.closeBrace) break
  }
  return position
}

/** Behind the value that starts at `start`. */
export function skipValue(bytes: Uint8Array, start: number): number {
  const byte = bytes[start]!
  if (byte === Byte.quote) return skipString(bytes, start)
  return (byte | 0x20) === Byte.openBrace ? skipContainer(bytes, start) : skipScalar(bytes, start)
}

/** Steps through the members of an object or the elements of a list. */
export class Walker {
  /** The member's name between its quotes; equal in a list. */
  nameStart = -1
  nameEnd = -1
  valueStart = -1
  valueEnd = -1
  private position: number
  private readonly named: boolean

  constructor(
    readonly bytes: Uint8Array,
    container: Span,
  ) {
    this.position = container.start + 1
    this.named = bytes[container.start] === Byte.openBrace
  }

  next(): boolean {
    const { bytes } = this
    let position = skipSpace(bytes, this.position)
    if (bytes[position] === Byte.comma) position = skipSpace(bytes, position + 1)
    if ((bytes[position]! | 0x20) === Byte.closeBrace) return false
    if (this.named) {
      this.nameStart = position + 1
      position = skipString(bytes, position)
      this.nameEnd = position - 1
      position = skipSpace(bytes, skipSpace(bytes, position) + 1)
    }
    this.valueStart = position
    this.valueEnd = this.position = skipValue(bytes, position)
    return true
  }

  name(): string {
    return stringValue(this.bytes, this.nameStart, this.nameEnd)
  }

  value(): Value {
    return new Value(this.bytes, this.valueStart, this.valueEnd)
  }
}

/** Members by name, of those that somebody reads. */
export type Members = ReadonlyMap<string, Value>
export const NO_MEMBERS: Members = new Map()

/** No name that is wanted is longer than this, even with every letter escaped. */
const WANTED_BYTES_MAX = 32 * 6

/** The members of `object` whose names are wanted (at most 32 letters); of duplicates the last. */
export function readMembers(bytes: Uint8Array, object: Span, wanted: ReadonlySet<string>): Members {
  const found = new Map<string, Value>()
  const walker = new Walker(bytes, object)
  while (walker.next()) {
    if (walker.nameEnd - walker.nameStart > WANTED_BYTES_MAX) continue
    const name = walker.name()
    if (wanted.has(name)) found.set(name, walker.value())
  }
  return found
}
