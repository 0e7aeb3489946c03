// Loads modules of src for the generators: compiled on their own, types unchecked, so that documents can be made
// before (or while) the rest compiles.
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The modules' exports by path; a path that does not exist is left out. */
export async function loadSources(root, paths) {
  const out = join(root, '.cache/generate')
  const present = paths.filter((path) => existsSync(join(root, 'src', path)))
  rmSync(out, { recursive: true, force: true })
  const flags = ['--ignoreConfig', '--noCheck', '--skipLibCheck', '--types', 'node', '--target', 'es2023']
  flags.push('--module', 'nodenext', '--rootDir', join(root, 'src'), '--outDir', out)
  execFileSync(
    process.execPath,
    [
      join(root, 'node_modules/typescript/bin/tsc'),
      ...flags,
      ...present.map((path) => join(root, 'src', path)),
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const load = async (path) => [
    path,
    await import(pathToFileURL(join(out, path.replace(/\.ts$/, '.js'))).href),
  ]
  return Object.fromEntries(await Promise.all(present.map(load)))
}
