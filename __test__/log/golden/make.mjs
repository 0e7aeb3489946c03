// Writes the golden directory of log format 1: `node __test__/log/golden/make.mjs [DIR/]`. It shares no code with src: every
// byte is put where docs/LOG_FORMAT.md says. Committed output is never written anew for a format that was released.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'

const directory = process.argv[2] ?? fileURLToPath(new URL('v1/0/', import.meta.url))
const WRITER_ID = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const MADE_MS = 1_795_500_000_000n
/** Section 2. */
const BLOCK_BYTES = 4096

/** Section 2. */
function segmentHeader({ firstOffset, epoch, previousEnd }) {
  const header = Buffer.alloc(64)
  header.write('f8534c5345474dff', 0, 'hex')
  header.writeUInt16LE(1, 12)
  header.writeUInt16LE(1, 14)
  header.writeBigUInt64LE(BigInt(firstOffset), 16)
  header.writeBigUInt64LE(MADE_MS, 24)
  header.writeUInt32LE(epoch, 32)
  header.writeBigUInt64LE(BigInt(previousEnd), 40)
  WRITER_ID.copy(header, 48)
  header.writeUInt32LE(crc32(header.subarray(12)), 8)
  return header
}

/** Section 3. */
function frame({ firstOffset, epoch, records }) {
  const body = Buffer.concat(records)
  const whole = Buffer.concat([Buffer.alloc(64), body])
  whole.write('f8534c4652414dff', 0, 'hex')
  whole.writeUInt16LE(1, 12)
  whole.writeUInt16LE(0, 14)
  whole.writeUInt32LE(body.length, 16)
  whole.writeUInt32LE(records.length, 20)
  whole.writeBigUInt64LE(BigInt(firstOffset), 24)
  whole.writeBigUInt64LE(MADE_MS + BigInt(firstOffset), 32)
  whole.writeBigUInt64LE(BigInt(epoch), 40)
  WRITER_ID.copy(whole, 48)
  whole.writeUInt32LE(crc32(whole.subarray(12)), 8)
  return whole
}

/** Section 4. */
function record({ kind, flags, keyHash, token, key, value }) {
  const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)]
  const header = Buffer.alloc(20)
  header.writeUInt32LE(20 + keyBytes.length + valueBytes.length, 0)
  header.writeUInt8(kind, 4)
  header.writeUInt16LE(flags, 6)
  header.writeInt32LE(keyHash, 8)
  header.writeUInt32LE(Buffer.byteLength(token), 12)
  header.writeUInt32LE(keyBytes.length, 16)
  return Buffer.concat([header, keyBytes, valueBytes])
}

const numbered = (id, { kind = 0, flags = 0, text = '' } = {}) =>
  record({
    kind,
    flags,
    keyHash: -id * 1_000_003,
    token: id === 4 ? '' : 'tök',
    key: id === 4 ? ':u4' : `tök:u${id}`,
    value: JSON.stringify({ id, text }),
  })

function put(name, ...parts) {
  writeFileSync(`${directory}${name}`, Buffer.concat(parts))
}

mkdirSync(`${directory}log`, { recursive: true })
put('writer.json', Buffer.from(`{"v":1,"writer_id":"${WRITER_ID.toString('hex')}"}\n`))

// Two frames, the second one at the beginning of a block, then one whose sync failed: its offset is the next segment's.
const [first, second, refused] = [
  frame({ firstOffset: 0, epoch: 1, records: [numbered(0), numbered(1, { kind: 1, flags: 0x81 })] }),
  frame({ firstOffset: 2, epoch: 2, records: [numbered(2, { kind: 2, text: 'Grüße, 日本' })] }),
  frame({ firstOffset: 3, epoch: 2, records: [numbered(666)] }),
]
put(
  'log/00000000000000000000.log',
  segmentHeader({ firstOffset: 0, epoch: 1, previousEnd: 0 }),
  first,
  Buffer.alloc(BLOCK_BYTES - 64 - first.length),
  second,
  refused,
  Buffer.alloc(100),
)

// Given up before its first record: the same offset with a higher epoch takes over.
put(
  'log/00000000000000000003.log',
  segmentHeader({ firstOffset: 3, epoch: 3, previousEnd: BLOCK_BYTES + second.length }),
)
put(
  'log/00000000000000000003-4.log',
  segmentHeader({ firstOffset: 3, epoch: 4, previousEnd: BLOCK_BYTES + second.length }),
  frame({
    firstOffset: 3,
    epoch: 4,
    records: [numbered(3, { kind: 3 }), numbered(4), numbered(5, { flags: 0x7e })],
  }),
)

// The newest: zeroes written ahead, and behind its first frame one that the end of the run cut off.
put(
  'log/00000000000000000006.log',
  segmentHeader({ firstOffset: 6, epoch: 5, previousEnd: 0 }),
  frame({ firstOffset: 6, epoch: 5, records: [numbered(6, { text: 'x'.repeat(300) })] }),
  frame({ firstOffset: 7, epoch: 5, records: [numbered(7)] }).subarray(0, 90),
  Buffer.alloc(200),
)
