// What cargo knows of all crates in the lock file, those of other platforms included.
import { execFileSync } from 'node:child_process'

/** `cargo metadata`; offline, unless a crate that only other platforms need was never fetched here. */
export function crateMetadata(root) {
  const metadata = (...flags) =>
    JSON.parse(
      execFileSync('cargo', ['metadata', '--format-version', '1', '--locked', ...flags], {
        cwd: root,
        encoding: 'utf8',
        maxBuffer: 2 ** 26,
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
  try {
    return metadata('--offline')
  } catch {
    return metadata()
  }
}
