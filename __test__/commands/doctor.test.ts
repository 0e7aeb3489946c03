import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { serverFindings } from '../../src/commands/doctor/server.js'
import { dataDirectoryFindings } from '../../src/commands/doctor/storage.js'
import { configWith } from '../../src/config.js'
import { startGate } from '../../src/gate.js'
import type { LogStatus } from '../../src/log/types.js'
import { createLogger } from '../../src/logger.js'
import type { Finding } from '../../src/commands/doctor/finding.js'
import type { ShippingStatus } from '../../src/ship/shipping.js'
import { type StatusParts, statusOf } from '../../src/status.js'
import { logStatus, statusParts } from '../support/status-parts.js'
import { dataDirectory, event, request } from './support/data-directory.js'
import { run } from './support/run.js'

let directory: string
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sluicegate-doctor-'))
  const requests = [event('A'), event('B'), '{}'].map((body) => request(body))
  await dataDirectory(requests, { into: directory })
})
afterEach(() => rmSync(directory, { recursive: true }))

const doctor = (...args: string[]) =>
  run('doctor', '--decoder', 'reference', '--data-dir', directory, ...args)

/** Lines of the report that are not fine. */
const faults = (out: string): string[] => out.split('\n').filter((line) => line.startsWith('  FAULT'))

/** Everything in a directory: names, sizes, times and contents. */
function snapshot(path: string): unknown {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted()
  return names.map((name) => {
    const { size, mtimeMs, isFile } = {
      ...statSync(join(path, name)),
      isFile: statSync(join(path, name)).isFile(),
    }
    return [name, size, mtimeMs, isFile ? readFileSync(join(path, name)).length : 0]
  })
}

describe('doctor', () => {
  it('says which decoder runs and why, what is configured, and what is on disk', async () => {
    await run('cursors', 'set', 'warehouse', '1', '--data-dir', directory)
    const { out, err, code } = await doctor()
    expect(out).toMatch(/^program\n {2}ok {4}sluicegate \d+\.\d+\.\d+ on Node \d+/)
    expect(out).toContain('decoder: reference. The reference decoder was asked for.')
    expect(out).toContain(`data-dir = ${directory}, from --data-dir`)
    expect(out).toMatch(/ok {4}lies on|note {2}lies on/)
    expect(out).toMatch(/ok {4}log: 2 records, 0 to 1; [\d.]+ \wiB in 1 segment\n/)
    expect(out).toMatch(/ok {4}rejects: 1 record, 0 to 0; /)
    expect(out).toContain('ok    cursor warehouse is at 1, 1 behind')
    expect(out).toContain('note  no server runs on it now')
    expect(out).toMatch(/\nNothing needs a hand\.\n$/)
    expect([err, code]).toEqual(['', 0])
  })

  it('only reads', async () => {
    const before = snapshot(directory)
    await doctor()
    expect(snapshot(directory)).toEqual(before)
  })

  it('before the first start there is nothing wrong', async () => {
    const { out, code } = await doctor('--data-dir', join(directory, 'a', 'b'))
    expect(code).toBe(0)
    expect(out).toContain(`note  is not there yet: the server makes it in ${directory}`)
  })

  it('as JSON', async () => {
    const { out } = await doctor('--json')
    const { ok, findings } = JSON.parse(out) as {
      ok: boolean
      findings: { section: string; grade: string }[]
    }
    expect(ok).toBe(true)
    expect([...new Set(findings.map(({ section }) => section))]).toEqual([
      'program',
      'configuration',
      `data directory ${directory}`,
      'writer 0',
    ])
  })

  it('judges the configuration that serve would get: what is wrong there is exit code 2', async () => {
    const { err, code } = await doctor('--port', 'x')
    expect(code).toBe(2)
    expect(err).toContain('--port must be')
  })

  it('tells of every writer', async () => {
    await dataDirectory([request(event('C'))], { into: directory, writer: 'west' })
    const { out } = await doctor()
    expect(out).toMatch(/writer 0\n(.*\n)+\nwriter west\n/)
  })
})

describe('doctor finds what needs a hand: exit code 1', () => {
  it('a cursor beyond the end of the log', async () => {
    await run('cursors', 'set', 'kafka', '2', '--data-dir', directory)
    const path = join(directory, '0', 'cursors', 'kafka.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"offset":2', '"offset":7'))
    const { out, code } = await doctor()
    expect(code).toBe(1)
    expect(faults(out)).toEqual(["  FAULT cursor kafka is at 7, beyond the log's end 2: was it restored?"])
    expect(out).toMatch(/\n1 of these need a hand\.\n$/)
  })

  it('a cursor file that is damaged, and goes on with the rest', async () => {
    await run('cursors', 'set', 'kafka', '2', '--data-dir', directory)
    writeFileSync(join(directory, '0', 'cursors', 'kafka.json'), 'x')
    const { out, code } = await doctor()
    expect(code).toBe(1)
    expect(faults(out).length).toBe(1)
    expect(faults(out)[0]).toContain('kafka')
    expect(out).toContain('log: 2 records')
  })

  it('damaged records in quarantine; torn tails are what crashes leave', async () => {
    const quarantine = join(directory, '0', 'quarantine')
    mkdirSync(quarantine, { recursive: true })
    writeFileSync(join(quarantine, '00000000000000000000.log.4096.torn'), 'xyz')
    writeFileSync(join(quarantine, '00000000000000000000.log.8192.torn.1'), 'xyz')
    const torn = await doctor()
    expect(torn.code).toBe(0)
    expect(torn.out).toContain('quarantine holds 2 files (6 bytes) cut off by crashes; never acknowledged')
    writeFileSync(join(quarantine, '00000000000000000000.log.64.damaged'), Buffer.alloc(2048))
    const damaged = await doctor()
    expect(damaged.code).toBe(1)
    expect(faults(damaged.out)[0]).toContain('holds 1 file (2 KiB) of damaged records')
  })

  it('a log that a newer version wrote, and leaves it alone', async () => {
    const log = join(directory, '0', 'log')
    const path = join(
      log,
      readdirSync(log).find((name) => name.endsWith('.log'))!,
    )
    const bytes = readFileSync(path)
    // Its header says so, and is whole: docs/LOG_FORMAT.md.
    bytes.writeUInt16LE(99, 12)
    bytes.writeUInt32LE(crc32(bytes.subarray(12, 64)), 8)
    writeFileSync(path, bytes)
    const { out, code } = await doctor()
    expect(code).toBe(1)
    expect(faults(out).join('\n')).toContain('newer version')
  })

  it('--decoder native where there is none', async () => {
    const { out, code } = await doctor('--decoder', 'native')
    const there = out.includes('decoder: native. The native decoder was asked for.')
    expect([code, faults(out).length]).toEqual(there ? [0, 0] : [1, 1])
  })

  it.skipIf(process.getuid?.() === 0)('a directory that cannot be written', async () => {
    chmodSync(directory, 0o500)
    const { out } = await doctor()
    chmodSync(directory, 0o700)
    expect(faults(out).join('\n')).toContain('is not writable for this user (EACCES)')
  })

  it.each([
    ['nfs4', 'fault'],
    ['cifs', 'fault'],
    ['fuse.sshfs', 'fault'],
    ['tmpfs', 'fault'],
    ['overlay', 'note'],
    ['ext4', 'ok'],
    ['xfs', 'ok'],
  ])('a data directory on %s: %s', (type, grade) => {
    const mounts = `/dev/sda1 / ext2 rw 0 0\nsomewhere ${directory} ${type} rw 0 0\nproc /proc proc rw 0 0\n`
    const found = dataDirectoryFindings(join(directory, '0'), mounts).find(({ text }) =>
      text.startsWith('lies on'),
    )
    expect(found).toMatchObject({ grade, text: expect.stringContaining(type) as string })
  })

  it('the mount that counts is the deepest, and the last of several over each other', () => {
    const spaced = join(directory, 'a b')
    mkdirSync(spaced)
    const at = `${directory}/a\\040b`
    const mounts = `x ${at} ext4 rw 0 0\nx ${at} nfs rw 0 0\nx ${directory} xfs rw 0 0\n/ / ext4 rw 0 0\nx ${directory}/a btrfs rw 0 0\n`
    const type = dataDirectoryFindings(spaced, mounts).find(({ text }) => text.startsWith('lies on'))
    expect(type?.text).toContain('lies on nfs')
  })
})

describe('what a server says of itself', () => {
  const sound = logStatus({
    failovers: 0,
    reopened: 0,
    damage: { tornBytes: 5, quarantinedBatches: 0, quarantinedBytes: 0 },
  })

  /** The lines about a status that is healthy but for `changes`. */
  async function said(changes: Partial<StatusParts>, panics = 0): Promise<readonly Finding[]> {
    const decoder = { name: 'native', panics } as StatusParts['decoder']['decoder']
    const parts = statusParts({ decoder: { decoder, reason: '' }, log: { status: () => sound }, ...changes })
    const server = createServer((_request, reply) => reply.end(JSON.stringify(statusOf(parts)))).listen(
      0,
      '127.0.0.1',
    )
    await new Promise((resolve) => server.once('listening', resolve))
    const findings = await serverFindings('s', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    server.close()
    return findings
  }
  const graded = async (changes: Partial<StatusParts>, panics = 0): Promise<string[]> =>
    (await said(changes, panics)).filter(({ grade }) => grade === 'fault').map(({ text }) => text)
  const withLog = (changes: Partial<LogStatus>) => ({ log: { status: () => ({ ...sound, ...changes }) } })

  it.each([
    ['nothing', {}, 0, []],
    [
      'a full log',
      withLog({ state: 'full', reason: 'no space' }),
      0,
      ['log: full: no space; 25 % of its limit taken'],
    ],
    ['a log that is nearly full', withLog({ bytes: 250_000 }), 0, ['log: writable, 97 % of its limit taken']],
    ['panics', {}, 3, ['the native decoder panicked 3 times: please report it']],
    [
      'failovers',
      withLog({ failovers: 2 }),
      0,
      ['2 segments were given up after failed writes: check the disk'],
    ],
    [
      'a directory that went',
      withLog({ reopened: 1 }),
      0,
      ['the data directory was removed or replaced under the server 1 time: find out by whom'],
    ],
    [
      'damage',
      withLog({ damage: { tornBytes: 0, quarantinedBatches: 4, quarantinedBytes: 9 } }),
      0,
      ['4 damaged batches were found at the start: check the disk'],
    ],
  ])('%s', async (_what, changes, panics, texts) => {
    expect(await graded(changes, panics)).toEqual(texts)
  })

  it('about publishing: state with its cause, and what may surprise', async () => {
    const cause = { code: 'unreachable', message: 'No connection.' }
    const well: ShippingStatus = {
      state: 'shipping',
      cause: undefined,
      exactlyOnce: true,
      cursor: 9,
      head: 9,
      pending: 0,
      lagRecords: 0,
      lagMs: 0,
      records: 9,
      batches: 1,
      failed: 0,
      refused: 0,
      possibleDuplicates: 0,
      memoryBytes: 0,
      topics: [],
      restarts: 0,
      waiting: 0,
      late: 0,
    }
    const lines = async (changes: Partial<ShippingStatus>): Promise<string[]> => {
      const findings = await said({ shipping: { status: () => ({ ...well, ...changes }) } })
      const own = findings.filter(({ text }) => text.startsWith('kafka: '))
      return own.map(({ grade, text }) => `${grade} ${text.slice(7)}`)
    }
    expect(await lines({})).toEqual(['ok shipping; nothing waits'])
    expect(await lines({ state: 'starting' })).toEqual(['ok starting; nothing waits'])
    expect(await lines({ state: 'waiting', cause, lagRecords: 7, lagMs: 2500 })).toEqual([
      'fault waiting: No connection. (unreachable); 7 records wait, the oldest for 2.5 s',
    ])
    const odd = { exactlyOnce: false, refused: 2, possibleDuplicates: 3, restarts: 4 }
    expect(await lines(odd)).toEqual([
      'ok shipping; nothing waits',
      expect.stringContaining('note published at least once only'),
      expect.stringContaining('note 2 records were refused for ever'),
      expect.stringContaining('note 3 records were sent marked possible_duplicate'),
      expect.stringContaining('note the thread that publishes ended by itself 4 times'),
    ])
  })

  it('or that it does not answer', async () => {
    const [finding] = await serverFindings('s', 'http://127.0.0.1:49151')
    expect(finding).toMatchObject({ grade: 'fault', text: 'http://127.0.0.1:49151/status does not answer' })
  })
})

describe('doctor beside a live server', () => {
  it('asks it for what only it knows', async () => {
    const config = configWith({ dataDir: directory, port: 0, opsPort: 0, decoder: 'reference', drainMs: 0 })
    const gate = await startGate(config, { logger: createLogger({ logLevel: 'silent', logFormat: 'json' }) })
    try {
      await fetch(`${gate.ingestAddress}/track`, { method: 'POST', body: event('D') })
      const { out, code } = await doctor()
      expect(code).toBe(0)
      expect(out).toContain(`process ${process.pid} owns it, ops listener ${gate.opsAddress}`)
      expect(out).toContain('1 received = 1 accepted + 0 rejected + 0 ignored; 0 answered 503')
      expect(out).toMatch(/ok {4}log: writable, \d+ % of its limit taken/)
    } finally {
      await gate.stop()
    }
  })
})
