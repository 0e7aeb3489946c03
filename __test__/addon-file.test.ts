/** A binary whose end is missing is found before the system loads it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { checkAddonFiles, checkWhole } from '../src/addon-file.js'

const folder = mkdtempSync(join(tmpdir(), 'sluicegate-addon-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** An ELF header that says: three sections of 64 bytes from byte 1000 on. */
function elf(bytes: number): string {
  const path = join(folder, `${bytes}.node`)
  const content = Buffer.alloc(2000)
  content.writeUInt32BE(0x7f454c46, 0)
  content.writeBigUInt64LE(1000n, 0x28)
  content.writeUInt16LE(64, 0x3a)
  content.writeUInt16LE(3, 0x3c)
  writeFileSync(path, content.subarray(0, bytes))
  return path
}

it('P3: an ELF file shorter than its headers say is refused, by name and size', () => {
  expect(() => checkWhole(elf(1191))).toThrow(/1191\.node: the file is cut off, it has 1191 of 1192 bytes$/)
  expect(() => checkWhole(elf(64))).toThrow(/cut off/)
  expect(() => checkWhole(elf(1192))).not.toThrow()
})

it('what is no ELF file is left to the system', () => {
  expect(() => checkWhole(elf(63))).not.toThrow()
  const path = join(folder, 'text.node')
  writeFileSync(path, 'x'.repeat(100))
  expect(() => checkWhole(path)).not.toThrow()
})

it('the binary of this machine passes, if there is one', () => {
  expect(() => checkAddonFiles()).not.toThrow()
  expect(() => checkAddonFiles('win32')).not.toThrow()
})
