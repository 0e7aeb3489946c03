/** The property of promise P8, and vectors: requests that once told the decoders apart, kept as JSON lines. */
import { type Arbitrary, assert, property, uint8Array } from 'fast-check'
import { type DecoderOptions, type RequestContext, StoreIp } from '../../../src/decode/decoder.js'
import { type Input, OPTIONS } from '../harness.js'
import { Choices } from './choices.js'
import { createPair, difference, type Pair, type RoomSizes } from './compare.js'
import { context, request } from './requests.js'

const SMALL = { payloadBytesMax: 1 << 20 }
/** Names in vectors; they stay. */
export const OPTION_SETS: Record<string, Partial<DecoderOptions>> = {
  open: SMALL,
  tokens: {
    ...SMALL,
    tokensAllowed: ['good', 't', 'é', 'x'.repeat(257)],
    tokensMax: 2,
    storeIp: StoreIp.never,
    dropLate: true,
  },
  small: {
    ...SMALL,
    recordsMax: 3,
    recordBytesMax: 150,
    outputBytesMax: 1200,
    tokensMax: 3,
    storeIp: StoreIp.always,
  },
}

/** One line of found.jsonl. */
export interface Vector {
  readonly title: string
  readonly options: string
  readonly endpoint: Input['endpoint']
  readonly content: Input['content']
  readonly query: string
  readonly body_base64: string
  readonly context: RequestContext
  readonly room: RoomSizes
}

const vectorOf = (options: string, input: Input, of: RequestContext, room: RoomSizes): Vector => ({
  title: '',
  options,
  endpoint: input.endpoint,
  content: input.content,
  query: input.query,
  body_base64: Buffer.from(input.body).toString('base64'),
  context: of,
  room,
})

export const createPairOf = (options: string): Pair => createPair({ ...OPTIONS, ...OPTION_SETS[options] })

export function differenceOfVector(vector: Vector): object | undefined {
  const { endpoint, content, query, body_base64 } = vector
  const input = { endpoint, content, query, body: Buffer.from(body_base64, 'base64') }
  return difference(createPairOf(vector.options), input, vector.context, vector.room)
}

/** Choices enough for a request of a few records. */
export const entropy = (): Arbitrary<Uint8Array> => uint8Array({ minLength: 40, maxLength: 700, size: 'max' })

/** Throws with seed, path and a vector when the decoders differ on one of `runs` inputs; gives the number checked. */
export function checkAgreement(runs: number, seed: number, timeLimitMs?: number): number {
  let checked = 0
  const pairs = new Map(Object.keys(OPTION_SETS).map((name) => [name, createPairOf(name)]))
  const agree = property(entropy(), (bytes) => {
    const choices = new Choices(bytes)
    const options = choices.pick(Object.keys(OPTION_SETS))
    const of = context(choices)
    const room = { less: choices.pick([0, 1, 2, 21, 100_000]), spare: choices.pick([0, 0, 1, 64, 5000]) }
    const input = request(choices, of.receivedMs)
    const found = difference(pairs.get(options)!, input, of, room)
    checked++
    if (found === undefined) return
    // Token tables grow from run to run: once they differ, nothing that follows would tell anything.
    pairs.set(options, createPairOf(options))
    const vector = JSON.stringify(vectorOf(options, input, of, room))
    throw new Error(`the decoders differ on ${vector}\n${describeDifference(found)}`)
  })
  assert(agree, { numRuns: runs, seed, ...(timeLimitMs && { interruptAfterTimeLimit: timeLimitMs }) })
  return checked
}

export function describeDifference(found: object): string {
  const [native, reference] = Object.values(found) as Record<string, unknown>[]
  return Object.keys(native!)
    .map((name) => [name, JSON.stringify(native![name]), JSON.stringify(reference![name])])
    .filter(([, ofNative, ofReference]) => ofNative !== ofReference)
    .map(([name, ofNative, ofReference]) => `${name}\n  native:    ${ofNative}\n  reference: ${ofReference}`)
    .join('\n')
}

/** Fresh every run, and printed, so that a failure can be repeated; SLUICEGATE_TEST_SEED repeats one. */
export function freshSeed(): number {
  const given = process.env['SLUICEGATE_TEST_SEED']
  return given === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(given)
}
