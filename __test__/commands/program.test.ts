/** The command line in processes of its own: signals, exit codes, pipes. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dataDirectory, event, request } from './support/data-directory.js'
import { compileProgram, type Program, type Running } from './support/program.js'

let program: Program
let scratch: string
beforeAll(() => {
  program = compileProgram()
  scratch = mkdtempSync(join(tmpdir(), 'sluicegate-program-'))
})
afterAll(() => {
  program.remove()
  rmSync(scratch, { recursive: true })
})

const READY = /^sluicegate is ready: events on (http:\S+), operations on (http:\S+)\n/

function serve(dataDir: string, ...more: string[]): Running {
  const flags = ['--port', '0', '--ops-port', '0', '--decoder', 'reference', '--data-dir', dataDir]
  return program.start(...flags, '--drain-ms', '0', ...more)
}

const newDirectory = (): string => mkdtempSync(join(scratch, 'data-'))

describe('serve', () => {
  it('says where it is in one line and in the ready file, and ends with 0 on SIGTERM', async () => {
    const readyFile = join(scratch, 'ready.json')
    const server = serve(newDirectory(), '--ready-file', readyFile)
    const [, ingest, ops] = await server.printed(READY)
    expect(JSON.parse(readFileSync(readyFile, 'utf8'))).toMatchObject({
      ingest,
      ops,
      pid: server.process.pid,
    })
    expect((await fetch(`${ops}/ready`)).status).toBe(200)
    const answer = await fetch(`${ingest}/track`, { method: 'POST', body: event('A') })
    expect(await answer.text()).toBe('1')
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    expect(existsSync(readyFile)).toBe(false)
    expect(server.out).toMatch(new RegExp(`${READY.source}$`))
  })

  it('is also what runs as "serve", and ends on SIGINT', async () => {
    const flags = ['--port', '0', '--ops-port', '0', '--decoder', 'reference', '--drain-ms', '0']
    const server = program.start('serve', ...flags, '--data-dir', newDirectory())
    await server.printed(READY)
    server.process.kill('SIGINT')
    expect(await server.ended).toBe(0)
  })

  it('a second signal ends it at once', async () => {
    const server = serve(newDirectory(), '--drain-ms', '60000')
    await server.printed(READY)
    server.process.kill('SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, 200))
    const startedMs = Date.now()
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(128 + 15)
    expect(Date.now() - startedMs).toBeLessThan(5000)
  })

  it('a port that is taken is told in a line: exit code 1', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as AddressInfo
    const server = serve(newDirectory(), '--port', String(port))
    expect(await server.ended).toBe(1)
    other.close()
    expect(server.err).toMatch(/sluicegate: listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+\n$/)
    expect(server.out).toBe('')
  })

  it('a ready file that cannot be written: exit code 1, and nothing is served', async () => {
    const server = serve(newDirectory(), '--ready-file', join(scratch, 'nowhere', 'ready.json'))
    expect(await server.ended).toBe(1)
    expect(server.err).toMatch(/sluicegate: ENOENT: .*ready\.json/)
  })

  it('a directory that another server owns: exit code 1, and who it is', async () => {
    const directory = newDirectory()
    const owner = serve(directory)
    await owner.printed(READY)
    const second = serve(directory)
    expect(await second.ended).toBe(1)
    expect(second.err).toContain(String(owner.process.pid))
    owner.process.kill('SIGTERM')
    await owner.ended
  })

  it('wrong configuration: exit code 2, nothing started', async () => {
    const server = serve(newDirectory(), '--log-max-bytes', 'much')
    expect(await server.ended).toBe(2)
    expect([server.out, server.err]).toEqual(['', expect.stringContaining('--log-max-bytes must be')])
  })
})

describe('rejects', () => {
  it('what a program mends comes back through a pipe (promise P10)', async () => {
    const directory = newDirectory()
    const server = serve(directory)
    const [, ingest] = await server.printed(READY)
    const bad = '{"properties":{"token":"t0k"}}'
    expect(await (await fetch(`${ingest}/track`, { method: 'POST', body: bad })).text()).toBe('0')
    const list = program.start('rejects', 'list', '--json', '--data-dir', directory)
    expect([await list.ended, list.err]).toEqual([0, ''])
    const line = JSON.parse(list.out) as object
    const replay = program.start('rejects', 'replay', '-', '--data-dir', directory)
    replay.process.stdin!.end(JSON.stringify({ ...line, raw: event('Mended') }))
    expect([await replay.ended, replay.out, replay.err]).toEqual([0, '0\taccepted\n', '1 accepted\n'])
    const tail = program.start('tail', '--data-dir', directory)
    await tail.ended
    expect(JSON.parse(tail.out)).toMatchObject({ flags: ['replayed'], record: { event: 'Mended' } })
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(0)
  })
})

describe('tail', () => {
  let filled: string
  beforeAll(async () => {
    const many = Array.from({ length: 1000 }, (_, n) => event(`E${n}`)).join(',')
    filled = await dataDirectory(
      Array.from({ length: 20 }, () => request(`[${many}]`)),
      { into: newDirectory() },
    )
  })

  const start = (...args: string[]): Running => program.start('tail', '--data-dir', filled, ...args)

  it('ends with 0 when its reader goes away, and quietly', async () => {
    const tail = start()
    await new Promise((resolve) => tail.process.stdout!.once('data', resolve))
    tail.process.stdout!.destroy()
    expect([await tail.ended, tail.err]).toEqual([0, ''])
  })

  it.skipIf(process.platform === 'win32')(
    'a file that takes only a part of the last piece: exit code 1, and no cursor behind what is missing',
    async () => {
      const part = join(newDirectory(), 'part.ndjson')
      // 800 blocks of 512 bytes. What does not fit any more is written in part, and the system calls that no error.
      const limited = ['sh', '-c', `trap '' XFSZ; ulimit -f 800; exec "$@" > "${part}"`, 'sh'] as const
      const flags = ['--data-dir', filled, '--cursor', 'file', '--limit', '1000']
      const tail = program.startWithin([...limited], 'tail', ...flags)
      expect([await tail.ended, tail.err]).toEqual([1, expect.stringContaining('EFBIG')])
      expect(readFileSync(part).length).toBe(800 * 512)
      expect(existsSync(join(filled, '0', 'cursors', 'file.json'))).toBe(false)
    },
  )

  it('a cursor moves only behind what its reader has taken', async () => {
    const tail = start('--cursor', 'gone')
    tail.process.stdout!.destroy()
    expect(await tail.ended).toBe(0)
    const list = program.start('cursors', 'list', '--json', '--data-dir', filled)
    await list.ended
    expect(list.out).toBe('')
  })

  it('prints everything into a pipe, without progress', async () => {
    const tail = start()
    expect([await tail.ended, tail.err]).toEqual([0, ''])
    expect(tail.out.split('\n').length).toBe(20_001)
  })
})

describe('tail --follow beside a live server', () => {
  it('prints what comes, ends with 0 on SIGINT, and its cursor is where it stopped', async () => {
    const directory = newDirectory()
    const server = serve(directory)
    const [, ingest] = await server.printed(READY)
    const send = (name: string) => fetch(`${ingest}/track`, { method: 'POST', body: event(name) })
    await send('first')
    const tail = program.start('tail', '--follow', '--cursor', 'follower', '--data-dir', directory)
    await tail.printed(/"event":"first"/)
    await send('second')
    await tail.printed(/"event":"second"/)
    tail.process.kill('SIGINT')
    expect([await tail.ended, tail.err]).toEqual([0, ''])
    await send('third')
    const rest = program.start('tail', '--cursor', 'follower', '--data-dir', directory)
    expect(await rest.ended).toBe(0)
    expect(rest.out).toMatch(/^[^\n]*"event":"third"[^\n]*\n$/)
    const beyond = program.start('cursors', 'set', 'follower', '4', '--data-dir', directory)
    expect(await beyond.ended).toBe(2)
    expect(beyond.err).toContain('beyond the end of the log, which is 3')
    server.process.kill('SIGTERM')
    expect(await server.ended).toBe(0)
  })

  it('ends with 0 when its reader goes away while nothing happens', async () => {
    const directory = newDirectory()
    const server = serve(directory)
    const [, ingest] = await server.printed(READY)
    await fetch(`${ingest}/track`, { method: 'POST', body: event('first') })
    const tail = program.start('tail', '--follow', '--data-dir', directory)
    await tail.printed(/first/)
    tail.process.stdout!.destroy()
    await fetch(`${ingest}/track`, { method: 'POST', body: event('second') })
    expect([await tail.ended, tail.err]).toEqual([0, ''])
    server.process.kill('SIGTERM')
    await server.ended
  })
})
