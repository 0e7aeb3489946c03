/**
 * A disk that forgets what was not synced (promise P1). A kill -9 cannot show a missing sync, because the page cache
 * survives it; `crash` shows it: it answers the disk as it could be after the power has gone.
 *
 * - A write is durable once a sync of its file has completed that was called after the write had returned. Creations,
 *   renames and removals likewise with `syncDirectory` of their directory; a new directory needs its parent's.
 * - A durable write is two calls, its write and a sync of that write alone: it can fail, stall or be cut off in either.
 * - A rename within a directory is one step. One into another directory is two, each with its own directory.
 * - `limitBytes` counts the lengths of files, removed but open ones included; directories are free.
 */
import { posix } from 'node:path'
import { BLOCK_BYTES } from '../../../src/log/format.js'
import type { Disk, DiskFile, PathStat } from '../../../src/log/types.js'
import { type Chance, DirectoryNode, FileNode, lose, type Node, type Operation } from './memory-nodes.js'
import { random } from './random.js'

export type DiskOperation =
  | 'open'
  | 'mkdir'
  | 'readdir'
  | 'rename'
  | 'unlink'
  | 'syncDirectory'
  | 'freeBytes'
  | 'stat'
  | 'isAt'
  | 'write'
  | 'read'
  | 'sync'
  | 'truncate'
  | 'size'
  | 'close'

export interface DiskCall {
  /** 1 for the disk's first. */
  readonly number: number
  readonly op: DiskOperation
  /** Absolute. Of a file it is the one that it was opened by. */
  readonly path: string
  /** Rename: the new path. isAt: the path asked about. */
  readonly to?: string
  /** Write and read. */
  readonly position?: number
  /** Write, read and truncate. */
  readonly length?: number
  /** Written as whole blocks. */
  readonly asBlocks?: boolean
  state: 'running' | 'done' | 'failed'
}

/** What becomes of a call, beside success. */
export type Fault =
  /** Fails without having done anything; a write may have written its first `writtenBytes`. A sync loses what it covers. */
  | { readonly error: string; readonly writtenBytes?: number }
  /** Takes effect as far as a call in flight does, and never returns. */
  | 'never'

/**
 * `strict`: nothing survives but what completed syncs cover. With a seed: of everything else each write, torn between
 * sectors or whole, and each directory entry may be there as well.
 */
export type CrashChoice = 'strict' | { readonly seed: number }

/** When calls return: in a later microtask, a later turn of the event loop, or when the test calls `finish`. */
export type Completion = 'microtask' | 'macrotask' | ((finish: () => void, call: DiskCall) => void)

export interface MemoryDiskOptions {
  readonly limitBytes?: number
  readonly completion?: Completion
}

/** What a call does when it is made, and what when it returns. */
interface Act<T> {
  /** Throws for a call that the file system refuses. */
  start(): () => T
  /** Instead of `start`, when the call is to fail: answers what happens at its return. */
  fail?(fault: Exclude<Fault, 'never'>): () => void
}

// Tests may replace the global one.
const turn = setImmediate
/** How much of the unsynced a seeded crash keeps: fixed odds would hardly ever show all or nothing of many calls. */
const KEPT = [0, 0.25, 0.5, 0.75, 1]

export class MemoryDisk implements Disk {
  /** Every call, in order. */
  readonly calls: DiskCall[] = []
  /** Asked before each call takes effect. `crash()` in here answers the disk as it was just before this call. */
  onCall: ((call: DiskCall) => Fault | undefined) | undefined
  /** The most that files may hold; may be changed at any time. */
  limitBytes: number | undefined
  private readonly completion: Completion
  private readonly files = new Set<FileNode>()
  private halted = false

  constructor(
    options: MemoryDiskOptions = {},
    private readonly root = new DirectoryNode(),
  ) {
    this.limitBytes = options.limitBytes
    this.completion = options.completion ?? 'microtask'
    this.register(root)
  }

  /** The disk after a crash at this moment. This one goes on as it is; see `halt`. */
  crash(choice: CrashChoice = 'strict'): MemoryDisk {
    const { limitBytes, completion } = this
    const options = limitBytes === undefined ? { completion } : { limitBytes, completion }
    return new MemoryDisk(options, this.root.crash(chanceOf(choice)))
  }

  /** The power is gone: nothing that runs returns, nor does anything called from now on. */
  halt(): void {
    this.halted = true
  }

  get usedBytes(): number {
    for (const file of this.files) if (file.names + file.handles === 0) this.files.delete(file)
    return [...this.files].reduce((sum, file) => sum + file.cache.length, 0)
  }

  /** What the file holds, unsynced bytes included; undefined when it is not there. Is not counted as a call. */
  peek(path: string): Uint8Array | undefined {
    const node = this.nodeAt(path)
    return node?.kind === 'file' ? node.cache.bytes() : undefined
  }

  /** All files by path, for comparing disks. */
  paths(directory: DirectoryNode = this.root, prefix = '/'): string[] {
    return [...directory.entries]
      .flatMap(([name, node]) =>
        node.kind === 'file' ? [prefix + name] : this.paths(node, `${prefix}${name}/`),
      )
      .toSorted()
  }

  open(path: string, flags: 'r' | 'r+' | 'wx+'): Promise<DiskFile> {
    return this.call('open', path, {}, (at) => ({
      start: () => {
        const done = flags === 'wx+' ? this.create(at) : () => undefined
        const node = this.find(at, 'open')
        if (node.kind === 'directory') throw errno('EISDIR', 'open', at)
        node.handles++
        return () => {
          done()
          return new MemoryFile(this, node, at, flags)
        }
      },
    }))
  }

  mkdir(path: string): Promise<void> {
    return this.call('mkdir', path, {}, (at) => ({
      start: () => {
        const made: { completed: boolean }[] = []
        let directory = this.root
        const names = at.split('/').filter(Boolean)
        for (const [index, name] of names.entries()) {
          if (!directory.entries.has(name)) {
            made.push(directory.change({ add: { name, node: new DirectoryNode() } }))
          }
          const node = directory.entries.get(name)!
          if (node.kind === 'file') {
            throw errno(index === names.length - 1 ? 'EEXIST' : 'ENOTDIR', 'mkdir', at)
          }
          directory = node
        }
        return () => made.forEach((creation) => (creation.completed = true))
      },
    }))
  }

  readdir(path: string): Promise<string[]> {
    return this.call('readdir', path, {}, (at) => ({
      start: () => {
        const names = [...this.directory(at, 'scandir').entries.keys()]
        return () => names
      },
    }))
  }

  rename(from: string, to: string): Promise<void> {
    return this.call('rename', from, { to: posix.resolve('/', to) }, (at, call) => ({
      start: () => this.move(at, call.to!),
    }))
  }

  unlink(path: string): Promise<void> {
    return this.call('unlink', path, {}, (at) => ({
      start: () => {
        if (this.find(at, 'unlink').kind === 'directory') throw errno('EISDIR', 'unlink', at)
        const removal = this.parent(at, 'unlink').change({ remove: posix.basename(at) })
        return () => void (removal.completed = true)
      },
    }))
  }

  syncDirectory(path: string): Promise<void> {
    return this.call('syncDirectory', path, {}, (at) => ({
      start: () => {
        const directory = this.directory(at, 'fsync')
        const covered = directory.coverable()
        return () => directory.settle(covered)
      },
      fail: () => {
        const covered = this.directory(at, 'fsync').coverable()
        return () => lose(covered)
      },
    }))
  }

  freeBytes(path: string): Promise<number> {
    return this.call('freeBytes', path, {}, (at) => ({
      start: () => {
        this.find(at, 'statfs')
        const free = this.roomBytes()
        return () => (free === Infinity ? 2 ** 40 : free)
      },
    }))
  }

  stat(path: string): Promise<PathStat> {
    return this.call('stat', path, {}, (at) => ({
      start: () => {
        const node = this.find(at, 'stat')
        const stat = { device: 'memory', bytes: 0, modifiedMs: 0 }
        return () =>
          node.kind === 'file' ? { ...stat, bytes: node.cache.length, modifiedMs: node.changed } : stat
      },
    }))
  }

  /** Not a call. */
  nodeAt(path: string): Node | undefined {
    try {
      return this.find(posix.resolve('/', path), 'stat')
    } catch {
      return undefined
    }
  }

  /** Bytes that may still be written; of no account to callers of the `Disk`. */
  roomBytes(): number {
    return this.limitBytes === undefined ? Infinity : Math.max(0, this.limitBytes - this.usedBytes)
  }

  /** The way of every call, files' included. */
  call<T>(
    op: DiskOperation,
    path: string,
    detail: Pick<DiskCall, 'to' | 'position' | 'length' | 'asBlocks'>,
    act: (path: string, call: DiskCall) => Act<T>,
  ): Promise<T> {
    if (this.halted) return new Promise(() => undefined)
    const at = posix.resolve('/', path)
    const call: DiskCall = { number: this.calls.length + 1, op, path: at, ...detail, state: 'running' }
    this.calls.push(call)
    const fault = this.onCall?.(call)
    if (this.halted) return new Promise(() => undefined)
    const finish = started(act(at, call), fault, call)
    return new Promise((resolve, reject) => {
      if (fault === 'never') return
      this.later(call, () => {
        if (this.halted) return
        try {
          const result = finish()
          call.state = 'done'
          resolve(result)
        } catch (error) {
          call.state = 'failed'
          reject(error)
        }
      })
    })
  }

  private later(call: DiskCall, finish: () => void): void {
    if (this.completion === 'microtask') queueMicrotask(finish)
    else if (this.completion === 'macrotask') turn(finish)
    else this.completion(finish, call)
  }

  private create(at: string): () => void {
    const parent = this.parent(at, 'open')
    const name = posix.basename(at)
    if (parent.entries.has(name)) throw errno('EEXIST', 'open', at)
    const node = new FileNode()
    this.files.add(node)
    const creation = parent.change({ add: { name, node } })
    return () => void (creation.completed = true)
  }

  private move(from: string, to: string): () => void {
    const node = this.find(from, 'rename')
    const [source, target] = [this.parent(from, 'rename'), this.parent(to, 'rename')]
    const [remove, name] = [posix.basename(from), posix.basename(to)]
    const old = target.entries.get(name)
    if (old === node) return () => undefined
    if (old?.kind === 'directory' && node.kind === 'file') throw errno('EISDIR', 'rename', from)
    if (old?.kind === 'file' && node.kind === 'directory') throw errno('ENOTDIR', 'rename', from)
    if (old?.kind === 'directory' && old.entries.size > 0) throw errno('ENOTEMPTY', 'rename', from)
    const add = { name, node }
    const changes =
      source === target
        ? [source.change({ remove, add })]
        : [target.change({ add }), source.change({ remove })]
    return () => changes.forEach((change) => (change.completed = true))
  }

  private find(at: string, syscall: string): Node {
    let node: Node = this.root
    for (const name of at.split('/').filter(Boolean)) {
      if (node.kind === 'file') throw errno('ENOTDIR', syscall, at)
      const next: Node | undefined = node.entries.get(name)
      if (next === undefined) throw errno('ENOENT', syscall, at)
      node = next
    }
    return node
  }

  private directory(at: string, syscall: string): DirectoryNode {
    const node = this.find(at, syscall)
    if (node.kind === 'file') throw errno('ENOTDIR', syscall, at)
    return node
  }

  private parent(at: string, syscall: string): DirectoryNode {
    return this.directory(posix.dirname(at), syscall)
  }

  private register(directory: DirectoryNode): void {
    for (const node of directory.entries.values()) {
      if (node.kind === 'file') this.files.add(node)
      else this.register(node)
    }
  }
}

class MemoryFile implements DiskFile {
  private open = true

  constructor(
    private readonly disk: MemoryDisk,
    private readonly node: FileNode,
    private readonly path: string,
    private readonly flags: 'r' | 'r+' | 'wx+',
  ) {}

  async write(bytes: Uint8Array, position: number): Promise<void> {
    await this.change(bytes, position)
  }

  async writeDurably(bytes: Uint8Array, position: number): Promise<void> {
    const written = await this.change(bytes, position)
    await this.syncOf(() => [written])
  }

  async writeBlocks(bytes: Uint8Array, position: number): Promise<void> {
    if (bytes.length % BLOCK_BYTES !== 0 || position % BLOCK_BYTES !== 0) {
      throw new Error(`no whole blocks: ${bytes.length} bytes at ${position}`)
    }
    const written = await this.change(bytes, position, { asBlocks: true })
    await this.syncOf(() => [written])
  }

  private change(
    bytes: Uint8Array,
    position: number,
    how: Pick<DiskCall, 'asBlocks'> = {},
  ): Promise<Operation> {
    const length = bytes.length
    return this.disk.call('write', this.path, { position, length, ...how }, () => ({
      start: () => {
        this.mustBeOpen('write', true)
        this.node.changed = this.disk.calls.length
        // Not `slice`: of a Buffer it would be a view.
        const copy = new Uint8Array(bytes)
        const added = Math.max(0, position + length - this.node.cache.length)
        const missing = Math.max(0, added - this.disk.roomBytes())
        const written = this.node.change({ write: copy.subarray(0, Math.max(0, length - missing)), position })
        return () => {
          written.completed = true
          if (missing > 0) throw errno('ENOSPC', 'write', this.path)
          // The real disk reads the buffer at some moment during the call: nobody may touch it meanwhile.
          if (Buffer.compare(bytes, copy) !== 0) throw new Error(`changed while it was written: ${this.path}`)
          return written
        }
      },
      fail: ({ writtenBytes = 0 }) => {
        this.mustBeOpen('write', true)
        const written = this.node.change({ write: new Uint8Array(bytes.subarray(0, writtenBytes)), position })
        return () => void (written.completed = true)
      },
    }))
  }

  read(bytes: Uint8Array, position: number): Promise<number> {
    return this.disk.call('read', this.path, { position, length: bytes.length }, () => ({
      start: () => {
        this.mustBeOpen('read')
        return () => this.node.cache.read(bytes, position)
      },
    }))
  }

  sync(): Promise<void> {
    return this.syncOf(() => {
      this.mustBeOpen('fdatasync')
      return this.node.coverable()
    })
  }

  private syncOf(covered: () => Operation[]): Promise<void> {
    return this.disk.call('sync', this.path, {}, () => ({
      start: () => {
        const settled = covered()
        return () => this.node.settle(settled)
      },
      fail: () => {
        const lost = covered()
        return () => lose(lost)
      },
    }))
  }

  truncate(length: number): Promise<void> {
    return this.disk.call('truncate', this.path, { length }, () => ({
      start: () => {
        this.mustBeOpen('ftruncate', true)
        if (length - this.node.cache.length > this.disk.roomBytes()) {
          throw errno('ENOSPC', 'ftruncate', this.path)
        }
        const cut = this.node.change({ truncate: length })
        return () => void (cut.completed = true)
      },
    }))
  }

  size(): Promise<number> {
    return this.disk.call('size', this.path, {}, () => ({
      start: () => {
        this.mustBeOpen('fstat')
        return () => this.node.cache.length
      },
    }))
  }

  isAt(path: string): Promise<boolean> {
    return this.disk.call('isAt', this.path, { to: path }, () => ({
      start: () => {
        this.mustBeOpen('fstat')
        const isThis = this.disk.nodeAt(path) === this.node
        return () => isThis
      },
    }))
  }

  close(): Promise<void> {
    return this.disk.call('close', this.path, {}, () => ({
      start: () => {
        this.mustBeOpen('close')
        this.open = false
        return () => void this.node.handles--
      },
    }))
  }

  private mustBeOpen(syscall: string, forWriting = false): void {
    if (!this.open || (forWriting && this.flags === 'r')) throw errno('EBADF', syscall, this.path)
  }
}

function started<T>(act: Act<T>, fault: Fault | undefined, call: DiskCall): () => T {
  try {
    if (fault === undefined || fault === 'never') return act.start()
    const failed = act.fail?.(fault)
    return () => {
      failed?.()
      throw errno(fault.error, call.op, call.path)
    }
  } catch (error) {
    return () => {
      throw error
    }
  }
}

function chanceOf(choice: CrashChoice): Chance {
  if (choice === 'strict') return 'strict'
  const next = random(choice.seed)
  return { next, kept: KEPT[Math.floor(next() * KEPT.length)]! }
}

function errno(code: string, syscall: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, syscall, path })
}
