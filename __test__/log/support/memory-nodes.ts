/**
 * Files and directories of the simulated disk. Each keeps what the page cache shows beside what is on the platter, and
 * between the two, in order, the operations that have not become durable.
 */

export const SECTOR_BYTES = 512

/** Bytes with a length that grows and shrinks; what lies behind the end and comes back reads as zeros. */
export class Extent {
  private data = new Uint8Array(0)
  length = 0

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    this.resize(Math.max(this.length, position + bytes.length))
    this.data.set(bytes, position)
  }

  read(bytes: Uint8Array, position: number): number {
    const end = Math.min(this.length, position + bytes.length)
    if (position >= end) return 0
    bytes.set(this.data.subarray(position, end))
    return end - position
  }

  resize(length: number): void {
    if (length > this.data.length) {
      const larger = new Uint8Array(Math.max(length, this.data.length * 2))
      larger.set(this.data.subarray(0, this.length))
      this.data = larger
    } else if (length < this.length) {
      this.data.fill(0, length, this.length)
    }
    this.length = length
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.data.slice(0, this.length)
  }

  copy(): Extent {
    const copy = new Extent()
    copy.write(this.data.subarray(0, this.length), 0)
    return copy
  }
}

/** Between issue and durability. */
export interface Operation {
  /** Its call has returned. A sync covers only what returned before the sync was called. */
  completed: boolean
  durable: boolean
  /** A failed sync has marked it clean: no later sync writes it any more. */
  lost: boolean
}

export type FileChange =
  | { readonly write: Uint8Array; readonly position: number }
  | { readonly truncate: number }

type FileOperation = FileChange & Operation

/** How a crash decides about what no sync covers; `strict` keeps none of it. */
export type Chance = { readonly next: () => number; readonly kept: number } | 'strict'

export class FileNode {
  readonly kind = 'file'
  /** What calls see: the page cache. */
  readonly cache: Extent
  private readonly platter: Extent
  private operations: FileOperation[] = []
  /** Names and handles that hold it; its bytes count as used while there are any. */
  names = 0
  handles = 0
  /** Of the disk's calls, the number of the last one that wrote to it: stands for the time. */
  changed = 0

  constructor(content = new Extent()) {
    this.cache = content
    this.platter = content.copy()
  }

  change(change: FileChange): Operation {
    if ('write' in change) this.cache.write(change.write, change.position)
    else this.cache.resize(change.truncate)
    const operation = { ...change, completed: false, durable: false, lost: false }
    this.operations.push(operation)
    return operation
  }

  /** What a sync that is called now covers. */
  coverable(): Operation[] {
    return coverable(this.operations)
  }

  /** The sync has completed. */
  settle(covered: readonly Operation[]): void {
    markDurable(covered)
    // What follows something lost stays in line, so that a crash can still decide about each in order.
    while (this.operations[0]?.durable === true) apply(this.platter, this.operations.shift()!)
  }

  crash(chance: Chance): FileNode {
    const content = this.platter.copy()
    for (const operation of this.operations) {
      if (operation.durable) apply(content, operation)
      else if (chance !== 'strict') applyByChance(content, operation, chance)
    }
    return new FileNode(content)
  }
}

function apply(content: Extent, change: FileChange): void {
  if ('write' in change) content.write(change.write, change.position)
  else content.resize(change.truncate)
}

/** A real disk may have written all of it, any of its sectors, or nothing; and the new length without the bytes. */
function applyByChance(content: Extent, change: FileChange, chance: Exclude<Chance, 'strict'>): void {
  if (!('write' in change)) {
    if (chance.next() < chance.kept) content.resize(change.truncate)
    return
  }
  const { write: bytes, position } = change
  const fate = chance.next()
  if (fate < 0.25) return
  if (fate < 0.5) return content.write(bytes, position)
  if (chance.next() < 0.5) content.resize(Math.max(content.length, position + bytes.length))
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + SECTOR_BYTES - ((position + start) % SECTOR_BYTES))
    if (chance.next() < chance.kept) content.write(bytes.subarray(start, end), position + start)
    start = end
  }
}

export type Node = FileNode | DirectoryNode

/** One step: a rename within a directory is both members at once, so no crash sees half of it. */
interface EntryChange {
  readonly remove?: string
  readonly add?: { readonly name: string; readonly node: Node }
}

type EntryOperation = EntryChange & Operation

export class DirectoryNode {
  readonly kind = 'directory'
  readonly entries: Map<string, Node>
  private readonly platter: Map<string, Node>
  private operations: EntryOperation[] = []

  constructor(entries = new Map<string, Node>()) {
    this.entries = entries
    this.platter = new Map(entries)
    for (const node of entries.values()) if (node.kind === 'file') node.names++
  }

  change(change: EntryChange): Operation {
    const { remove, add } = change
    for (const name of [remove, add?.name]) {
      const old = name === undefined ? undefined : this.entries.get(name)
      if (old?.kind === 'file') old.names--
    }
    if (add?.node.kind === 'file') add.node.names++
    applyEntry(this.entries, change)
    const operation = { ...change, completed: false, durable: false, lost: false }
    this.operations.push(operation)
    return operation
  }

  coverable(): Operation[] {
    return coverable(this.operations)
  }

  settle(covered: readonly Operation[]): void {
    markDurable(covered)
    while (this.operations[0]?.durable === true) applyEntry(this.platter, this.operations.shift()!)
  }

  /** `made` holds the nodes that have been copied, since a file may be found under two names. */
  crash(chance: Chance, made = new Map<Node, Node>()): DirectoryNode {
    const entries = new Map(this.platter)
    for (const operation of this.operations) {
      const kept = operation.durable || (chance !== 'strict' && chance.next() < chance.kept)
      if (kept) applyEntry(entries, operation)
    }
    for (const [name, node] of entries) {
      if (!made.has(node)) {
        made.set(node, node.kind === 'file' ? node.crash(chance) : node.crash(chance, made))
      }
      entries.set(name, made.get(node)!)
    }
    return new DirectoryNode(entries)
  }
}

function applyEntry(entries: Map<string, Node>, { remove, add }: EntryChange): void {
  if (remove !== undefined) entries.delete(remove)
  if (add !== undefined) entries.set(add.name, add.node)
}

function coverable<T extends Operation>(operations: readonly T[]): T[] {
  return operations.filter(({ completed }) => completed)
}

function markDurable(covered: readonly Operation[]): void {
  for (const operation of covered) if (!operation.lost) operation.durable = true
}

/**
 * Linux after a failed sync: the pages are marked clean without having been written. Reads still show them, later
 * syncs succeed, and after a crash they are gone.
 */
export function lose(covered: readonly Operation[]): void {
  for (const operation of covered) if (!operation.durable) operation.lost = true
}
