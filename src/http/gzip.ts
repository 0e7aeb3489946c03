/**
 * gzip's frame around deflate (RFC 1952), read member by member. node:zlib's own gunzip takes bytes behind the last member
 * for an error; they are to be ignored (docs/PROTOCOL.md 2, step 1).
 */
import { crc32 } from 'node:zlib'

const ID1 = 0x1f
const ID2 = 0x8b
const DEFLATE = 8
const FHCRC = 2
const FEXTRA = 4
const FNAME = 8
const FCOMMENT = 16
const RESERVED = 0xe0
const HEADER_BYTES = 10
export const TRAILER_BYTES = 8

/** Does another member begin here? */
export function isMember(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === ID1 && bytes[at + 1] === ID2
}

/** Where the deflated data of the member at `at` begins; undefined when its header is cut off or not gzip's. */
export function deflateStart(bytes: Buffer, at: number): number | undefined {
  const flags = bytes[at + 3]
  if (!isMember(bytes, at) || bytes[at + 2] !== DEFLATE || flags === undefined) return undefined
  if ((flags & RESERVED) !== 0) return undefined
  let position = at + HEADER_BYTES
  if ((flags & FEXTRA) !== 0) {
    if (position + 2 > bytes.length) return undefined
    position += 2 + bytes.readUInt16LE(position)
  }
  for (const flag of [FNAME, FCOMMENT]) {
    if ((flags & flag) === 0) continue
    const end = bytes.indexOf(0, position)
    if (end < 0) return undefined
    position = end + 1
  }
  if ((flags & FHCRC) !== 0) position += 2
  return position < bytes.length ? position : undefined
}

/** Does the trailer at `at` fit the data? Its length counts modulo 2^32, which no limit here reaches. */
export function trailerFits(bytes: Buffer, at: number, data: Uint8Array): boolean {
  if (at + TRAILER_BYTES > bytes.length) return false
  return bytes.readUInt32LE(at) === crc32(data) && bytes.readUInt32LE(at + 4) === data.length
}
