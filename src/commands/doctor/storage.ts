/** The data directory: whether it is there, writable, has space, and lies where fdatasync means something. */
import { accessSync, constants, readFileSync, realpathSync, statfsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isDirectory } from '../directory.js'
import { shownBytes } from '../output.js'
import { findingsOf, type Finding } from './finding.js'

/** Below this a server would soon be full. */
const FREE_BYTES_MIN = 256 * 1024 * 1024

export function dataDirectoryFindings(dataDir: string, mounts?: string): readonly Finding[] {
  const path = resolve(dataDir)
  const found = findingsOf(`data directory ${path}`)
  const there = isDirectory(path)
  const place = nearestDirectory(path)
  const existence = there
    ? found('ok', 'is there')
    : found('note', `is not there yet: the server makes it in ${place}`)
  return [
    existence,
    writableFinding(place, found),
    spaceFinding(place, found),
    ...fileSystem(place, found, mounts),
  ]
}

type Found = ReturnType<typeof findingsOf>

function nearestDirectory(path: string): string {
  return isDirectory(path) || path === dirname(path) ? path : nearestDirectory(dirname(path))
}

function writableFinding(path: string, found: Found): Finding {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return found('ok', 'is writable')
  } catch (error) {
    return found('fault', `is not writable for this user (${(error as NodeJS.ErrnoException).code})`)
  }
}

function spaceFinding(path: string, found: Found): Finding {
  const { bavail, bsize } = statfsSync(path)
  const free = bavail * bsize
  return found(free < FREE_BYTES_MIN ? 'fault' : 'ok', `${shownBytes(free)} of the disk are free`)
}

const NETWORK =
  /^(nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|beegfs|gpfs|ocfs2|gfs2|fuse\.(sshfs|s3fs|.*gluster.*|.*ceph.*|gcsfuse|rclone|davfs2?))$/

function fileSystem(path: string, found: Found, mounts: string | undefined): readonly Finding[] {
  const mount = mountOf(path, mounts)
  if (mount === undefined) return []
  const { type, point } = mount
  if (NETWORK.test(type)) {
    return [
      found('fault', `lies on ${type} (${point}): over a network neither lock nor sync can be relied on`),
    ]
  }
  if (type === 'tmpfs' || type === 'ramfs') {
    return [
      found('fault', `lies on ${type} (${point}): what is acknowledged is lost with the machine's memory`),
    ]
  }
  if (type === 'overlay') {
    return [
      found('note', `lies on overlay (${point}): in a container it goes with the container; mount a volume`),
    ]
  }
  return [found('ok', `lies on ${type} (${point})`)]
}

/** The mount that holds a path, as far as /proc/mounts tells. */
function mountOf(path: string, mounts: string | undefined): { type: string; point: string } | undefined {
  try {
    const real = realpathSync(path)
    const table = mounts ?? readFileSync('/proc/mounts', 'utf8')
    const fitting = table
      .split('\n')
      .map((line) => line.split(' '))
      .map(([, point = '', type = '']) => ({ point: unescaped(point), type }))
      .filter(({ point }) => point === '/' || real === point || real.startsWith(`${point}/`))
    // Of mounts over each other the last one counts.
    return fitting.reduce<(typeof fitting)[number] | undefined>(
      (best, one) => (best !== undefined && best.point.length > one.point.length ? best : one),
      undefined,
    )
  } catch {
    return undefined
  }
}

/** Blanks in /proc/mounts are written in octal. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
