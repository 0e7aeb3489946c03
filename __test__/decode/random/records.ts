/** Random records of the four endpoints: mostly right, then bent at the places that the rules look at. */
import type { Endpoint } from '../../../src/record.js'
import type { Choices } from './choices.js'
import { large, list, type Member, number, object, scalar, text, time, utf8, value } from './values.js'

const TOKENS = [
  '"t"',
  '"good"',
  '"t0k"',
  `"${utf8('é')}"`,
  '"\\u0074"',
  '""',
  `"${'x'.repeat(256)}"`,
  `"${'x'.repeat(257)}"`,
]
const IDS = [
  '"u1"',
  '"u 2"',
  '""',
  '"anon"',
  '" NULL\\t"',
  '"<nil>"',
  '0',
  '-1',
  '1.50',
  'true',
  'null',
  '[]',
  '{}',
  '[1]',
].concat([
  '"00000000-0000-0000-0000-000000000000"',
  `"${'a'.repeat(36)}"`,
  `"${'a'.repeat(37)}"`,
  '"a:b"',
  '"A-9"',
])
const ADDRESSES = [
  '0',
  '"0"',
  '"1.2.3.4"',
  '"::1"',
  '"1.2.3.256"',
  '"\\u0031::"',
  '1',
  '"01.2.3.4"',
  '"::ffff:1.2.3.4"',
  '0.0',
]
const EVENTS = [
  '"e"',
  '"Signed Up"',
  '"$create_alias"',
  '"$merge"',
  '"\\u0024merge"',
  '"$identify"',
  '""',
  '" \\t"',
  '7',
  'null',
  'NaN',
]
const OPERATIONS = [
  '"$set"',
  '"$set_once"',
  '"$add"',
  '"$append"',
  '"$union"',
  '"$remove"',
  '"$unset"',
  '"$delete"',
  '"$increment"',
]

const token = (choices: Choices): string => (choices.once(8) ? scalar(choices) : choices.lean(TOKENS, 2))
const id = (choices: Choices): string => (choices.once(6) ? scalar(choices) : choices.lean(IDS, 1))
const metadata = (choices: Choices): string =>
  choices.once(5) ? value(choices) : object([['"$mp_event_id"', id(choices)]], choices)

/** Members come and go, are doubled, nulled, renamed and put in another order. */
function bent(all: Member[], choices: Choices): Member[] {
  const result = all.filter(() => !choices.once(16))
  if (choices.once(3)) result.push([text(choices), value(choices)])
  if (result.length === 0 || !choices.once(3)) return result
  const at = choices.next(result.length)
  const [name, of] = result[at]!
  const escaped = name.replace(/^"(.)/, (_, first: string) => `"\\u00${first.charCodeAt(0).toString(16)}`)
  const bend = choices.next(6)
  if (bend === 0) result.push([name, value(choices)])
  else if (bend === 1) result[at] = [escaped, of]
  else if (bend === 2) result[at] = [name, scalar(choices)]
  else if (bend === 3) result.unshift([escaped, value(choices)])
  else if (bend === 4) result.reverse()
  else result[at] = [name, value(choices)]
  return result
}

/** Some of these, each once in a while. */
function sometimes(
  all: readonly (readonly [name: string, make: () => string])[],
  choices: Choices,
): Member[] {
  return all.filter(() => choices.once(4)).map(([name, make]) => [name, make()])
}

function event(choices: Choices, receivedMs: number): string {
  const properties: Member[] = [
    ['"token"', token(choices)],
    ['"distinct_id"', id(choices)],
    ['"time"', time(choices, receivedMs)],
    ['"$insert_id"', id(choices)],
    ...sometimes(
      [
        ['"ip"', () => choices.pick(ADDRESSES)],
        ['"mp_lib"', () => text(choices)],
        ['"$lib_version"', () => text(choices)],
        ['"$user_id"', () => id(choices)],
        ['"$device_id"', () => id(choices)],
        ['"big"', () => large(choices)],
        ['"$ignore"', () => choices.pick(['true', '"x"', '""', 'false', '1', 'null'])],
      ],
      choices,
    ),
  ]
  const name = choices.once(8) ? scalar(choices) : choices.lean(EVENTS, 2)
  const top: Member[] = [
    ['"event"', name],
    ['"properties"', object(bent(properties, choices), choices)],
    ...sometimes([['"$mp_metadata"', () => metadata(choices)]], choices),
  ]
  return object(bent(top, choices), choices)
}

/** What an operation changes: mostly of the kind that it wants. */
function changes(name: string, choices: Choices): string {
  if (choices.once(5)) return value(choices)
  const items = (): string =>
    list(
      choices.list(1, 3, () => scalar(choices)),
      choices,
    )
  if (name === '"$unset"')
    return list(
      choices.list(0, 3, () => text(choices)),
      choices,
    )
  const of = name === '"$add"' ? number : name === '"$union"' ? items : scalar
  return object(
    bent(
      choices.list(0, 3, () => [text(choices), of(choices)] as const),
      choices,
    ),
    choices,
  )
}

function profile(choices: Choices, isGroup: boolean): string {
  const names = choices.list(1, 2, () => choices.pick(OPERATIONS))
  const who: Member[] = isGroup
    ? [
        ['"$group_key"', choices.pick(['"k"', text(choices)])],
        ['"$group_id"', id(choices)],
      ]
    : [['"$distinct_id"', id(choices)]]
  const top: Member[] = [
    ['"$token"', token(choices)],
    ...who,
    ...names.map((name) => [name, changes(name, choices)] as const),
    ...sometimes(
      [
        ['"$ip"', () => choices.pick(ADDRESSES)],
        ['"$time"', () => time(choices, 1_795_500_000_000)],
        ['"$insert_id"', () => id(choices)],
        ['"$distinct_id"', () => id(choices)],
        ['"$mp_metadata"', () => metadata(choices)],
      ],
      choices,
    ),
  ]
  return object(bent(top, choices), choices)
}

export function record(endpoint: Endpoint, choices: Choices, receivedMs: number): string {
  if (choices.once(16)) return value(choices)
  if (endpoint === 'track' || endpoint === 'import') return event(choices, receivedMs)
  return profile(choices, endpoint === 'groups')
}
