/**
 * One record of the log, as bytes. The decoder writes it straight into the log's open batch and every reader takes it
 * apart again, so its layout is stated here once (and in native/core; tests compare the two):
 * header, key, value; little endian, no padding.
 *
 * Key, UTF-8: `<token>:<distinct_id>`, groups `<token>:<group_key>:<group_id>`, else `<token>:<insert_id>`.
 * Value, UTF-8: the envelope, one JSON object, up to the record's end.
 */
export const RECORD_HEADER_BYTES = 20

/** Where each field of the header begins. Byte 5 is 0. */
export const RecordAt = {
  /** u32: of the whole record, this header included. */
  length: 0,
  /** u8: index into KINDS. */
  kind: 4,
  /** u16: bits, see FLAGS. */
  flags: 6,
  /** i32: of the partition key, murmur2 as in Java's default partitioner (seed 0x9747b28c, unmasked). */
  keyHash: 8,
  /** u32: in bytes. The token is the start of the key; 0 when the record has none. */
  tokenLength: 12,
  /** u32: in bytes. */
  keyLength: 16,
} as const

export type RecordHeader = Readonly<Record<keyof typeof RecordAt, number>>

export function writeRecordHeader(bytes: Buffer, at: number, header: RecordHeader): void {
  bytes.writeUInt32LE(header.length, at + RecordAt.length)
  // With the zero behind it.
  bytes.writeUInt16LE(header.kind, at + RecordAt.kind)
  bytes.writeUInt16LE(header.flags, at + RecordAt.flags)
  bytes.writeInt32LE(header.keyHash, at + RecordAt.keyHash)
  bytes.writeUInt32LE(header.tokenLength, at + RecordAt.tokenLength)
  bytes.writeUInt32LE(header.keyLength, at + RecordAt.keyLength)
}

/** The four ingest endpoints; an endpoint's number is its index here and the kind of the records it makes. */
export const ENDPOINTS = ['track', 'engage', 'groups', 'import'] as const
export type Endpoint = (typeof ENDPOINTS)[number]
export const KINDS = [...ENDPOINTS, 'rejected'] as const
export type Kind = (typeof KINDS)[number]

/** A finished record for the log of rejects. @param token null: it has none */
export function recordOfRejected(token: string | null, envelope: string): Buffer {
  const key = Buffer.from(token ?? '')
  const value = Buffer.from(envelope)
  const length = RECORD_HEADER_BYTES + key.length + value.length
  const record = Buffer.alloc(length)
  const [kind, keyLength] = [KINDS.indexOf('rejected'), key.length]
  writeRecordHeader(record, 0, { length, kind, flags: 0, keyHash: 0, tokenLength: keyLength, keyLength })
  record.set(key, RECORD_HEADER_BYTES)
  record.set(value, RECORD_HEADER_BYTES + key.length)
  return record
}

/** Names in the order in which the envelope lists them; bit i of a record's flags is FLAGS[i]. */
export const FLAGS = [
  'late',
  'time_invalid',
  'time_future',
  'utf8_repaired',
  'surrogate_repaired',
  'nan_replaced',
  'test',
  'replayed',
] as const
export type Flag = (typeof FLAGS)[number]
