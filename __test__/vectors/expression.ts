/** The small language in which vectors write bytes that are too long, or not text, to be written out (README.md). */
import { gzipSync } from 'node:zlib'
import { deflateRawSync, constants } from 'node:zlib'

export type Expression = string | readonly Expression[] | Operation

type Operation =
  | { readonly use: string }
  | { readonly base64: Expression }
  | { readonly percent: Expression }
  | { readonly hex: string }
  | { readonly repeat: Expression; readonly times: number; readonly between?: string }
  | { readonly wrap: Expression; readonly width: number }
  | { readonly replace: Expression; readonly from: string; readonly to: string }
  | { readonly first: number; readonly of: Expression }
  | { readonly bomb: number }

export type Texts = Readonly<Record<string, string>>

/** The bytes that an expression stands for. */
export function evaluate(expression: Expression, texts: Texts): Buffer {
  if (typeof expression === 'string') return Buffer.from(expression)
  if (isList(expression)) return Buffer.concat(expression.map((part) => evaluate(part, texts)))
  const of = (part: Expression): Buffer => evaluate(part, texts)
  if ('use' in expression) return named(expression.use, texts)
  if ('base64' in expression) return Buffer.from(of(expression.base64).toString('base64'))
  if ('percent' in expression) return percentEncode(of(expression.percent))
  if ('hex' in expression) return Buffer.from(expression.hex, 'hex')
  if ('repeat' in expression) return repeat(of(expression.repeat), expression.times, expression.between ?? '')
  if ('wrap' in expression) return latin1(inLines(text(of(expression.wrap)), expression.width))
  if ('replace' in expression) {
    return latin1(text(of(expression.replace)).replaceAll(expression.from, expression.to))
  }
  if ('first' in expression) return of(expression.of).subarray(0, expression.first)
  if ('bomb' in expression) return gzipBomb(expression.bomb)
  throw new Error(`no such expression: ${JSON.stringify(expression)}`)
}

const isList = (value: Expression): value is readonly Expression[] => Array.isArray(value)
const text = (bytes: Buffer): string => bytes.toString('latin1')
const latin1 = (characters: string): Buffer => Buffer.from(characters, 'latin1')

function named(name: string, texts: Texts): Buffer {
  const found = texts[name]
  if (found === undefined) throw new Error(`no such text: ${name}`)
  return Buffer.from(found)
}

/** As encodeURIComponent, but of bytes and with nothing but letters, digits and `-_.` left as it is. */
function percentEncode(bytes: Buffer): Buffer {
  const encode = (character: string): string =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
  return latin1(text(bytes).replaceAll(/[^A-Za-z0-9\-_.]/g, encode))
}

function repeat(bytes: Buffer, times: number, between: string): Buffer {
  if (!bytes.includes('{index}') && between === '') return Buffer.alloc(bytes.length * times, bytes)
  const template = text(bytes)
  const copies = Array.from({ length: times }, (_, index) => template.replaceAll('{index}', String(index)))
  return latin1(copies.join(between))
}

function inLines(characters: string, width: number): string {
  return characters.replaceAll(new RegExp(`(.{${width}})(?=.)`, 'g'), '$1\r\n')
}

const BOMB_STEP_BYTES = 2 ** 24

/** One gzip member of `inflatedBytes` zeros: the same compressed block again and again, so that it is made at once. */
function gzipBomb(inflatedBytes: number): Buffer {
  const zeros = Buffer.alloc(BOMB_STEP_BYTES)
  const block = deflateRawSync(zeros, { level: 9, finishFlush: constants.Z_FULL_FLUSH })
  const blocks = Array.from({ length: Math.ceil(inflatedBytes / BOMB_STEP_BYTES) }, () => block)
  const head = gzipSync('').subarray(0, 10)
  // Nobody gets as far as the checksum, which is therefore wrong.
  return Buffer.concat([head, ...blocks, deflateRawSync(''), Buffer.alloc(8)])
}
