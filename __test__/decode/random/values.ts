/** Random JSON text, with the values that hurt. All texts are byte strings: one character (latin1) a byte. */
import type { Choices } from './choices.js'

/** A text's UTF-8 as a byte string. */
export const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

const PIECES = [
  'a',
  'b-',
  'Z9',
  ' ',
  ':',
  utf8('é'),
  utf8('€'),
  utf8('😀'),
  '\x7f',
  '\\"',
  '\\\\',
  '\\/',
  '\\n',
]
  .concat(['\\u0041', '\\u0000', '\\u00e9', '\\ud83d\\ude00', '\\ud83d', '\\uDE00', '\\uD800x', '\\u2028'])
  .concat(['\xff', '\x80', '\xc2', '\xe2\x82', '\xf0\x9f\x98', '\xed\xa0\xbd', '\xed\xb8\x80', '\xc0\xaf'])
  .concat([
    '\xed\xa0\xbd\xed\xb8\x80',
    '\xf4\x90\x80\x80',
    '\xef\xbf\xbd',
    'x'.repeat(40),
    utf8('€'.repeat(90)),
  ])

/** Of any length and at any distance from the next thing: for code that looks at many bytes at once. */
export const filler = (choices: Choices): string =>
  choices.lean(['x', ' ', utf8('é'), '\xff', '\\n'], 2).repeat(choices.next(140))

export function inside(choices: Choices): string {
  if (choices.next(8) === 7) return filler(choices) + choices.pick(PIECES) + filler(choices)
  return choices.list(0, 4, () => choices.lean(PIECES, 18)).join('')
}

export const text = (choices: Choices): string => `"${inside(choices)}"`

const NUMBERS = [
  '0',
  '1',
  '-1',
  '-0',
  '1.50',
  '1e5',
  '-0.0e-0',
  '1E+2',
  '0.1',
  '12345678901234567890',
  '1e400',
  '-1e400',
].concat([
  '1e-400',
  '9007199254740993',
  '1.7976931348623157e308',
  '1.7976931348623159e308',
  '4.9e-324',
  '2e308',
])

export function number(choices: Choices): string {
  if (!choices.once(3)) return choices.pick(NUMBERS)
  const digits = (): string => choices.list(1, 20, () => String(choices.next(10))).join('')
  const fraction = choices.once(2) ? `.${digits()}` : ''
  const exponent = choices.once(3) ? `${choices.pick(['e', 'E', 'e-', 'E+'])}${choices.next(400)}` : ''
  return `${choices.pick(['', '-'])}${choices.pick(['1', '9', '0', `17${digits()}`])}${fraction}${exponent}`
}

/** Sensible and senseless times around the receipt time. */
export function time(choices: Choices, receivedMs: number): string {
  const edges = [0, 1, -1, 432_000_000, 432_000_001, -432_000_001, 3_600_000, 3_600_001, -3_600_001]
  const near = receivedMs - choices.pick(edges)
  const times = [
    `${near}`,
    `${near / 1000}`,
    `"${near}"`,
    `${near}.999`,
    `"${near / 1000}"`,
    '31536000',
    '31535999.9',
  ].concat([
    '100000000000',
    '99999999999',
    '1e11',
    '-5',
    '"x"',
    'null',
    '9007199254740992',
    '9007199254740993',
    '""',
  ])
  return choices.once(6) ? number(choices) : choices.lean(times, 3)
}

const WORDS = ['null', 'true', 'false']
const NOT_NUMBERS = ['NaN', 'Infinity', '-Infinity']

export function scalar(choices: Choices): string {
  const kind = choices.next(4)
  if (kind === 0) return text(choices)
  if (kind === 1) return number(choices)
  return choices.pick(choices.once(6) ? NOT_NUMBERS : WORDS)
}

const SPACES = ['', '', '', '', '', '', ' ', '\t', '\n', '\t\r\n ']
export const space = (choices: Choices): string =>
  SPACES[choices.next(choices.isOneLine ? 8 : SPACES.length)]!

export function value(choices: Choices, depth = 0): string {
  const kind = choices.next(depth > 4 ? 3 : 8)
  if (kind < 3) return scalar(choices)
  if (kind < 5)
    return list(
      choices.list(0, 3, () => value(choices, depth + 1)),
      choices,
    )
  if (kind < 7 || choices.next(4) < 3) return object(members(choices, depth + 1), choices)
  return large(choices)
}

/** At the limits of depth and size. */
export function large(choices: Choices): string {
  const levels = choices.pick([3, 4, 3, 4, 60, 61, 62, 63, 64, 300])
  const count = 254 + choices.next(4)
  const inner = scalar(choices)
  return choices.pick([
    `${'['.repeat(levels)}${inner}${']'.repeat(levels)}`,
    `${'{"a":'.repeat(levels)}${inner}${'}'.repeat(levels)}`,
    `[${Array(count).fill('0').join(',')}]`,
    `{${Array.from({ length: count }, (_, index) => `"k${index % 9}":0`).join(',')}}`,
  ])
}

export const list = (items: readonly string[], choices: Choices): string =>
  `[${space(choices)}${items.join(`${space(choices)},${space(choices)}`)}${space(choices)}]`

/** A member's name and value, as JSON text. */
export type Member = readonly [name: string, value: string]

export const object = (all: readonly Member[], choices: Choices): string =>
  `{${space(choices)}${all.map(([name, of]) => `${name}${space(choices)}:${space(choices)}${of}`).join(`${space(choices)},`)}${space(choices)}}`

function members(choices: Choices, depth: number): Member[] {
  return choices.list(0, 3, () => [text(choices), value(choices, depth)] as const)
}
