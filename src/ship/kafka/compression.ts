/**
 * Codecs of record batches. Written: none, gzip, lz4 and, where this Node has it (22.15 and newer), zstd. Read: those
 * and snappy, because a topic's `compression.type` lets the broker compress again what we sent.
 *
 * All of it is synchronous: batches of a partition must leave in the order they came, and the shipper has a thread of
 * its own.
 */
import { constants, gunzipSync, gzipSync } from 'node:zlib'
import * as zlib from 'node:zlib'
import { SluicegateError } from '../../errors.js'
import { lz4Compress, lz4Decompress } from './lz4.js'
import { snappyDecompress } from './snappy.js'

export const COMPRESSIONS = ['none', 'gzip', 'lz4', 'zstd'] as const
export type Compression = (typeof COMPRESSIONS)[number]

export interface Codec {
  /** Bits 0-2 of a batch's attributes. */
  readonly id: number
  /** undefined: as it is. */
  readonly compress: ((bytes: Uint8Array) => Uint8Array) | undefined
}

/** Records of a batch of ours take a few MiB at most; more is an attack or damage. */
const INFLATED_BYTES_MAX = 256 * 1024 * 1024

const Id = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const

/** Not in the types of the oldest Node that we run on. */
interface Zstd {
  readonly zstdCompressSync?: (bytes: Uint8Array) => Uint8Array
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array
}
const zstd: Zstd = zlib as unknown as Zstd

export function canCompress(compression: Compression): boolean {
  return compression !== 'zstd' || zstd.zstdCompressSync !== undefined
}

/** Throws SluicegateError `compression_unavailable` for zstd on a Node that has none. */
export function compressorOf(compression: Compression): Codec {
  if (!canCompress(compression)) {
    throw new SluicegateError(
      'compression_unavailable',
      `Node ${process.versions.node} has no zstd: use Node 22.15 or newer, or --kafka-compression lz4.`,
    )
  }
  return { id: Id[compression], compress: compressorsOf()[compression] }
}

function compressorsOf(): Record<Compression, Codec['compress']> {
  return {
    none: undefined,
    // Level 1: two thirds of the gain at a fifth of the cost.
    gzip: (bytes) => gzipSync(bytes, { level: constants.Z_BEST_SPEED }),
    lz4: lz4Compress,
    zstd: zstd.zstdCompressSync,
  }
}

/** The codec is one that this process cannot read. */
export class UnreadableCodec extends Error {
  override readonly name = 'UnreadableCodec'
}

/** The records of a batch with these attributes. Throws UnreadableCodec, or RangeError or another for damaged ones. */
export function decompress(attributes: number, bytes: Uint8Array): Uint8Array {
  switch (attributes & 7) {
    case Id.none:
      return bytes
    case Id.gzip:
      return gunzipSync(bytes, { maxOutputLength: INFLATED_BYTES_MAX })
    case Id.snappy:
      return snappyDecompress(bytes, INFLATED_BYTES_MAX)
    case Id.lz4:
      return lz4Decompress(bytes, INFLATED_BYTES_MAX)
    case Id.zstd:
      if (zstd.zstdDecompressSync !== undefined) {
        return zstd.zstdDecompressSync(bytes, { maxOutputLength: INFLATED_BYTES_MAX })
      }
      throw new UnreadableCodec(
        `a batch is compressed with zstd, which Node ${process.versions.node} cannot read`,
      )
    default:
      throw new UnreadableCodec(`a batch is compressed with codec ${attributes & 7}, which is not known`)
  }
}
