/** The addon as a hostile caller sees it: arguments that would touch foreign memory are errors, and nothing is leaked. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, it } from 'vitest'
import type { NativeAddon, NativeHandle } from '../../src/decode/native.js'
import { Header, HEADER_INTS, ROW_INTS, Status, StoreIp } from '../../src/decode/decoder.js'
import { sharedBytes } from '../../src/shared-bytes.js'
import { describeWith } from '../support/require.js'

const specifier: string = '#native'
const loaded = await import(specifier).then(
  (addon: NativeAddon) => addon,
  () => undefined,
)

const RECORDS_MAX = 10
const TABLE_BYTES = (HEADER_INTS + RECORDS_MAX * ROW_INTS) * 4
const OPTIONS = {
  recordsMax: RECORDS_MAX,
  recordBytesMax: 1000,
  outputBytesMax: 10_000,
  storeIp: StoreIp.unlessRefused,
  dropLate: false,
  tokensMax: 10,
}
const EVENT = Buffer.from('{"event":"e","properties":{"token":"t0k"}}')
const NOTHING = new Uint8Array()

interface Memory {
  readonly table: Uint8Array
  readonly input: Uint8Array
  readonly scratch: Uint8Array
}

const memory = (): Memory => ({
  table: sharedBytes(TABLE_BYTES),
  input: sharedBytes(1000),
  scratch: sharedBytes(5000),
})

function create(more: Partial<Memory> = {}, options: object = {}): Memory & NativeHandle {
  const parts = { ...memory(), ...more }
  const handle = loaded!.createDecoder(parts.table, parts.input, parts.scratch, { ...OPTIONS, ...options })
  return { ...parts, ...handle }
}

/** Writes a context as src/decode/native.ts does, and the room. */
function prepare({ table, input }: Memory, room: number): void {
  const header = new Int32Array(table.buffer, table.byteOffset, HEADER_INTS)
  new Float64Array(table.buffer, table.byteOffset, 1)[0] = 1_795_500_000_000
  Buffer.from(input.buffer, input.byteOffset).write('nullnullnullreq7')
  const lengths = { requestIdLength: 4, ipJsonLength: 4, uaJsonLength: 4, projectIdJsonLength: 4 } as const
  for (const [name, value] of Object.entries(lengths)) header[Header[name as keyof typeof lengths]] = value
  header[Header.content] = 2
  header[Header.roomEnd] = room
}

/** Binds the room, and decodes. */
function decodeInto(decoder: NativeHandle, body: Uint8Array, room: Uint8Array, query?: string): number {
  decoder.bindRoom(room)
  return query === undefined ? decoder.decode(body) : decoder.decode(body, query)
}

describeWith('native', 'the native addon', () => {
  afterEach(() => {
    setFlagsFromString('--no-expose-gc')
  })

  it('decodes into the batch, and leaves the rest of it alone', () => {
    const decoder = create()
    prepare(decoder, 900)
    const batch = sharedBytes(1000).fill(0xa5)
    expect(decodeInto(decoder, EVENT, batch)).toBe(Status.ok)
    expect(decoder.tokenName(2)).toBe('t0k')
    expect(batch.subarray(900).every((byte) => byte === 0xa5)).toBe(true)
    expect(Buffer.from(batch).includes('"token":"t0k"')).toBe(true)
  })

  it('refuses what is no view of memory', () => {
    const decoder = create()
    const decode = decoder.decode as (...args: unknown[]) => number
    const bindRoom = decoder.bindRoom as (...args: unknown[]) => void
    bindRoom(sharedBytes(1000))
    const values = [undefined, null, 1, 'text', {}, [], new ArrayBuffer(8), () => 1, Symbol('s'), 1n]
    for (const value of values) {
      expect(() => decode(value)).toThrow(TypeError)
      expect(() => bindRoom(value)).toThrow()
      const parts = { table: value } as unknown as Partial<Memory>
      expect(() => create(parts)).toThrow()
    }
    expect(() => decode()).toThrow(TypeError)
    expect(() => bindRoom()).toThrow()
    expect(() =>
      loaded!.createDecoder(...([] as unknown as Parameters<NativeAddon['createDecoder']>)),
    ).toThrow()
  })

  it('refuses memory that JavaScript could take away: of its own, and as a room', () => {
    const plain = new Uint8Array(10_000)
    const Resizable = ArrayBuffer as unknown as new (n: number, o: { maxByteLength: number }) => ArrayBuffer
    const resizable = new Uint8Array(new Resizable(10_000, { maxByteLength: 10_001 }))
    for (const bytes of [plain, resizable, Buffer.alloc(10_000)]) {
      for (const part of ['table', 'input', 'scratch']) {
        expect(() => create({ [part]: bytes })).toThrow(/SharedArrayBuffer/)
      }
      expect(() => create().bindRoom(bytes)).toThrow(/SharedArrayBuffer/)
    }
  })

  it('decodes nothing before a room is bound', () => {
    const decoder = create()
    prepare(decoder, 1000)
    expect(() => decoder.decode(EVENT)).toThrow(/room/)
    expect(decodeInto(decoder, EVENT, sharedBytes(1000))).toBe(Status.ok)
  })

  it('writes the query behind what stands in the input', () => {
    const decoder = create()
    prepare(decoder, 1000)
    const encoded = Buffer.from(EVENT).toString('base64url')
    const header = new Int32Array(decoder.table.buffer, decoder.table.byteOffset, HEADER_INTS)
    header[Header.content] = 4
    for (const query of [`data=${encoded}`, `verbose=2&a=\u00ff&data=${encoded}`]) {
      expect(decodeInto(decoder, NOTHING, sharedBytes(1000), query)).toBe(Status.ok)
      expect([header[Header.accepted], header[Header.queryLength]]).toEqual([1, query.length])
      const written = Buffer.from(decoder.input).toString('latin1', 16, 16 + query.length)
      expect(written).toBe(query)
    }
    expect(decodeInto(decoder, NOTHING, sharedBytes(1000), '')).toBe(Status.ok)
    expect([header[Header.accepted], header[Header.queryLength]]).toEqual([0, 0])
  })

  it('refuses a query that is no string or does not fit, and writes nothing beyond the input', () => {
    const decoder = create()
    const decode = decoder.decode as (...args: unknown[]) => number
    const batch = sharedBytes(1000)
    prepare(decoder, 1000)
    decoder.bindRoom(batch)
    for (const query of [undefined, null, 1, {}, [], Symbol('s')]) {
      expect(() => decode(EVENT, query)).toThrow(/as its query/)
    }
    const one = new SharedArrayBuffer(100)
    const small = create({ input: new Uint8Array(one, 0, 50) })
    prepare(small, 1000)
    const behind = new Uint8Array(one, 50).fill(0xa5)
    expect(decodeInto(small, EVENT, batch, 'q'.repeat(50 - 16 - 2))).toBe(Status.ok)
    for (const length of [33, 34, 35, 1000]) {
      expect(() => small.decode(EVENT, 'q'.repeat(length))).toThrow(/as its query/)
    }
    const header = new Int32Array(small.table.buffer, small.table.byteOffset, HEADER_INTS)
    for (const length of [-17, 37, 38, 2 ** 31 - 1, -(2 ** 31)]) {
      header[Header.requestIdLength] = length
      expect(() => small.decode(EVENT, 'q')).toThrow(/as its query/)
    }
    expect(behind.every((byte) => byte === 0xa5)).toBe(true)
  })

  it('refuses memory that is too small, not aligned, or not apart', () => {
    expect(() => create({ table: sharedBytes(TABLE_BYTES - 1) })).toThrow(/bytes where/)
    expect(() => create({ scratch: sharedBytes(63) })).toThrow(/bytes where/)
    expect(() => create({ table: new Uint8Array(new SharedArrayBuffer(TABLE_BYTES + 8), 1) })).toThrow(
      /multiple of four/,
    )
    const one = new SharedArrayBuffer(20_000)
    expect(() => create({ table: new Uint8Array(one), input: new Uint8Array(one, 19_999) })).toThrow(
      /overlap/,
    )
    expect(() => create({ input: new Uint8Array(one, 0, 100), scratch: new Uint8Array(one, 99) })).toThrow(
      /overlap/,
    )
    expect(() => create({}, { recordsMax: 0 })).toThrow(/recordsMax/)
    expect(() => create({}, { storeIp: 3 })).toThrow(/storeIp/)
    expect(() => create({}, { recordsMax: RECORDS_MAX + 1 })).toThrow(/bytes where/)
    expect(() => create({}, { recordsMax: Number.NaN })).toThrow()
  })

  it('refuses a room that meets table, input or scratch, and a body that meets the room', () => {
    const decoder = create()
    const { table, input, scratch } = decoder
    const whole = sharedBytes(2000)
    for (const room of [table, input, scratch.subarray(4999)]) {
      expect(() => decoder.bindRoom(room)).toThrow(/must not overlap/)
    }
    prepare(decoder, 1000)
    const room = whole.subarray(1000)
    expect(() => decodeInto(decoder, whole.subarray(0, 1001), room)).toThrow(/shares no memory/)
    // Neighbours, and an empty view in the middle, share nothing.
    expect(decodeInto(decoder, whole.subarray(0, 1000), room)).toBe(Status.ok)
    expect(decodeInto(decoder, whole.subarray(1500, 1500), room)).toBe(Status.ok)
  })

  it('takes a body that is a view of its own scratch buffer', () => {
    const decoder = create()
    prepare(decoder, 1000)
    decoder.scratch.set(EVENT, 100)
    const view = decoder.scratch.subarray(100, 100 + EVENT.length)
    expect(decodeInto(decoder, view, sharedBytes(1000))).toBe(Status.ok)
    expect(decoder.tokenCount()).toBe(3)
  })

  it('takes a body that was transferred away for an empty one', () => {
    const decoder = create()
    prepare(decoder, 1000)
    const body = new Uint8Array(EVENT)
    structuredClone(body.buffer, { transfer: [body.buffer] })
    expect(decodeInto(decoder, body, sharedBytes(1000))).toBe(Status.ok)
    expect(decoder.tokenCount()).toBe(2)
  })

  it('P3: answers numbers that make no sense with `panicked`, and goes on', () => {
    const decoder = create()
    prepare(decoder, 1000)
    const header = new Int32Array(decoder.table.buffer, 0, HEADER_INTS)
    decoder.bindRoom(sharedBytes(1000))
    const bad = {
      roomPosition: -1,
      roomEnd: 1001,
      requestIdLength: 1 << 20,
      endpoint: 9,
      content: -3,
    } as const
    for (const [name, value] of Object.entries(bad)) {
      const index = Header[name as keyof typeof bad]
      const before = header[index]!
      header[index] = value
      expect(decoder.decode(EVENT), name).toBe(Status.panicked)
      header[index] = before
    }
    expect(decoder.tokenCount()).toBe(2)
    expect(decoder.decode(EVENT)).toBe(Status.ok)
  })

  it('refuses tokens and ids of other types', () => {
    const decoder = create()
    const { internToken, findToken, tokenName } = decoder as unknown as Record<
      string,
      (value?: unknown) => unknown
    >
    for (const value of [undefined, 1, {}, null]) {
      expect(() => internToken!(value)).toThrow()
      expect(() => findToken!(value)).toThrow()
    }
    expect(() => tokenName!('2')).toThrow()
    expect(tokenName!(4_000_000_000)).toBeNull()
  })

  it('frees its memory when the handle is collected', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const BYTES = 50_000_000
    const settle = async (): Promise<number> => {
      for (let turn = 0; turn < 5; turn++) {
        gc()
        await new Promise((resolve) => setImmediate(resolve))
      }
      return process.memoryUsage().arrayBuffers
    }
    const before = await settle()
    const kept = create({ scratch: sharedBytes(BYTES) }).tokenCount
    expect(await settle()).toBeGreaterThan(before + BYTES / 2)
    expect(kept()).toBe(2)
    for (let round = 0; round < 5; round++) create({ scratch: sharedBytes(BYTES) })
    // `kept` may still be needed by the loop's optimiser: one of six at most.
    expect(await settle()).toBeLessThan(before + 2 * BYTES)
  })

  it('takes the memory of a whole buffer away, and never of one that is shared', () => {
    const { detach } = loaded as unknown as { detach(bytes: unknown): boolean }
    const whole = Buffer.allocUnsafeSlow(1000)
    const other = new Uint8Array(whole.buffer, 10, 10)
    const shared = new Uint8Array(1000)
    const parts = [
      shared.subarray(1),
      shared.subarray(0, 999),
      Buffer.from('pooled'),
      other,
      new Uint8Array(),
    ]
    for (const part of [...parts, new Uint8Array(new SharedArrayBuffer(9)), new Uint16Array(9)]) {
      const { length } = part
      expect([detach(part), part.length]).toEqual([false, length])
    }
    expect([detach(whole), whole.length, whole.buffer.byteLength, other.length]).toEqual([true, 0, 0, 0])
    expect(detach(whole)).toBe(false)
    for (const wrong of [undefined, null, 1, 'text', {}, new ArrayBuffer(9), new DataView(shared.buffer)]) {
      expect(() => detach(wrong)).toThrow('not a typed array')
    }
  })

  it('gives the memory back that is taken away', () => {
    const { detach } = loaded as unknown as { detach(bytes: unknown): boolean }
    const before = process.memoryUsage().arrayBuffers
    for (let round = 0; round < 50; round++) {
      detach(Buffer.allocUnsafeSlow(20_000_000))
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000)
    }
  })

  it('has one state for each worker thread, while they run at the same time', async () => {
    const url = new URL('../../native/index.js', import.meta.url).href
    const source = `
      const { workerData, parentPort } = require('node:worker_threads')
      import(workerData.url).then((addon) => {
        const handle = addon.createDecoder(
          ...[workerData.tableBytes, 1000, 5000].map((bytes) => new Uint8Array(new SharedArrayBuffer(bytes))),
          workerData.options)
        for (let index = 0; index < 5; index++) handle.internToken('token ' + workerData.name + index)
        parentPort.postMessage([handle.tokenCount(), handle.tokenName(2)])
      })`
    const answers = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => {
        const workerData = { url, name, tableBytes: TABLE_BYTES, options: OPTIONS }
        const worker = new Worker(source, { eval: true, workerData })
        const message = await new Promise((resolve, reject) => {
          worker.once('message', resolve).once('error', reject)
        })
        await worker.terminate()
        return message
      }),
    )
    expect(answers).toEqual(['a', 'b', 'c', 'd'].map((name) => [7, `token ${name}0`]))
    expect(create().tokenCount()).toBe(2)
  })
})
