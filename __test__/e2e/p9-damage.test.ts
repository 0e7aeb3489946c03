/** P9: what a crash or a bad disk did to the log is found at the next start, told, and read past, without a hand. */
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exchange } from '../support/http.js'
import { event, postJson } from './support/events.js'
import { cli, type ServerProcess, startQuick, startServer, workspace } from './support/server.js'
import { tail } from './support/tail.js'

const FRAME_HEADER_BYTES = 64

/** One request after the other, so that each is a frame of its own; then kill -9. */
async function logOf(dataDir: string, frames: number): Promise<string> {
  const server = await startServer({ dataDir })
  for (let n = 0; n < frames; n++) await send(server, n)
  await server.kill()
  return segmentOf(dataDir)
}

async function send(server: ServerProcess, n: number): Promise<void> {
  const { status } = await exchange(
    server.ingest,
    postJson('/track', event('e', { n, pad: 'p'.repeat(500) })),
  )
  expect(status).toBe(200)
}

function segmentOf(dataDir: string): string {
  const directory = join(dataDir, '0/log')
  const name = readdirSync(directory)
    .filter((file) => file.endsWith('.log'))
    .toSorted()
    .at(-1)!
  return join(directory, name)
}

/** Where each frame starts, and where the last one ends (docs/LOG_FORMAT.md 3). */
function framesOf(path: string): number[] {
  const bytes = readFileSync(path)
  const starts = [64]
  for (let at = 64; bytes[at] === 0xf8;) {
    at += FRAME_HEADER_BYTES + bytes.readUInt32LE(at + 16)
    starts.push(at)
  }
  return starts
}

const numbers = async (dataDir: string): Promise<unknown[]> =>
  (await tail(dataDir)).map(({ record }) => record.properties!['n'])

const torn: readonly [string, (path: string, frames: readonly number[]) => void][] = [
  ['cut off in its middle', (path, frames) => truncateSync(path, frames.at(-1)! - 100)],
  ['cut off in its header', (path, frames) => truncateSync(path, frames.at(-2)! + 30)],
  ['partly zeroes', (path, frames) => overwrite(path, frames.at(-1)! - 200, Buffer.alloc(200))],
  ['with one bit turned', (path, frames) => turnBit(path, frames.at(-1)! - 5)],
]

function overwrite(path: string, at: number, bytes: Buffer): void {
  const whole = readFileSync(path)
  whole.set(bytes, at)
  writeFileSync(path, whole)
}

function turnBit(path: string, at: number): void {
  const whole = readFileSync(path)
  whole[at]! ^= 4
  writeFileSync(path, whole)
}

describe('P9: a torn end', () => {
  it.each(torn)(
    'of which the last batch is %s: cut, kept aside, reported; the log goes on',
    async (_, tear) => {
      const dataDir = workspace()
      const path = await logOf(dataDir, 5)
      const frames = framesOf(path)
      expect(frames).toHaveLength(6)
      tear(path, frames)
      // A reader before the next start sees what is whole.
      expect(await numbers(dataDir)).toEqual([0, 1, 2, 3])
      const server = await startQuick({ dataDir })
      const { log } = await server.status()
      expect(log.damage.torn_bytes).toBeGreaterThan(0)
      expect(log.damage).toMatchObject({ quarantined_batches: 0, quarantined_bytes: 0 })
      expect(log).toMatchObject({ state: 'writable', next_offset: 4 })
      const aside = readdirSync(join(dataDir, '0/quarantine'))
      expect(aside).toHaveLength(1)
      expect(statSync(join(dataDir, '0/quarantine', aside[0]!)).size).toBe(log.damage.torn_bytes)
      expect(server.process.stderr).toContain(`${log.damage.torn_bytes} bytes, never acknowledged`)
      await send(server, 5)
      expect(await numbers(dataDir)).toEqual([0, 1, 2, 3, 5])
      expect((await server.metrics()).get('sluicegate_log_torn_bytes_total{log="events"}')).toBe(
        log.damage.torn_bytes,
      )
      // Cut is cut: the start after that finds nothing.
      await server.stop()
      const again = await startServer({ dataDir })
      expect((await again.status()).log.damage.torn_bytes).toBe(0)
    },
  )

  it('an end full of noise costs nothing that was whole', async () => {
    const dataDir = workspace()
    const path = await logOf(dataDir, 3)
    const noise = Buffer.from(Array.from({ length: 5000 }, (_, at) => 1 + ((at * 7919) % 255)))
    overwrite(path, framesOf(path).at(-1)!, noise)
    const server = await startServer({ dataDir })
    expect((await server.status()).log.damage.torn_bytes).toBe(5000)
    await send(server, 3)
    // Cut is cut: the start after that finds nothing.
    await server.kill()
    const again = await startServer({ dataDir })
    expect((await again.status()).log.damage.torn_bytes).toBe(0)
    expect(await numbers(dataDir)).toEqual([0, 1, 2, 3])
  })
})

describe('P9: damage in the middle', () => {
  it('is counted and reported, reading goes on behind it, and doctor wants a hand', async () => {
    const dataDir = workspace()
    const path = await logOf(dataDir, 6)
    const frames = framesOf(path)
    turnBit(path, frames[2]! + FRAME_HEADER_BYTES + 40)
    turnBit(path, frames[4]! + 2)
    const server = await startServer({ dataDir })
    const { log } = await server.status()
    const damaged = frames[3]! - frames[2]! + frames[5]! - frames[4]!
    expect(log.damage).toEqual({ torn_bytes: 0, quarantined_batches: 2, quarantined_bytes: damaged })
    expect(log).toMatchObject({ state: 'writable', next_offset: 6 })
    expect(server.process.stderr).toContain('records of 2 batches or more are lost')
    await send(server, 6)
    const { code, stdout, stderr } = await cli(['tail', '--data-dir', dataDir, '--meta'])
    expect(code).toBe(0)
    const offsets = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { offset: number }).offset)
    expect(offsets).toEqual([0, 1, 3, 5, 6])
    expect(stderr).toContain('1 records (offsets 2 to 2) are not in the log any more')
    const doctor = await cli(['doctor', '--data-dir', dataDir])
    expect(doctor.code, doctor.stdout).toBe(1)
    expect(doctor.stdout).toMatch(/2 damaged batches/)
  })

  it('a first frame and a segment header that are gone cost no more than themselves', async () => {
    const dataDir = workspace()
    const path = await logOf(dataDir, 4)
    overwrite(path, 0, Buffer.alloc(64, 0xaa))
    turnBit(path, framesOf(path)[0]! + 70)
    const server = await startServer({ dataDir })
    const { log } = await server.status()
    expect(log.damage.quarantined_batches).toBeGreaterThan(0)
    expect(log).toMatchObject({ state: 'writable', next_offset: 4 })
    await send(server, 4)
    expect(await numbers(dataDir)).toEqual([1, 2, 3, 4])
  })

  it('a cursor and a writer.json that are damaged do not keep it from starting', async () => {
    const dataDir = workspace()
    await logOf(dataDir, 2)
    expect((await cli(['cursors', 'set', 'c', '1', '--data-dir', dataDir])).code).toBe(0)
    writeFileSync(join(dataDir, '0/cursors/c.json'), '{"v":1,"off')
    writeFileSync(join(dataDir, '0/writer.json'), '')
    const server = await startServer({ dataDir })
    await send(server, 2)
    expect(await numbers(dataDir)).toEqual([0, 1, 2])
  })
})
