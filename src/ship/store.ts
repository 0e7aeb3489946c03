/** What the shipper keeps in `DIR/<writer>/ship/`: its state, and the route tables that the state names. */
import { basename, join } from 'node:path'
import { unlessMissing } from '../log/disk-errors.js'
import { replaceFile } from '../log/replace-file.js'
import type { Disk } from '../log/types.js'
import { canonical, fromCanonical, type RouteTable, tableId } from './route.js'
import { StateFile, type LoadedState } from './state-file.js'
import type { ShipState } from './state.js'

export class ShipStore {
  private readonly directory: string
  private readonly file: StateFile

  private constructor(
    writerDirectory: string,
    private readonly disk: Disk,
  ) {
    this.directory = join(writerDirectory, 'ship')
    this.file = new StateFile(this.directory, disk)
  }

  static async open(writerDirectory: string, disk: Disk): Promise<ShipStore> {
    const store = new ShipStore(writerDirectory, disk)
    await disk.mkdir(store.directory)
    await disk.syncDirectory(writerDirectory)
    // Whoever was killed here may have renamed a file without it: what we write to that would go with its name.
    await disk.syncDirectory(store.directory)
    return store
  }

  /** @throws SluicegateError `ship_state_newer` */
  load(): Promise<LoadedState> {
    return this.file.load()
  }

  /** Resolves when it is on stable storage. */
  save(state: ShipState): Promise<void> {
    return this.file.save(state)
  }

  /** undefined when it is not there. */
  async table(id: string): Promise<RouteTable | undefined> {
    const file = await unlessMissing(this.disk.open(this.tablePath(id), 'r'))
    if (file === undefined) return undefined
    try {
      const bytes = Buffer.alloc(await file.size())
      for (let filled = 0, read = 1; read > 0 && filled < bytes.length; filled += read) {
        read = await file.read(bytes.subarray(filled), filled)
      }
      const table = fromCanonical(bytes.toString())
      return tableId(table) === id ? table : undefined
    } catch {
      return undefined
    } finally {
      await file.close()
    }
  }

  /** Whether any table but this one may ever have been in force. */
  async hasOtherTables(id: string): Promise<boolean> {
    const names = await this.disk.readdir(this.directory)
    const own = basename(this.tablePath(id))
    return names.some((name) => name.startsWith('routes-') && name.endsWith('.json') && name !== own)
  }

  /** Before a state names it. */
  async keepTable(table: RouteTable): Promise<string> {
    const id = tableId(table)
    if ((await this.table(id)) !== undefined) return id
    const temporary = `${this.tablePath(id)}.tmp`
    await unlessMissing(this.disk.unlink(temporary))
    await replaceFile(this.disk, this.tablePath(id), temporary, canonical(table))
    return id
  }

  close(): Promise<void> {
    return this.file.close()
  }

  private tablePath(id: string): string {
    return join(this.directory, `routes-${id}.json`)
  }
}
