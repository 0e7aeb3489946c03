/** A body that says it is gzip and is not: the decoder never sees it, so its problem and parameters are read here. */
import { Param, type Problem } from '../decode/decoder.js'
import { readParam } from '../decode/params.js'
import { PROBLEMS, ProblemId } from '../decode/problems.js'
import type { Endpoint } from '../record.js'

const { code, field, pointer, message, hint } = PROBLEMS.get(ProblemId.gzipInvalid)!

export const GZIP_INVALID: Problem = {
  id: ProblemId.gzipInvalid,
  code,
  index: 0,
  field,
  pointer,
  offset: -1,
  message,
  hint,
  got: '',
  insertId: undefined,
}

/** Bits of Param that the query alone gives: there is no form to read (docs/DECODING.md 1). */
export function queryBits(endpoint: Endpoint, query: string): number {
  const value = (name: string): string | undefined => readParam(name, query, undefined)
  const verbose = value('verbose')
  let bits = verbose === '1' ? Param.verbose1 : verbose === '2' ? Param.verbose2 : 0
  if (endpoint !== 'track' && value('strict') === '1') bits |= Param.strict
  if (value('img') === '1') bits |= Param.img
  if (value('callback') !== undefined) bits |= Param.callback
  if (value('redirect') !== undefined) bits |= Param.redirect
  return bits
}
