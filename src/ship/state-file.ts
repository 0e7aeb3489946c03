/**
 * The shipping state on disk: one small file with two slots that are written in turn, each with its checksum. A crash in
 * the middle of a write tears the older slot at most, so that one sync a round is enough.
 *
 *   0  magic    8 bytes
 *   8  u32      CRC-32 of everything from 12 to the end of the text
 *  12  u32      length of the text in bytes
 *  16  u64      generation: the higher one of two valid slots counts
 *  24  text     JSON (state.ts)
 *
 * Little endian. The second slot begins in the middle of the file; a state that outgrows its slot gets a larger file,
 * which replaces the old one in one step.
 */
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { unlessMissing } from '../log/disk-errors.js'
import type { Disk, DiskFile } from '../log/types.js'
import { decodeState, encodeState, type ShipState } from './state.js'

const FILE = 'state'
const MAGIC = Uint8Array.of(0xf8, 0x53, 0x4c, 0x53, 0x48, 0x49, 0x50, 0xff) // .SLSHIP.
const HEADER_BYTES = 24
const COVERED_AT = 12
const SLOT_BYTES_MIN = 16 * 1024
/** No file of ours is larger: a length beyond is damage. */
const FILE_BYTES_MAX = 256 * 2 ** 20

export interface LoadedState {
  readonly state: ShipState | undefined
  /** A slot that was once written cannot be read: the state may be older than what was sent. */
  readonly doubtful: boolean
}

interface Slot {
  readonly generation: number
  readonly text: string
}

export class StateFile {
  private file: DiskFile | undefined
  private slotBytes = 0
  private generation = 0

  /** @param directory is there already, durably */
  constructor(
    private readonly directory: string,
    private readonly disk: Disk,
  ) {}

  /** @throws SluicegateError `ship_state_newer` */
  async load(): Promise<LoadedState> {
    const file = await unlessMissing(this.disk.open(join(this.directory, FILE), 'r+'))
    if (file === undefined) return { state: undefined, doubtful: false }
    this.file = file
    const bytes = Buffer.alloc(Math.min(await file.size(), FILE_BYTES_MAX))
    await readWhole(file, bytes)
    this.slotBytes = Math.floor(bytes.length / 2)
    const slots = [0, this.slotBytes].map((at) => slotAt(bytes.subarray(at, at + this.slotBytes)))
    const valid = slots.filter((slot): slot is Slot => typeof slot === 'object')
    const newest = valid.toSorted((a, b) => b.generation - a.generation)[0]
    const doubtful = newest === undefined || slots.includes('damaged')
    if (newest === undefined) {
      // Both go with the file: one that could be read again later would count as newer than what is saved from now on.
      this.slotBytes = 0
      return { state: undefined, doubtful }
    }
    // The slot to be written next is the other one: older, or damaged.
    this.generation = newest.generation
    return { state: decodeState(newest.text), doubtful }
  }

  /** Resolves when the state is on stable storage. */
  async save(state: ShipState): Promise<void> {
    const slot = slotOf(encodeState(state), this.generation + 1)
    if (this.file === undefined || slot.length > this.slotBytes) return this.replace(slot)
    try {
      await this.file.writeDurably(slot, slotIndex(this.generation + 1) * this.slotBytes)
    } catch (error) {
      // A sync that failed says nothing of the next one on this file: that goes to a new one.
      this.slotBytes = 0
      throw error
    }
    this.generation++
  }

  async close(): Promise<void> {
    await this.file?.close()
    this.file = undefined
  }

  /** A file with room to grow, made of its full size at once: later syncs have no length to write. */
  private async replace(slot: Uint8Array): Promise<void> {
    const path = join(this.directory, FILE)
    const temporary = `${path}.tmp`
    const slotBytes = Math.max(SLOT_BYTES_MIN, 2 ** Math.ceil(Math.log2(slot.length * 2)))
    await unlessMissing(this.disk.unlink(temporary))
    const file = await this.disk.open(temporary, 'wx+')
    const bytes = new Uint8Array(2 * slotBytes)
    bytes.set(slot, slotIndex(this.generation + 1) * slotBytes)
    try {
      await file.write(bytes, 0)
      await file.sync()
      await this.disk.rename(temporary, path)
      await this.disk.syncDirectory(dirname(path))
    } catch (error) {
      await file.close()
      throw error
    }
    await this.file?.close()
    Object.assign(this, { file, slotBytes, generation: this.generation + 1 })
  }
}

const slotIndex = (generation: number): number => generation % 2

function slotOf(text: string, generation: number): Buffer {
  const length = Buffer.byteLength(text)
  const slot = Buffer.alloc(HEADER_BYTES + length)
  slot.set(MAGIC)
  slot.writeUInt32LE(length, 12)
  slot.writeBigUInt64LE(BigInt(generation), 16)
  slot.write(text, HEADER_BYTES)
  slot.writeUInt32LE(crc32(slot.subarray(COVERED_AT)), 8)
  return slot
}

/** `empty`: nothing was ever written here. */
function slotAt(bytes: Buffer): Slot | 'empty' | 'damaged' {
  if (bytes.length < HEADER_BYTES || bytes.subarray(0, HEADER_BYTES).every((byte) => byte === 0)) {
    return bytes.every((byte) => byte === 0) ? 'empty' : 'damaged'
  }
  const end = HEADER_BYTES + bytes.readUInt32LE(12)
  if (!MAGIC.every((byte, index) => bytes[index] === byte) || end > bytes.length) return 'damaged'
  if (bytes.readUInt32LE(8) !== crc32(bytes.subarray(COVERED_AT, end))) return 'damaged'
  return { generation: Number(bytes.readBigUInt64LE(16)), text: bytes.toString('utf8', HEADER_BYTES, end) }
}

async function readWhole(file: DiskFile, bytes: Buffer): Promise<void> {
  for (let filled = 0; filled < bytes.length;) {
    const read = await file.read(bytes.subarray(filled), filled)
    if (read === 0) return
    filled += read
  }
}
