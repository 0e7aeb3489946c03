/** Which decoder serves, and the reason that people are given. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { selectDecoder } from '../../src/decode/select.js'
import { describeWith } from '../support/require.js'
import { OPTIONS } from './harness.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const copy = mkdtempSync(join(tmpdir(), 'sluicegate-select-'))
afterAll(() => rmSync(copy, { recursive: true }))

/** The built program without the addon, or with something else in its place. */
function reasonWith(addon: string | undefined): string {
  rmSync(copy, { recursive: true, force: true })
  mkdirSync(join(copy, 'native'), { recursive: true })
  for (const path of ['dist', 'package.json', 'native/index.js']) {
    cpSync(join(root, path), join(copy, path), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  if (addon !== undefined) writeFileSync(join(copy, 'native/sluicegate.linux-x64-gnu.node'), addon)
  const program = `import { selectDecoder } from './dist/decode/select.js'
    console.log(selectDecoder('auto', ${JSON.stringify(OPTIONS)}).reason)`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: copy,
    encoding: 'utf8',
  })
  return stdout.trim()
}

describe('without a native decoder that loads', () => {
  it('the reference decoder serves, and says that there is none', () => {
    expect(reasonWith(undefined)).toBe(
      `The native decoder cannot be loaded (there is none for ${process.platform} ${process.arch}), so the reference decoder serves.`,
    )
  })

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'a broken file is named with what the system says of it',
    () => expect(reasonWith('broken')).toMatch(/\.node: file too short\), so the reference decoder serves/),
  )

  it('`reference` is taken at its word', () => {
    expect(selectDecoder('reference', OPTIONS).decoder.name).toBe('reference')
  })
})

describeWith('native', 'with the native decoder', () => {
  it('`auto` and `native` take it', () => {
    expect(selectDecoder('auto', OPTIONS).decoder.name).toBe('native')
    expect(selectDecoder('native', OPTIONS).decoder.name).toBe('native')
  })
})
