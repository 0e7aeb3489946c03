// Knows whether something was built from the sources as they are now: a digest of their contents is kept in
// .cache/setup.json. Times of files say nothing after a clone or a copy.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Digest of files and folders (recursive), names included; what is missing counts as such. */
export function digest(root, paths, extra = '') {
  const hash = createHash('sha256').update(extra)
  for (const path of paths.flatMap((one) => filesBelow(root, one))) {
    hash.update(`\0${path}\0`).update(readFileSync(join(root, path)))
  }
  return hash.digest('hex')
}

function filesBelow(root, path) {
  const stats = statSync(join(root, path), { throwIfNoEntry: false })
  if (stats === undefined) return []
  if (!stats.isDirectory()) return [path]
  return readdirSync(join(root, path))
    .toSorted()
    .filter((name) => name !== 'target' && name !== 'node_modules' && !name.endsWith('.node'))
    .flatMap((name) => filesBelow(root, `${path}/${name}`))
}

/** Small facts that outlive a run, by name. */
export class Stamps {
  constructor(directory) {
    this.directory = directory
    this.path = join(directory, 'setup.json')
  }

  read() {
    try {
      return JSON.parse(readFileSync(this.path, 'utf8'))
    } catch {
      return {}
    }
  }

  get(name) {
    return this.read()[name]
  }

  set(name, value) {
    mkdirSync(this.directory, { recursive: true })
    const temporary = `${this.path}.${process.pid}`
    writeFileSync(temporary, JSON.stringify({ ...this.read(), [name]: value }, null, 2))
    renameSync(temporary, this.path)
  }
}
