/** Rules of /engage and /groups (docs/DECODING.md 4; docs/PROTOCOL.md 7.4 and 7.5). */
import { ProblemId } from '../problems.js'
import { isUnknown } from './events.js'
import { type Fault, fault, type Item, isPresent, nonEmpty, scalar, stringOrNumber } from './item.js'
import { type Value, Walker } from './members.js'
import type { Circumstances, Verdict } from './verdict.js'

type Check = (problem: number, value: Value) => Fault | undefined

/** The value at fault inside a member's value, if there is one. */
type MemberCheck = (value: Value) => Value | undefined

const isNumber = (value: Value): boolean => value.kind === 'number'
const isStringOrNumber = (value: Value): boolean => value.kind === 'string' || isNumber(value)
const isScalar = (value: Value): boolean => value.kind !== 'object' && value.kind !== 'list'
const isFiniteNumber = (value: Value): boolean => isNumber(value) && Number.isFinite(Number(value.raw()))

const each =
  (accepts: (value: Value) => boolean): MemberCheck =>
  (value) =>
    accepts(value) ? undefined : value

/** The first element that is not accepted, or the list itself when it is none or empty. */
function badElement(list: Value, accepts: (value: Value) => boolean): Value | undefined {
  if (list.kind !== 'list') return list
  const walker = new Walker(list.bytes, list)
  let empty = true
  while (walker.next()) {
    empty = false
    if (!accepts(walker.value())) return walker.value()
  }
  return empty ? list : undefined
}

/** An object each of whose members passes. */
const objectOf =
  (check: MemberCheck): Check =>
  (problem, value) => {
    if (value.kind !== 'object') return fault(problem, value.start)
    const walker = new Walker(value.bytes, value)
    while (walker.next()) {
      const bad = check(walker.value())
      if (bad) return fault(problem, bad.start, walker.nameStart, walker.nameEnd)
    }
    return undefined
  }

const anyObject: Check = (problem, value) =>
  value.kind === 'object' ? undefined : fault(problem, value.start)
const listOfStrings: Check = (problem, value) => {
  const bad = badElement(value, (element) => element.kind === 'string')
  return bad && fault(problem, bad.start)
}
const anything: Check = () => undefined

/** Operations in the order in which they are checked. */
const OPERATIONS: readonly { name: string; problem: number; check: Check; groups: boolean }[] = [
  { name: '$set', problem: ProblemId.setInvalid, check: anyObject, groups: true },
  { name: '$set_once', problem: ProblemId.setOnceInvalid, check: anyObject, groups: true },
  { name: '$add', problem: ProblemId.addInvalid, check: objectOf(each(isFiniteNumber)), groups: true },
  { name: '$append', problem: ProblemId.appendInvalid, check: anyObject, groups: false },
  {
    name: '$union',
    problem: ProblemId.unionInvalid,
    check: objectOf((list) => badElement(list, isStringOrNumber)),
    groups: true,
  },
  { name: '$remove', problem: ProblemId.removeInvalid, check: objectOf(each(isScalar)), groups: true },
  { name: '$unset', problem: ProblemId.unsetInvalid, check: listOfStrings, groups: true },
  { name: '$delete', problem: 0, check: anything, groups: true },
]
const GROUP_OPERATIONS = OPERATIONS.filter((operation) => operation.groups)

/** Rules 45 to 52. */
function operationsFault(item: Item, isGroup: boolean): Fault | undefined {
  let found = false
  for (const { name, problem, check } of isGroup ? GROUP_OPERATIONS : OPERATIONS) {
    const value = item.top.get(name)
    if (value === undefined) continue
    found = true
    const bad = check(problem, value)
    if (bad) return bad
  }
  return found ? undefined : fault(ProblemId.operationMissing, item.found.start)
}

/** Rules 41 to 44. */
function identityFault(item: Item, isGroup: boolean): Fault | undefined {
  const { top } = item
  const missing = scalar(top.get('$distinct_id')) === undefined
  if (!isGroup) return missing ? item.faultAt(ProblemId.profileDistinctIdMissing, '$distinct_id') : undefined
  if (isPresent(top.get('$distinct_id'))) {
    return item.faultAt(ProblemId.groupDistinctIdForbidden, '$distinct_id')
  }
  if (nonEmpty(top.get('$group_key')) === undefined) {
    return item.faultAt(ProblemId.groupKeyMissing, '$group_key')
  }
  const id = stringOrNumber(top.get('$group_id'))
  return id === undefined ? item.faultAt(ProblemId.groupIdMissing, '$group_id') : undefined
}

export function judgeProfile(item: Item, circumstances: Circumstances): Verdict {
  const token = nonEmpty(item.top.get('$token'))
  if (token === undefined) return { fault: item.faultAt(ProblemId.profileTokenMissing, '$token') }
  if (isUnknown(token, circumstances)) return { fault: item.faultAt(ProblemId.tokenUnknown, '$token') }
  const isGroup = circumstances.endpoint === 'groups'
  const first = identityFault(item, isGroup) ?? operationsFault(item, isGroup)
  return first ? { fault: first, token } : { token }
}
