/**
 * The sockets behind the lock: an owner listens and answers, others connect. A refused connection means that nobody
 * listens any more, in whatever pid namespace the owner ran, and whatever killed it.
 */
import * as fs from 'node:fs'
import * as net from 'node:net'
import { join } from 'node:path'
import { SluicegateError } from '../errors.js'

/** An owner answers within microseconds; one that is stopped or starved does not. */
const ANSWER_MS_MAX = 2_000
const ANSWER_BYTES_MAX = 64 * 1024
/** Of one owner at the same moment. What is beyond is closed at once, and asks again. */
export const CONNECTIONS_MAX = 64
/** `sun_path` holds 108 bytes (104 on BSD and macOS), and what is longer is cut without a word. */
const SOCKET_PATH_BYTES_MAX = 100

/** A directory in which sockets have short paths, however long its own is. */
export class SocketDirectory {
  private readonly fd: number

  /** Throws SluicegateError `lock_impossible` when the directory cannot be opened. */
  constructor(readonly path: string) {
    try {
      this.fd = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_DIRECTORY ?? 0))
    } catch (error) {
      throw lockImpossible(path, error)
    }
  }

  list(): string[] {
    return fs.readdirSync(this.path)
  }

  file(name: string): string {
    return join(this.path, name)
  }

  /** Where to bind or connect. */
  socket(name: string): string {
    const short = `/proc/self/fd/${this.fd}`
    // Not everywhere: /proc can be missing, or be the one of a pid namespace that does not know this process.
    if (process.platform === 'linux' && fs.existsSync(short)) return join(short, name)
    const path = this.file(name)
    if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path
    const why = `with ${Buffer.byteLength(path)} bytes the path ${path} is too long for a socket here, ${SOCKET_PATH_BYTES_MAX} are allowed`
    throw lockImpossible(this.path, new Error(why))
  }

  unlink(name: string): void {
    fs.rmSync(this.file(name), { force: true })
  }

  close(): void {
    fs.closeSync(this.fd)
  }
}

export function lockImpossible(directory: string, cause: unknown): SluicegateError {
  return new SluicegateError(
    'lock_impossible',
    `the directory ${directory} cannot be locked: ${reason(cause)}. The lock needs a local file system with Unix sockets and hard links`,
    { cause },
  )
}

/** Without the path through /proc, which nobody could find. */
export function reason(error: unknown): string {
  return (error as Error).message.replace(/ \/proc\/self\/fd\/\S+$/, '')
}

/** Listens for whoever wants to know the owner. Never keeps the process alive. */
export class OwnerSocket {
  /**
   * `withdrawn`: not published, or no more. `claiming`: published, but it is not decided yet whether it stays: who
   * connects waits for that. `owner`: answers.
   */
  private state: 'withdrawn' | 'claiming' | 'owner' = 'withdrawn'
  private readonly waiting = new Set<net.Socket>()
  private readonly server = net.createServer((socket) => this.accept(socket))

  constructor(private readonly answer: () => string) {
    this.server.maxConnections = CONNECTIONS_MAX
  }

  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject)
      // exclusive: in a cluster's worker the socket would be made, and owned, by the primary.
      this.server.listen({ path, exclusive: true }, resolve)
    })
    this.server.removeAllListeners('error')
    // Such as no descriptor left to accept with: whoever connects finds the owner alive and silent.
    this.server.on('error', () => undefined)
    this.server.unref()
  }

  claim(): void {
    this.state = 'claiming'
  }

  confirm(): void {
    this.state = 'owner'
    for (const socket of this.takeWaiting()) this.reply(socket)
  }

  withdraw(): void {
    this.state = 'withdrawn'
    for (const socket of this.takeWaiting()) socket.destroy()
  }

  /** From its call on connections are refused. libuv removes the name that was bound; links to it stay. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    this.withdraw()
    await closed
  }

  private accept(socket: net.Socket): void {
    socket.unref()
    socket.on('error', () => socket.destroy())
    if (this.state === 'owner') return this.reply(socket)
    if (this.state === 'withdrawn') return void socket.destroy()
    this.waiting.add(socket)
    socket.once('close', () => this.waiting.delete(socket))
  }

  private reply(socket: net.Socket): void {
    try {
      const line = `${this.answer()}\n`
      // Destroyed as soon as the kernel has the line, not when the other side hangs up: it might never.
      socket.end(line, () => socket.destroy())
    } catch {
      socket.destroy()
    }
  }

  private takeWaiting(): net.Socket[] {
    const sockets = [...this.waiting]
    this.waiting.clear()
    return sockets
  }
}

/**
 * `dead`: nobody listens. `undecided`: somebody listens, but hung up without an answer: it withdrew, is being stopped,
 * or has too many to answer; look again. `silent`: it took the connection and said nothing for ANSWER_MS_MAX.
 */
export type Reply = 'dead' | 'undecided' | 'silent' | { readonly answer: string }

/** Connects and waits for the answer. Rejects when connecting fails in a way that says nothing about the owner. */
export function ask(path: string): Promise<Reply> {
  return connect(path, (socket, finish) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (part: string) => {
      text += part
      if (text.length > ANSWER_BYTES_MAX) finish('undecided')
    })
    socket.once('end', () => finish(text.endsWith('\n') ? { answer: text.slice(0, -1) } : 'undecided'))
  })
}

/** Whether somebody listens, decided or not. Rejects as `ask` does. */
export async function listens(path: string): Promise<boolean> {
  const reply = await connect(path, (socket, finish) => {
    socket.once('connect', () => finish('undecided'))
  })
  return reply !== 'dead'
}

function connect(
  path: string,
  talk: (socket: net.Socket, finish: (reply: Reply) => void) => void,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path })
    const timer = setTimeout(() => finish('silent'), ANSWER_MS_MAX)
    const finish = (reply: Reply) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(reply)
    }
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const reply = meaning(error.code)
      if (reply === undefined) reject(error)
      finish(reply ?? 'undecided')
    })
    socket.once('close', () => finish('undecided'))
    talk(socket, finish)
  })
}

function meaning(code: string | undefined): Reply | undefined {
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return 'dead'
  // It hung up in the middle, or so many are waiting for it that the kernel takes no more.
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'EAGAIN' ? 'undecided' : undefined
}
