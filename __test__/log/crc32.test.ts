import { crc32 as zlibCrc32 } from 'node:zlib'
import { expect, it, vi } from 'vitest'
import { loadCrc32 } from '../../src/log/crc32.js'
import { describeWith } from '../support/require.js'

const addon = vi.hoisted(() => ({ load: undefined as (() => unknown) | undefined }))
vi.mock('../../src/addon-file.js', async (original) => {
  const real = await original<typeof import('../../src/addon-file.js')>()
  return { ...real, importAddon: async () => (addon.load ?? real.importAddon)() }
})

/** What is loaded when the addon is such a one. */
async function loadedWith(load: () => unknown): Promise<unknown> {
  addon.load = load
  return loadCrc32().finally(() => (addon.load = undefined))
}

describeWith('native', 'the checksum of the addon', () => {
  it.runIf(process.arch === 'x64')('is the one that is used', async () => {
    expect(await loadCrc32()).not.toBe(zlibCrc32)
  })

  it("is zlib's for every length and place", async () => {
    const crc32 = await loadCrc32()
    const bytes = Buffer.from(Uint8Array.from({ length: 700 }, (_, index) => (index * index * 31) >> 3))
    for (let start = 0; start < 17; start++) {
      for (let end = start; end <= bytes.length; end++) {
        const part = bytes.subarray(start, end)
        if (crc32(part) !== zlibCrc32(part)) expect.fail(`from ${start} to ${end}`)
      }
    }
    const large = Buffer.alloc(5_000_003, bytes)
    expect(crc32(large)).toBe(zlibCrc32(large))
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(zlibCrc32(bytes))
    }
  })
})

it.each<[string, () => unknown]>([
  ['there is none', () => Promise.reject(new Error('no addon'))],
  ['it is an older one', () => ({})],
  ['the processor cannot', () => ({ crc32: () => null })],
  ['it forgets what came before', () => ({ crc32: (bytes: Uint8Array) => zlibCrc32(bytes) })],
  ['it is wrong', () => ({ crc32: (bytes: Uint8Array) => zlibCrc32(bytes) ^ 1 })],
  [
    'it fails',
    () => ({
      crc32: () => {
        throw new Error('panicked')
      },
    }),
  ],
])("zlib's is used when of the addon this holds: %s", async (_, load) => {
  expect(await loadedWith(load)).toBe(zlibCrc32)
})
