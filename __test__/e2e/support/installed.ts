/** The program as it is installed: in a directory that every user may read, which a checkout need not be. */
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './server.js'

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>
}

export interface Installed {
  readonly directory: string
  /** What `spawnServer` takes as `command`. */
  readonly command: readonly string[]
  remove(): void
}

/** Copies the build and what it depends on, without what only development needs. */
export function install(): Installed {
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-installed-'))
  chmodSync(directory, 0o755)
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as LockFile
  const dependencies = Object.entries(packages).flatMap(([path, { dev, optional }]) =>
    path === '' || dev === true || optional === true ? [] : [path],
  )
  for (const path of ['dist', 'package.json', ...dependencies]) {
    cpSync(join(ROOT, path), join(directory, path), { recursive: true })
  }
  const isLoaded = (path: string): boolean => path === join(ROOT, 'native') || /\.(js|node)$/.test(path)
  cpSync(join(ROOT, 'native'), join(directory, 'native'), { recursive: true, filter: isLoaded })
  const remove = (): void => rmSync(directory, { recursive: true })
  return { directory, command: [process.execPath, join(directory, 'dist/cli.js'), 'serve'], remove }
}
