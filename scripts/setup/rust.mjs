// Whether the Rust toolchain here can build the decoder.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.mjs'

/**
 * @returns {Promise<{version: string} | {reason: string}>} the usable version, or why there is none
 */
export async function findRust(root) {
  const { code, output } = await run('cargo', ['--version'], { cwd: root })
  if (code === 127) return { reason: 'there is no Rust toolchain (cargo) here' }
  const version = /cargo (\d+)\.(\d+)\.(\d+)/.exec(output)
  if (code !== 0 || version === null) return { reason: `cargo does not run: ${firstLine(output)}` }
  const [, needMajor, needMinor] = /rust-version = "(\d+)\.(\d+)/.exec(
    readFileSync(join(root, 'Cargo.toml'), 'utf8'),
  )
  const found = `${version[1]}.${version[2]}`
  const tooOld = Number(version[1]) < Number(needMajor) || Number(version[2]) < Number(needMinor)
  return tooOld
    ? { reason: `Rust ${found} is too old, ${needMajor}.${needMinor} is needed` }
    : { version: `${found}.${version[3]}` }
}

export function firstLine(output) {
  const lines = output.split('\n').map((line) => line.trim())
  return (
    lines.find((line) => /^error/i.test(line)) ??
    lines.find((line) => line !== '') ??
    'it said nothing'
  ).slice(0, 200)
}
