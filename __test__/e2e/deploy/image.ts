/**
 * The container image without a container engine: the context that the Dockerfile gets, and its last stage laid out in a
 * folder, as its COPY lines say.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from '../support/server.js'

const text = (name: string): string => readFileSync(join(ROOT, 'deploy/docker', name), 'utf8')

/** Instructions of the last stage, continued lines joined. */
function lastStage(): { instruction: string; rest: string }[] {
  const joined = text('Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
  const stage = joined.slice(joined.lastIndexOf('\nFROM '))
  return [...stage.matchAll(/^([A-Z]+) (.*)$/gm)].map(([, instruction, rest]) => ({
    instruction: instruction!,
    rest: rest!,
  }))
}

const restOf = (instruction: string): string[] =>
  lastStage().flatMap((line) => (line.instruction === instruction ? [line.rest] : []))

export interface Image {
  /** `ENTRYPOINT` and `CMD`. */
  readonly command: readonly string[]
  /** `HEALTHCHECK`'s. */
  readonly health: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly uid: number
}

export function imageSettings(): Image {
  const list = (json: string): string[] => JSON.parse(json) as string[]
  const [health = ''] = restOf('HEALTHCHECK')
  const pairs = restOf('ENV').flatMap((rest) => rest.split(/\s+/).map((pair) => pair.split('=')))
  return {
    command: [...list(restOf('ENTRYPOINT')[0]!), ...list(restOf('CMD')[0]!)],
    health: list(health.slice(health.indexOf('CMD ') + 4)),
    env: Object.fromEntries(pairs) as Record<string, string>,
    uid: Number(restOf('USER')[0]!.split(':')[0]),
  }
}

/** What `COPY . .` brings: the files that Dockerfile.dockerignore leaves, with their folders. */
export function copyContext(to: string): void {
  const patterns = text('Dockerfile.dockerignore').trim().split('\n')
  for (const pattern of patterns.filter((line) => line.startsWith('!'))) {
    cpSync(join(ROOT, pattern.slice(1)), join(to, pattern.slice(1)), {
      recursive: true,
      filter: (path) => !patterns.some((line) => isIgnored(path.slice(ROOT.length), line)),
    })
  }
}

/** Of the patterns that Docker knows, those that the file uses: a path, and one with `*` in its name. */
function isIgnored(path: string, pattern: string): boolean {
  if (pattern.startsWith('!') || pattern === '*') return false
  if (!/^[\w/.*-]+$/.test(pattern)) throw new Error(`what does ${pattern} mean?`)
  const expression = pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')
  return new RegExp(`^${expression}(/|$)`).test(path)
}

/**
 * Lays out what the last stage copies.
 *
 * @param build the folder that stands for /build of the stage before
 * @param image what stands for /
 */
export function copyLastStage(build: string, image: string): void {
  for (const rest of restOf('COPY')) {
    const [, ...paths] = rest.split(' ')
    const target = paths.pop()!
    for (const path of paths.map((one) => one.replace('/build/', '')).flatMap((one) => expand(build, one))) {
      const place = target.endsWith('/') ? join(image, target, path.split('/').at(-1)!) : join(image, target)
      mkdirSync(dirname(place), { recursive: true })
      cpSync(join(build, path), place, { recursive: true, dereference: false })
    }
  }
  for (const [, from, to] of restOf('RUN')
    .join('\n')
    .matchAll(/ln -s (\S+) (\S+)/g)) {
    mkdirSync(dirname(join(image, to!)), { recursive: true })
    symlinkSync(join(image, from!), join(image, to!))
  }
  readable(image)
  for (const [, mode, path] of restOf('RUN')
    .join('\n')
    .matchAll(/chmod (\d+) (\S+)/g)) {
    chmodSync(join(image, path!), Number.parseInt(mode!, 8))
  }
}

function expand(build: string, path: string): string[] {
  if (!path.includes('*')) return existsSync(join(build, path)) ? [path] : missingPath(path)
  const name = new RegExp(`^${path.split('/').at(-1)!.replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
  return readdirSync(join(build, dirname(path)))
    .filter((entry) => name.test(entry))
    .map((entry) => join(dirname(path), entry))
}

function missingPath(path: string): never {
  throw new Error(`the build makes no ${path}`)
}

/** Other users may read it, whatever the checkout allows. */
function readable(directory: string): void {
  chmodSync(directory, 0o755)
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) readable(join(directory, entry.name))
  }
}
