/** One broker as a process: started, stopped, killed, frozen, started again on the same directory and ports. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BROKER_FILES, type Jars } from './jars.js'
import type { BrokerPlace } from './properties.js'

/** C1 alone and the simplest collector: a broker that starts fast and stays small counts for more than its speed. */
const JAVA_FLAGS = ['-Xms64m', '-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto']
const START_MS_MAX = 60_000
const STOP_MS_MAX = 20_000

/** Ends the process with the test that started it, however that ends. */
const TIED = spawnSync('setpriv', ['--version']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : []

export function javaArgs(
  jars: Jars,
  flags: readonly string[],
  main: string,
  args: readonly string[],
): string[] {
  const logging = `-Dlog4j2.configurationFile=${join(BROKER_FILES, 'log4j2.properties')}`
  const fromArchive = flags.some((flag) => flag.startsWith('-XX:ArchiveClassesAtExit'))
    ? []
    : [`-XX:SharedArchiveFile=${jars.classArchive}`]
  return [...JAVA_FLAGS, ...fromArchive, ...flags, logging, '-cp', jars.classPath, main, ...args]
}

export class Broker {
  private child: ChildProcess | undefined
  private exited: Promise<void> = Promise.resolve()

  constructor(
    private readonly jars: Jars,
    readonly place: BrokerPlace,
    private readonly properties: string,
  ) {
    mkdirSync(place.directory, { recursive: true })
  }

  get id(): number {
    return this.place.id
  }
  get pid(): number | undefined {
    return this.child?.pid
  }
  get running(): boolean {
    return this.child !== undefined
  }
  /** What the broker has printed, all its starts together. */
  get output(): string {
    return readFileSync(this.outputFile, 'utf8')
  }
  private get outputFile(): string {
    return join(this.place.directory, 'output')
  }
  private get propertiesFile(): string {
    return join(this.place.directory, 'server.properties')
  }

  /** @param args of `StorageTool format`, beside the cluster id */
  async format(clusterId: string, args: readonly string[] = []): Promise<void> {
    writeFileSync(this.propertiesFile, this.properties)
    // An id may begin with a dash: as a word of its own it would be taken for a flag.
    const format = ['format', `--cluster-id=${clusterId}`, '-c', this.propertiesFile, ...args]
    const child = spawn('java', javaArgs(this.jars, [], 'kafka.tools.StorageTool', format), {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (said += part))
    const code = await new Promise((resolve) => child.once('close', resolve))
    if (code !== 0) throw new Error(`the broker's directory cannot be formatted: ${said}`)
  }

  /** Starts the process; `started` waits until it takes connections. */
  start(flags: readonly string[] = []): void {
    if (this.child !== undefined) throw new Error(`broker ${this.id} runs`)
    const java = ['java', ...javaArgs(this.jars, flags, 'kafka.Kafka', [this.propertiesFile])]
    const [file, ...args] = [...TIED, ...java]
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const output = createWriteStream(this.outputFile, { flags: 'a' })
    for (const stream of [child.stdout, child.stderr]) stream.pipe(output, { end: false })
    this.child = child
    this.exited = new Promise((resolve) => {
      child.once('close', () => {
        this.child = undefined
        output.end(resolve)
      })
    })
  }

  /** Waits until both its listeners take connections. */
  async started(): Promise<void> {
    const end = performance.now() + START_MS_MAX
    for (const port of [this.place.internalPort, this.place.clientPort]) {
      while (!(await takesConnections(port))) {
        if (this.child === undefined) throw new Error(`broker ${this.id} ended:\n${this.output.slice(-4000)}`)
        if (performance.now() > end)
          throw new Error(`broker ${this.id} does not start:\n${this.output.slice(-4000)}`)
        await sleep(50)
      }
    }
  }

  /** SIGTERM, and SIGKILL for one that hangs, which three brokers that stop at once can. */
  async stop(): Promise<void> {
    this.resume()
    this.child?.kill('SIGTERM')
    const late = new AbortController()
    const kill = sleep(STOP_MS_MAX, undefined, { signal: late.signal }).then(
      () => this.child?.kill('SIGKILL'),
      () => {},
    )
    await this.exited
    late.abort()
    await kill
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.child?.kill('SIGKILL')
    await this.exited
  }

  /** SIGSTOP: it keeps its connections and answers nobody. */
  pause(): void {
    this.child?.kill('SIGSTOP')
  }

  resume(): void {
    this.child?.kill('SIGCONT')
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const done = (open: boolean) => (): void => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', done(true)).once('error', done(false))
  })
}
