/** The rules of who may import whom are worth nothing if the linter does not see a breach: each is broken here once. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const project = mkdtempSync(join(tmpdir(), 'sluicegate-lint-'))
cpSync(join(root, '.oxlintrc.json'), join(project, '.oxlintrc.json'))
afterAll(() => rmSync(project, { recursive: true }))

/** What the linter says about one line in one file. */
function lint(path: string, line: string): string {
  const full = join(project, path)
  mkdirSync(dirname(full), { recursive: true })
  writeFileSync(full, `${line}\n`)
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint')
  const result = spawnSync(process.execPath, [oxlint, '--format', 'unix', path], {
    cwd: project,
    encoding: 'utf8',
  })
  rmSync(full)
  return result.stdout
}

describe('a forbidden import is reported', () => {
  it.each([
    ['src/errors.ts', "export { systemClock } from './clock.js'"],
    ['src/as-buffer.ts', "export { cutForJson } from './cut.js'"],
    ['src/config/check.ts', "export { openLog } from '../log/log.js'"],
    ['src/decode/reference/json.ts', "export { Receipt } from '../../intake.js'"],
    ['src/decode/select.ts', "export { createDecoder } from '#native'"],
    ['src/log/log.ts', "export { startGate } from '../gate.js'"],
    ['src/log/segment.ts', "export { Row } from '../decode/decoder.js'"],
    ['src/rejects.ts', "export { app } from './http/app.js'"],
    ['src/intake.ts', "export { startGate } from './gate.js'"],
    ['src/intake.ts', "export { createNativeDecoder } from './decode/native.js'"],
    ['src/http/ingest.ts', "export { openLog } from '../log/log.js'"],
    ['src/http/app.ts', "export { loadConfig } from '../config.js'"],
    ['src/http/app.ts', "export { selectDecoder } from '../decode/select.js'"],
    ['src/gate.ts', "export { tailCommand } from './commands/tail.js'"],
    ['src/gate.ts', "export { createReferenceDecoder } from './decode/reference/decoder.js'"],
    ['src/commands/tail.ts', "export { intake } from '../intake.js'"],
    ['src/ship/shipper.ts', "export { Kafka } from 'kafkajs'"],
    ['src/ship/shipper.ts', "export { app } from '../http/app.js'"],
    ['src/gate.ts', "export { Command } from 'commander'"],
    ['src/http/app.ts', "export const lazy = (): unknown => import('../gate.js')"],
  ])('%s: %s', (path, line) => {
    expect(lint(path, line)).toMatch(/no-restricted-imports/)
  })
})

describe('an allowed import is not', () => {
  it.each([
    ['src/decode/native.ts', "export { createDecoder } from '#native'"],
    ['src/ship/kafka/client.ts', "export { Kafka } from 'kafkajs'"],
    [
      'src/http/ingest.ts',
      "export type { Receipt } from '../intake.js'\nexport { readParam } from '../decode/params.js'",
    ],
    ['src/http/app.ts', "export type { Config } from '../config.js'"],
    [
      'src/intake.ts',
      "export type { Log } from './log/types.js'\nexport { Status } from './decode/decoder.js'",
    ],
    [
      'src/gate.ts',
      "export { openLog } from './log/log.js'\nexport { selectDecoder } from './decode/select.js'",
    ],
    [
      'src/commands/tail.ts',
      "export { readLog } from '../log/reader.js'\nexport { Command } from 'commander'",
    ],
    ['src/rejects.ts', "export { openLog } from './log/log.js'"],
  ])('%s: %s', (path, line) => {
    expect(lint(path, line)).not.toMatch(/no-restricted/)
  })
})

describe('the time and the environment are read in one place each', () => {
  it.each([
    ['src/intake.ts', 'export const now = Date.now()', true],
    ['src/http/app.ts', 'export const now = performance.now()', true],
    ['src/http/app.ts', 'export const home = process.env.HOME', true],
    ['src/http/app.ts', "export const home = process.env['HOME']", true],
    ['src/clock.ts', 'export const now = Date.now()', false],
    ['src/config.ts', 'export const home = process.env', false],
    ['src/config.ts', 'export const now = Date.now()', true],
    ['src/clock.ts', 'export const home = process.env', true],
  ])('%s: %s', (path, line, reported) => {
    expect(/no-restricted-properties/.test(lint(path, line))).toBe(reported)
  })

  it('nor is `new Date()` used to get round it', () => {
    const src = join(root, 'src')
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    const guilty = files.filter((name) => /new Date\(\)|hrtime/.test(readFileSync(join(src, name), 'utf8')))
    expect(files.length).toBeGreaterThan(10)
    expect(guilty).toEqual([])
  })
})
