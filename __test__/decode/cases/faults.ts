/** Cases that expect a problem: the byte at fault is marked in the payload. */
import { expect, it } from 'vitest'
import type { RequestContext } from '../../../src/decode/decoder.js'
import type { Make } from '../decoder.cases.js'
import { decode, type Input } from '../harness.js'

/** Stands in front of the byte at fault and is taken out of the text. */
export const MARK = '«'

/** code, marked payload, and what else the problem must say. */
export type FaultCase = readonly [code: string, marked: string, more?: Record<string, unknown>]

export interface FaultSetting {
  readonly request: (body: string) => Input
  readonly make: Make
  readonly options?: Parameters<Make>[0]
  readonly context?: Partial<RequestContext>
}

/** Decodes a marked text and gives its only rejected row's problem and the offset that the mark stands for. */
export function faultOf(setting: FaultSetting, marked: string): { problem: unknown; offset: number } {
  const offset = Buffer.from(marked).indexOf(MARK)
  const decoder = setting.make(setting.options)
  const { rows } = decode(decoder, setting.request(marked.replace(MARK, '')), setting.context)
  const rejected = rows.filter((row) => row.outcome === 'rejected')
  expect(rejected).toHaveLength(1)
  return { problem: rejected[0]!.problem, offset }
}

/** One test a case. */
export function faultCases(setting: FaultSetting, cases: readonly FaultCase[]): void {
  for (const [code, marked, more] of cases) {
    it(`${code}: ${marked.length > 160 ? `${marked.slice(0, 160)}…` : marked}`, () => {
      const { problem, offset } = faultOf(setting, marked)
      expect(problem).toMatchObject({ code, offset, ...more })
    })
  }
}
