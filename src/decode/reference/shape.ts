/** Strict import's limits on what stands inside the properties: text, keys, elements, depth (rules 71 to 76). */
import { ProblemId } from '../problems.js'
import { Byte } from './bytes.js'
import { type Fault, fault, type Item } from './item.js'
import { type Value, Walker } from './members.js'
import { invalidUtf8At } from './text.js'

const CHILDREN_MAX = 255
/** A property's value is depth 1. */
const DEPTH_MAX = 3

/** Rules 71 and 76. */
export function utf8Fault(item: Item): Fault | undefined {
  if (!item.found.utf8Broken) return undefined
  const { bytes, found } = item
  const properties = item.top.get('properties')!
  const walker = new Walker(bytes, properties)
  while (walker.next()) {
    const offset = invalidUtf8At(bytes, walker.nameStart, walker.valueEnd)
    if (offset >= 0) return fault(ProblemId.importUtf8Invalid, offset, walker.nameStart, walker.nameEnd)
  }
  const before = invalidUtf8At(bytes, found.start, properties.start)
  const elsewhere = before >= 0 ? before : invalidUtf8At(bytes, properties.end, found.end)
  return elsewhere >= 0 ? fault(ProblemId.importRecordUtf8Invalid, elsewhere) : undefined
}

function childCount(value: Value): number {
  const walker = new Walker(value.bytes, value)
  let count = 0
  while (walker.next()) count++
  return count
}

const isContainer = (value: Value): boolean => (value.bytes[value.start]! | 0x20) === Byte.openBrace

/** Rules 73 to 75 for one container at `depth`, the outer one first. No deeper than four levels of calls. */
function containerFault(value: Value, depth: number): { problem: number; offset: number } | undefined {
  if (depth > DEPTH_MAX) return { problem: ProblemId.importTooDeep, offset: value.start }
  if (childCount(value) > CHILDREN_MAX) {
    const isObject = value.kind === 'object'
    const problem = isObject ? ProblemId.importNestedTooManyKeys : ProblemId.importListTooLong
    return { problem, offset: value.start }
  }
  const walker = new Walker(value.bytes, value)
  while (walker.next()) {
    const child = walker.value()
    const found = isContainer(child) ? containerFault(child, depth + 1) : undefined
    if (found) return found
  }
  return undefined
}

/** Rules 72 to 75. */
export function shapeFault(item: Item): Fault | undefined {
  const properties = item.top.get('properties')!
  if (childCount(properties) > CHILDREN_MAX) return fault(ProblemId.importTooManyKeys, properties.start)
  const walker = new Walker(item.bytes, properties)
  while (walker.next()) {
    const value = walker.value()
    const found = isContainer(value) ? containerFault(value, 1) : undefined
    if (found) return fault(found.problem, found.offset, walker.nameStart, walker.nameEnd)
  }
  return undefined
}
