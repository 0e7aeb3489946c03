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

/** What the program depends on, without what only development needs: paths in node_modules. */
export function dependencies(): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as LockFile
  return Object.entries(packages).flatMap(([path, { dev, optional }]) =>
    path === '' || dev === true || optional === true ? [] : [path],
  )
}

/** Copies the build and what it depends on. */
export function install(): Installed {
  const directory = mkdtempSync(join(tmpdir(), 'sluicegate-installed-'))
  chmodSync(directory, 0o755)
  for (const path of ['dist', 'package.json', ...dependencies()]) {
    cpSync(join(ROOT, path), join(directory, path), { recursive: true })
  }
  const isLoaded = (path: string): boolean => path === join(ROOT, 'native') || /\.(js|node)$/.test(path)
  cpSync(join(ROOT, 'native'), join(directory, 'native'), { recursive: true, filter: isLoaded })
  const remove = (): void => rmSync(directory, { recursive: true })
  return { directory, command: [process.execPath, join(directory, 'dist/cli.js'), 'serve'], remove }
}
