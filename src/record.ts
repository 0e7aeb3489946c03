/**
 * One record of the log, as bytes. The decoder writes it straight into the log's open batch and every reader takes it
 * apart again, so its layout is stated here once (and in native/core/src/record.rs; a test compares the two).
 *
 *   0  u32  length of the whole record, this header included
 *   4  u8   kind (index into KINDS)
 *   5  u8   0
 *   6  u16  flags (bits, see FLAGS)
 *   8  i32  partition key hash: murmur2 as in Java's default partitioner (seed 0x9747b28c, unmasked)
 *  12  u32  token length in bytes: the token is the start of the key; 0 when the record has none
 *  16  u32  key length in bytes
 *  20  key  UTF-8: `<token>:<distinct_id>`, groups `<token>:<group_key>:<group_id>`, else `<token>:<insert_id>`
 *   …  value, UTF-8: the envelope, one JSON object
 *
 * Little endian, no padding.
 */
export const RECORD_HEADER_BYTES = 20

export const KINDS = ['track', 'engage', 'groups', 'import', 'rejected'] as const
export type Kind = (typeof KINDS)[number]
/** The four ingest endpoints; an endpoint's number is its index here and the kind of the records it makes. */
export type Endpoint = Exclude<Kind, 'rejected'>

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
