/** The rules that every record goes through, and the way to those of its endpoint (docs/DECODING.md 4). */
import { ProblemId } from '../problems.js'
import { Byte } from './bytes.js'
import { judgeImport, judgeTrack } from './events.js'
import { type Fault, fault, Item } from './item.js'
import { judgeProfile } from './profiles.js'
import type { FoundRecord } from './records.js'
import { judgeStrictImport } from './strict.js'
import type { Circumstances, Verdict } from './verdict.js'

function judgeByEndpoint(item: Item, circumstances: Circumstances): Verdict {
  switch (circumstances.endpoint) {
    case 'track':
      return judgeTrack(item, circumstances)
    case 'import':
      return judgeImport(item, circumstances)
    default:
      return judgeProfile(item, circumstances)
  }
}

function tooLarge(found: FoundRecord, circumstances: Circumstances): Fault | undefined {
  const bytes = found.end - found.start
  return bytes > circumstances.recordBytesMax ? fault(ProblemId.recordTooLarge, found.start) : undefined
}

function tooDeep(found: FoundRecord): Fault | undefined {
  return found.tooDeepAt >= 0 ? fault(ProblemId.recordTooDeep, found.tooDeepAt) : undefined
}

/** What is wrong with the record before anybody looks inside. */
export function faultOutside(bytes: Uint8Array, found: FoundRecord): Fault | undefined {
  if (found.syntaxErrorAt >= 0) return fault(ProblemId.jsonInvalid, found.syntaxErrorAt)
  return bytes[found.start] === Byte.openBrace ? undefined : fault(ProblemId.recordNotObject, found.start)
}

/** Judges a record that is an object. */
export function judge(item: Item, circumstances: Circumstances): Verdict {
  const { found } = item
  if (circumstances.endpoint === 'import' && circumstances.strict) {
    const verdict = judgeStrictImport(item, circumstances)
    if (verdict.fault) return verdict
    const last = tooDeep(found) ?? tooLarge(found, circumstances)
    return last ? { ...verdict, fault: last } : verdict
  }
  const first = tooLarge(found, circumstances) ?? tooDeep(found)
  return first ? { fault: first } : judgeByEndpoint(item, circumstances)
}
