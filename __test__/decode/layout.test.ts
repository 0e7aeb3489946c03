/** Both sides of the boundary: constants that must agree, and the native decoder's ways out (promises P3 and P8). */
import { expect, it } from 'vitest'
import { Content, type DecoderOptions, Param, Row } from '../../src/decode/decoder.js'
import {
  checkCompatible,
  createNativeDecoder,
  expectedLayout,
  type NativeAddon,
  NativeDecoder,
} from '../../src/decode/native.js'
import { createReferenceDecoder } from '../../src/decode/reference/decoder.js'
import { selectDecoder } from '../../src/decode/select.js'
import { packageVersion } from '../../src/version.js'
import { describeWith } from '../support/require.js'
import { CONTEXT, decode, EVENT, eventWith, form, get, IMPORT, json, OPTIONS, track } from './harness.js'
import { requestId } from '../../src/request-id.js'

const specifier: string = '#native'
const loadAddon = async (): Promise<NativeAddon> => (await import(specifier)) as NativeAddon

/** The addon, with some of its exports replaced. */
async function addonWith(more: Partial<NativeAddon>): Promise<NativeAddon> {
  const { createDecoder, layout, version } = await loadAddon()
  return { createDecoder, layout, version, ...more }
}

/** A native decoder that panics on every body that holds `marker`. */
async function panickingOn(marker: string, options: Partial<DecoderOptions> = {}): Promise<NativeDecoder> {
  const { createDecoder } = await loadAddon()
  const addon = await addonWith({
    createDecoder: (table, input, scratch, native) =>
      createDecoder(table, input, scratch, { ...native, panicOn: Buffer.from(marker) } as typeof native),
  })
  return new NativeDecoder({ ...OPTIONS, ...options }, addon)
}

describeWith('native', 'the addon', () => {
  it('has every constant that native.ts expects, with the same value', async () => {
    const { layout } = await loadAddon()
    const known = Object.keys(expectedLayout())
    const ofAddon = Object.fromEntries(Object.entries(layout()).filter(([name]) => known.includes(name)))
    expect(ofAddon).toEqual(expectedLayout())
    expect(expectedLayout()).toMatchObject({ 'Row.outcome': Row.outcome, 'Param.strict': Param.strict })
  })
  it('is accepted as it is', async () => {
    const addon = await loadAddon()
    expect(addon.version()).toBe(packageVersion())
    expect(() => checkCompatible(addon)).not.toThrow()
  })
  it('is refused when it is of another version', async () => {
    const addon = await addonWith({ version: () => '0.0.1' })
    expect(() => checkCompatible(addon)).toThrow(`version 0.0.1, not ${packageVersion()}`)
  })
  it.each(Object.keys(expectedLayout()))('is refused when its %s is another or not there', async (name) => {
    const { layout } = await loadAddon()
    const { [name]: value, ...rest } = layout()
    const other = await addonWith({ layout: () => ({ ...rest, [name]: value! + 1 }) })
    expect(() => checkCompatible(other)).toThrow(`${name} = ${value! + 1}, not ${value}`)
    const without = await addonWith({ layout: () => rest })
    expect(() => checkCompatible(without)).toThrow(`${name} = undefined`)
  })
  it('serves when it is there', () => {
    expect(selectDecoder('auto', OPTIONS)).toMatchObject({
      decoder: { name: 'native' },
      reason: 'The native decoder is here.',
    })
    expect(selectDecoder('reference', OPTIONS).decoder.name).toBe('reference')
    expect(selectDecoder('native', OPTIONS).decoder.name).toBe('native')
  })
})

describeWith('native', 'P3: a panic in the native decoder', () => {
  const bad = track([eventWith({ token: 'new', x: 'BOOM' }), 7, eventWith({ token: 'other' })])

  it('is counted, and the same request is decoded by the reference decoder', async () => {
    const decoder = await panickingOn('BOOM')
    const { rows, bytes } = decode(decoder, bad)
    const expected = decode(createReferenceDecoder(OPTIONS), bad)
    expect(rows).toEqual(expected.rows)
    expect(bytes).toEqual(expected.bytes)
    // Twice: once for the size, once with room.
    expect(decoder.panics).toBe(2)
    expect(decoder.name).toBe('native')
  })
  it('leaves the token table whole: both sides go on with the same ids', async () => {
    const decoder = await panickingOn('BOOM')
    const ids = (...tokens: string[]): number[] => {
      const { batch } = decode(decoder, track(tokens.map((token) => eventWith({ token }))))
      return tokens.map((_, index) => batch.row(index, Row.tokenId))
    }
    expect(ids('first')).toEqual([2])
    decode(decoder, bad)
    expect(decoder.panics).toBe(2)
    expect(ids('first', 'new', 'other', 'last')).toEqual([2, 3, 4, 5])
    expect(decoder.tokens.find('new')).toBe(3)
    expect(ids('BOOM', 'new')).toEqual([6, 3])
    expect([decoder.tokens.name(6), decoder.tokens.size]).toEqual(['BOOM', 7])
  })
  it('keeps tokens mode, in which the reference decoder knows the same tokens', async () => {
    const decoder = await panickingOn('BOOM', { tokensAllowed: ['other', 't0k'] })
    const { rows } = decode(decoder, bad)
    expect(rows.map((row) => row.problem?.code)).toEqual(['token_unknown', 'record_not_object', undefined])
    expect(rows[2]!.token).toBe('other')
    expect(decoder.tokens.size).toBe(4)
  })
  it('costs the next requests nothing', async () => {
    const decoder = await panickingOn('BOOM')
    const before = decode(decoder, track(EVENT))
    const expected = [before.rows, before.bytes]
    for (let count = 1; count <= 3; count++) {
      decode(decoder, bad)
      const { rows, bytes } = decode(decoder, track(EVENT))
      expect([rows, bytes]).toEqual(expected)
      expect(decoder.panics).toBe(2 * count)
    }
  })
})

describeWith('native', 'requests that do not fit the pinned memory', () => {
  const options = { ...OPTIONS, payloadBytesMax: 1000 }
  /** Counts the calls that reach the addon. */
  async function counting(): Promise<{ decoder: NativeDecoder; calls: () => number }> {
    let calls = 0
    const { createDecoder } = await loadAddon()
    const addon = await addonWith({
      createDecoder: (...parts) => {
        const handle = createDecoder(...parts)
        const hot = handle.decode
        handle.decode = (body, batch) => {
          calls++
          return hot(body, batch)
        }
        return handle
      },
    })
    return { decoder: new NativeDecoder(options, addon), calls: () => calls }
  }
  const long = JSON.stringify(eventWith({ x: 'y'.repeat(1000) }))
  const agent = { ...CONTEXT.peer, uaJson: JSON.stringify('€'.repeat(100_000)) }

  it.each([
    ['a body', json(long), {}],
    ['a query', get(`data=${encodeURIComponent(long)}`), {}],
    ['a query beside a body', json(JSON.stringify(EVENT), `x=${'x'.repeat(999)}`), {}],
    ['a form', form(`data=${encodeURIComponent(long)}`), {}],
    ['a user agent', track(EVENT), { peer: agent }],
    ['a credential', track(EVENT), { authToken: 'é'.repeat(100_000) }],
    ['a request id', track(EVENT), { requestId: requestId('r'.repeat(300_000)) }],
    ['a project', track(EVENT), { projectId: '\u0001'.repeat(50_000) }],
  ])('%s that is too long goes to the reference decoder', async (_, request, context) => {
    const { decoder, calls } = await counting()
    const found = decode(decoder, request, context)
    const expected = decode(createReferenceDecoder(options), request, context)
    expect([found.rows, found.bytes]).toEqual([expected.rows, expected.bytes])
    expect(found.rows[0]!.outcome).toBe('accepted')
    expect([calls(), decoder.panics]).toEqual([0, 0])
    // And what fits still takes the fast way.
    decode(decoder, track(EVENT))
    expect(calls()).toBe(2)
  })
  it('the largest that fit do not', async () => {
    const { decoder, calls } = await counting()
    const text = JSON.stringify(EVENT)
    const body = Buffer.from(text + ' '.repeat(1000 - text.length))
    const request = { endpoint: 'track', content: Content.json, body, query: 'x'.repeat(1000) } as const
    expect(decode(decoder, request).rows[0]!.outcome).toBe('accepted')
    expect(calls()).toBe(2)
  })
  it('contexts that change from call to call are written anew', () => {
    const native = createNativeDecoder(OPTIONS)
    const reference = createReferenceDecoder(OPTIONS)
    const peers = [CONTEXT.peer, { ipJson: 'null', uaJson: '"é"' }]
    for (let round = 0; round < 64; round++) {
      // In Gray code one bit changes a time: each part of the context alone.
      const bits = round ^ (round >> 1)
      const context = {
        peer: peers[bits & 1]!,
        projectId: bits & 2 ? 'p' : null,
        authToken: bits & 4 ? 'auth' : '',
      }
      const request = { ...json(JSON.stringify(IMPORT)), endpoint: 'import' } as const
      // Twice: the second time only what changed is written.
      for (const more of [0, 100]) {
        const query = `x=${'y'.repeat(more + (bits & 16 ? 5000 : bits))}`
        // Of one length for a while: what stands there says nothing about what was written.
        const id = requestId((more === 0 ? 'r' : 's').repeat(1 + (bits & 8)) + round)
        const of = { ...context, requestId: id }
        const found = decode(native, { ...request, query }, of)
        expect(found.rows).toEqual(decode(reference, { ...request, query }, of).rows)
        expect(found.bytes).toEqual(decode(reference, { ...request, query }, of).bytes)
      }
    }
  })
})
