/**
 * Loads the addon, and looks at its file before the system does. Loading one whose end is missing (a broken download, a full disk
 * while it was installed) is no error on Linux: the process dies of SIGBUS, and with it the reference decoder that could
 * have served. Elsewhere the loader itself looks.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const ELF_MAGIC = 0x7f454c46
const ELF_HEADER_BYTES = 64
const LIBCS = ['gnu', 'musl']
const specifier: string = '#native'

let loading: Promise<unknown> | undefined

/** The addon's exports. Rejects when there is none that can be loaded. */
export function importAddon(): Promise<unknown> {
  return (loading ??= load())
}

async function load(): Promise<unknown> {
  checkAddonFiles()
  return import(specifier)
}

/** @throws Error that names the file, when one that the loader (native/index.js) may choose is cut off */
export function checkAddonFiles(platform: string = process.platform, arch: string = process.arch): void {
  if (platform !== 'linux') return
  for (const libc of LIBCS) for (const path of candidates(`linux-${arch}-${libc}`)) checkWhole(path)
}

/** A local build, and the platform package's. */
function candidates(suffix: string): string[] {
  const local = fileURLToPath(new URL(`../native/sluicegate.${suffix}.node`, import.meta.url))
  return [...(existsSync(local) ? [local] : []), ...installed(`sluicegate-${suffix}`)]
}

function installed(name: string): string[] {
  try {
    return [createRequire(import.meta.url).resolve(name)]
  } catch {
    return []
  }
}

/** @throws Error for an ELF file that is shorter than its own headers say; others are left to the system's words */
export function checkWhole(path: string): void {
  const file = openSync(path, 'r')
  try {
    const header = Buffer.alloc(ELF_HEADER_BYTES)
    const read = readSync(file, header, 0, ELF_HEADER_BYTES, 0)
    if (read < ELF_HEADER_BYTES || header.readUInt32BE(0) !== ELF_MAGIC) return
    const { size } = fstatSync(file)
    const needed = bytesOf(header)
    if (size < needed) throw new Error(`${path}: the file is cut off, it has ${size} of ${needed} bytes`)
  } finally {
    closeSync(file)
  }
}

/** Linkers put the table of sections (offset, size and number of its entries) last. 64 bits, little endian. */
function bytesOf(header: Buffer): number {
  return Number(header.readBigUInt64LE(0x28)) + header.readUInt16LE(0x3a) * header.readUInt16LE(0x3c)
}
