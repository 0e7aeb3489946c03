import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dataDirectory, event, remove, request } from './support/data-directory.js'
import { run } from './support/run.js'

let directory: string
beforeAll(async () => {
  directory = await dataDirectory([
    request(event('A')),
    request(`[${event('B')},${event('C', 'other')}]`),
    request('{"$token":"t0k","$distinct_id":"d","$set":{"n":12345678901234567890}}', { endpoint: 'engage' }),
    request('{"properties":{"token":"t0k"}}'),
    request('{"event":"'),
  ])
})
afterAll(() => remove(directory))

const tail = (...args: string[]) => run('tail', '--data-dir', directory, ...args)

const eventsOf = (out: string): unknown[] =>
  out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { record?: { event?: string } }).record?.event ?? 'profile')

describe('tail', () => {
  it('prints every envelope, oldest first, and ends at the last durable record', async () => {
    const { out, err, code } = await tail()
    expect(eventsOf(out)).toEqual(['A', 'B', 'C', 'profile'])
    expect([err, code]).toEqual(['', 0])
  })

  it('changes nothing in them: numbers keep their digits (promise P5)', async () => {
    expect((await tail('--kind', 'engage')).out).toContain('"$set":{"n":12345678901234567890}')
  })

  it('from an offset, from the end', async () => {
    expect(eventsOf((await tail('--from', '2')).out)).toEqual(['C', 'profile'])
    expect((await tail('--from', 'end')).out).toBe('')
    expect((await tail('--from', '4')).out).toBe('')
  })

  it('only of some kinds', async () => {
    expect(eventsOf((await tail('--kind', 'track')).out)).toEqual(['A', 'B', 'C'])
    expect(eventsOf((await tail('--kind', 'engage', '--kind', 'import')).out)).toEqual(['profile'])
    expect(eventsOf((await tail('--kind', 'engage,track')).out)).toEqual(['A', 'B', 'C', 'profile'])
  })

  it('only of one project, by the whole token', async () => {
    expect(eventsOf((await tail('--token', 'other')).out)).toEqual(['C'])
    expect((await tail('--token', 'othe')).out).toBe('')
  })

  it('at most so many, counting what is printed', async () => {
    expect(eventsOf((await tail('--limit', '2')).out)).toEqual(['A', 'B'])
    expect(eventsOf((await tail('--limit', '1', '--token', 'other')).out)).toEqual(['C'])
    expect((await tail('--limit', '0')).out).toBe('')
  })

  it('with --meta each line begins with offset and partition key', async () => {
    const { out } = await tail('--meta', '--from', '2', '--limit', '1')
    expect(out).toMatch(/^\{"offset":2,"key":"other:d","v":1,"kind":"track",/)
    expect(JSON.parse(out)).toMatchObject({ offset: 2, key: 'other:d', token: 'other' })
  })

  it('rejected records come from their own log', async () => {
    const { out } = await tail('--kind', 'rejected', '--meta')
    const lines = out.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      {
        offset: 0,
        kind: 'rejected',
        problem: { code: 'event_missing' },
        raw: '{"properties":{"token":"t0k"}}',
      },
      { offset: 1, problem: { code: 'json_invalid' }, raw: '{"event":"' },
    ])
  })

  it('which stand alone', async () => {
    expect(await tail('--kind', 'rejected,track')).toMatchObject({ code: 2 })
    expect(await tail('--kind', 'rejected', '--cursor', 'c')).toMatchObject({ code: 2 })
  })
})

describe('tail --cursor', () => {
  const offsetOf = async (name: string): Promise<unknown> => {
    const { out } = await run('cursors', 'list', '--json', '--data-dir', directory)
    const rows = out.split('\n').filter(Boolean)
    return rows
      .map((row) => JSON.parse(row) as { name: string; offset: number })
      .find((row) => row.name === name)?.offset
  }

  it('goes on where it stopped', async () => {
    expect(eventsOf((await tail('--cursor', 'one', '--limit', '2')).out)).toEqual(['A', 'B'])
    expect(await offsetOf('one')).toBe(2)
    expect(eventsOf((await tail('--cursor', 'one')).out)).toEqual(['C', 'profile'])
    expect((await tail('--cursor', 'one')).out).toBe('')
    expect(await offsetOf('one')).toBe(4)
  })

  it('passes what it was not asked to print', async () => {
    expect((await tail('--cursor', 'none', '--token', 'nobody')).out).toBe('')
    expect(await offsetOf('none')).toBe(4)
  })

  it('begins where --from says when it is new, and there only', async () => {
    expect(eventsOf((await tail('--cursor', 'from', '--from', '3')).out)).toEqual(['profile'])
    expect((await tail('--cursor', 'from', '--from', 'start')).out).toBe('')
  })

  it('stands at the end from its first run on: what comes between two runs is not skipped', async () => {
    const later = await dataDirectory([request(event('old'))])
    const fromEnd = ['tail', '--data-dir', later, '--cursor', 'new', '--from', 'end']
    expect((await run(...fromEnd)).out).toBe('')
    await dataDirectory([request(event('between'))], { into: later })
    expect(eventsOf((await run(...fromEnd)).out)).toEqual(['between'])
    remove(later)
  })

  it('that is ahead of the log is an error: nothing would ever come', async () => {
    await run('cursors', 'set', 'ahead', '4', '--data-dir', directory)
    const path = join(directory, '0', 'cursors', 'ahead.json')
    expect(await tail('--cursor', 'ahead')).toMatchObject({ code: 0, err: '' })
    writeFileSync(path, readFileSync(path, 'utf8').replace('"offset":4', '"offset":9'))
    const { code, err } = await tail('--cursor', 'ahead')
    expect(code).toBe(1)
    expect(err).toContain('cursor ahead is at 9, but the log ends at 4: it was wiped or restored')
    await run('cursors', 'delete', 'ahead', '--data-dir', directory)
  })

  it('does not move when nothing was printed of what it has to print', async () => {
    await tail('--cursor', 'zero', '--limit', '0')
    expect(await offsetOf('zero')).toBeUndefined()
  })
})

describe('what is missing or damaged is told on stderr, and the rest is printed (promise P9)', () => {
  it('records that retention has removed', async () => {
    const many = await dataDirectory(
      Array.from({ length: 30 }, (_, n) => request(event(`E${n}`.padEnd(100_000, '.')))),
      { segmentBytes: 2 ** 20 },
    )
    const log = join(many, '0', 'log')
    const segments = readdirSync(log)
      .filter((name) => name.endsWith('.log'))
      .toSorted()
    const kept = Number(segments[1]!.replace(/\D.*/, ''))
    rmSync(join(log, segments[0]!))
    const { out, err, code } = await run('tail', '--from', '1', '--data-dir', many)
    expect(err).toBe(
      `sluicegate: ${kept - 1} records (offsets 1 to ${kept - 1}) are not in the log any more\n`,
    )
    expect([out.split('\n').length - 1, code]).toEqual([30 - kept, 0])
    remove(many)
  })

  it('damage in the middle', async () => {
    const many = await dataDirectory(['A', 'B', 'C'].map((name) => request(event(name))))
    const log = join(many, '0', 'log')
    const path = join(
      log,
      readdirSync(log).find((name) => name.endsWith('.log'))!,
    )
    const bytes = readFileSync(path)
    bytes[bytes.indexOf('"event":"B"')] = 0x58
    writeFileSync(path, bytes)
    const { out, err, code } = await run('tail', '--data-dir', many)
    expect(eventsOf(out)).toEqual(['A', 'C'])
    expect(err).toMatch(/sluicegate: damage in \S+\.log at \d+: \d+ bytes are skipped\n/)
    expect(code).toBe(0)
    remove(many)
  })
})

describe('a directory that is not there', () => {
  it('is named, with the writers that are there instead', async () => {
    const missing = await run('tail', '--data-dir', join(directory, 'nowhere'))
    expect(missing).toMatchObject({ code: 2, out: '' })
    expect(missing.err).toContain('nowhere: there is no such data directory')
    const other = await tail('--writer', 'west')
    expect(other).toMatchObject({ code: 2 })
    expect(other.err).toContain('there is no writer west, only the writer 0; name one with --writer')
    const empty = await run('tail', '--data-dir', join(directory, '0', 'quarantine'))
    expect(empty.err).toContain('no server has written here yet')
    writeFileSync(join(directory, 'file'), '')
    expect((await run('tail', '--data-dir', join(directory, 'file'))).code).toBe(2)
  })
})
