/** The ready file lies where others may write as well: what they put there is never written through. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { writeReadyFile } from '../../src/commands/ready-file.js'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sluicegate-ready-'))))
afterEach(() => rmSync(folder, { recursive: true }))

it('links under every name that can be foreseen lead nowhere', () => {
  const [victim, path] = [join(folder, 'victim'), join(folder, 'ready.json')]
  writeFileSync(victim, 'untouched')
  for (const name of [path, `${path}.${process.pid}`, `${path}.tmp`, `${path}.new`]) symlinkSync(victim, name)
  const before = readdirSync(folder)
  writeReadyFile(path, 'ready')
  expect(readFileSync(victim, 'utf8')).toBe('untouched')
  expect(readFileSync(path, 'utf8')).toBe('ready')
  expect(readdirSync(folder)).toEqual(before)
})

it('replaces an old one whole, and leaves nothing behind when it cannot', () => {
  const path = join(folder, 'ready.json')
  writeFileSync(path, 'a much longer text of the last start')
  writeReadyFile(path, 'ready')
  expect(readFileSync(path, 'utf8')).toBe('ready')
  expect(() => writeReadyFile(folder, 'ready')).toThrow(/EISDIR|ENOTDIR|EEXIST|ENOTEMPTY/)
  expect(readdirSync(folder)).toEqual(['ready.json'])
  expect(
    readdirSync(join(folder, '..')).filter((name) => name.startsWith(`${folder.split('/').at(-1)}.`)),
  ).toEqual([])
})
