/** A whole server for real clients: started on free ports, and its log read back as any consumer reads it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, configWith } from '../../../src/config.js'
import { type Gate, startGate } from '../../../src/gate.js'
import { nodeDisk } from '../../../src/log/node-disk.js'
import { readLog } from '../../../src/log/reader.js'
import type { Disk, DiskFile } from '../../../src/log/types.js'
import { createLogger } from '../../../src/logger.js'

/** What is on the queue: docs/PROTOCOL.md 9.3. */
export interface Envelope {
  readonly v: number
  readonly kind: string
  readonly token: string | null
  readonly project_id: string | null
  readonly received_ms: number
  readonly request_id: string
  readonly index: number
  readonly ip: string | null
  readonly geo: string
  readonly ua: string | null
  readonly lib: string | null
  readonly insert_id: string
  readonly insert_id_source: string
  readonly distinct_id: string | null
  readonly distinct_id_source: string
  readonly time_ms: number
  readonly flags: readonly string[]
  readonly record: Readonly<Record<string, unknown>>
}

/** Of an event: its properties; of a profile: none. */
export function propertiesOf({ record }: Envelope): Record<string, unknown> {
  return (record['properties'] ?? {}) as Record<string, unknown>
}

/** The real disk, until `error` is set: then nothing can be written, created or synced. */
export class BreakableDisk implements Disk {
  /** `EIO`: the log fails; `ENOSPC`: it is full. */
  error: string | undefined

  readonly mkdir: Disk['mkdir'] = (path) => nodeDisk.mkdir(path)
  readonly readdir: Disk['readdir'] = (path) => nodeDisk.readdir(path)
  readonly rename: Disk['rename'] = (from, to) => nodeDisk.rename(from, to)
  readonly unlink: Disk['unlink'] = (path) => nodeDisk.unlink(path)
  readonly syncDirectory: Disk['syncDirectory'] = (path) => nodeDisk.syncDirectory(path)
  readonly freeBytes: Disk['freeBytes'] = (path) => nodeDisk.freeBytes(path)
  readonly stat: Disk['stat'] = (path) => nodeDisk.stat(path)

  async open(path: string, flags: 'r' | 'r+' | 'wx+'): Promise<DiskFile> {
    if (flags === 'wx+') this.check(path)
    const file = await nodeDisk.open(path, flags)
    return {
      read: (bytes, position) => file.read(bytes, position),
      size: () => file.size(),
      isAt: (at) => file.isAt(at),
      close: () => file.close(),
      truncate: (length) => file.truncate(length),
      write: async (bytes, position) => {
        this.check(path)
        await file.write(bytes, position)
      },
      writeDurably: async (bytes, position) => {
        this.check(path)
        await file.writeDurably(bytes, position)
      },
      writeBlocks: async (bytes, position) => {
        this.check(path)
        await file.writeBlocks(bytes, position)
      },
      sync: async () => {
        this.check(path)
        await file.sync()
      },
    }
  }

  private check(path: string): void {
    const { error: code } = this
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected: ${path}`), { code })
  }
}

export class TestServer {
  readonly disk = new BreakableDisk()
  /** `http://127.0.0.1:PORT`, the same after a restart. */
  url = ''
  private gate: Gate | undefined
  private readonly dataDir = mkdtempSync(join(tmpdir(), 'sluicegate-sdk-'))

  private constructor(private readonly settings: Partial<Config>) {}

  static async start(settings: Partial<Config> = {}): Promise<TestServer> {
    const server = new TestServer(settings)
    await server.start()
    return server
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    return this.url.slice('http://'.length)
  }

  /** Starts again where it was, on the same port. */
  async start(settings: Partial<Config> = {}): Promise<void> {
    const port = this.url === '' ? 0 : Number(new URL(this.url).port)
    const config = configWith({
      dataDir: this.dataDir,
      opsPort: 0,
      drainMs: 0,
      logSegmentBytes: 2 ** 20,
      logMaxBytes: 64 * 2 ** 20,
      ...this.settings,
      ...settings,
      port,
    })
    const logger = createLogger({ logLevel: 'silent', logFormat: 'json' })
    this.gate = await startGate(config, { logger, disk: this.disk })
    this.url = this.gate.ingestAddress
  }

  /** As SIGTERM does; everything acknowledged stays. */
  async stop(): Promise<void> {
    await this.gate?.stop()
    this.gate = undefined
  }

  /** Stops it for good. */
  async remove(): Promise<void> {
    await this.stop()
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  /** Envelopes in the log, oldest first. */
  queue(): Promise<Envelope[]> {
    return this.read('log')
  }

  /** Rejected records as they are kept, oldest first. */
  rejects(): Promise<unknown[]> {
    return this.read('rejects')
  }

  private async read<T>(name: string): Promise<T[]> {
    const directory = join(this.dataDir, '0', name)
    const values: T[] = []
    for await (const { value } of readLog({ directory, from: 'start' })) {
      values.push(JSON.parse(Buffer.from(value).toString()) as T)
    }
    return values
  }
}

/** Asks every 50 ms until `holds` answers true; rejects with `what` after `limitMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 20_000,
): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
