import { describe, expect, it } from 'vitest'
import { packageVersion } from '../../src/version.js'
import { run } from './support/run.js'

const COMMANDS = [
  '',
  'serve',
  'tail',
  'cursors',
  'cursors list',
  'cursors set',
  'cursors delete',
  'rejects',
  'rejects list',
  'rejects show',
  'rejects replay',
  'explain',
  'doctor',
  'topics',
  'topics create',
]

describe('--help', () => {
  it.each(COMMANDS)('of %j fits a screen: 40 lines, 100 columns', async (name) => {
    const { out, code } = await run(...name.split(' ').filter(Boolean), '--help')
    const lines = out.trimEnd().split('\n')
    expect(code).toBe(0)
    expect(out).toMatch(/^usage: sluicegate/)
    expect(lines.length).toBeLessThanOrEqual(40)
    expect(lines.filter((line) => line.length > 100)).toEqual([])
  })

  it('shows defaults and names of the environment', async () => {
    const { out } = await run('serve', '--help')
    expect(out).toMatch(/--port N .*\[8080\] \$PORT\n/)
    expect(out).toContain('SLUICEGATE_')
  })

  it('serve --help-all shows every setting with its environment name', async () => {
    const { out } = await run('serve', '--help-all')
    expect(out).toContain('SLUICEGATE_BODY_LIMIT_BYTES; in the file body_limit_bytes')
    expect(out).toContain('--keep-alive-timeout-ms')
  })
})

describe('wrong usage: exit code 2, and a suggestion', () => {
  it.each([
    [['--prot', '80'], '--port'],
    [['serve', '--data-dri', 'x'], '--data-dir'],
    [['tail', '--folow'], '--follow'],
    [['tial'], 'tail'],
    [['cursors', 'lst'], 'list'],
    [['rejects', 'reply'], 'replay'],
    [['rejects', 'replay', '--forse', 'x'], '--force'],
    [['rejects', 'list', '--code', 'event_mising'], 'event_missing'],
    [['rejects', 'replay', '--code', 'json_invalid,kafka_refsed'], 'kafka_refused'],
    [['doctor', '--jsn'], '--json'],
    [['topics', 'creat'], 'create'],
    [['topic'], 'topics'],
  ])('%j', async (args, suggestion) => {
    const { err, out, code } = await run(...args)
    expect(code).toBe(2)
    expect(out).toBe('')
    expect(err).toMatch(/^sluicegate: /)
    expect(err.toLowerCase()).toContain('did you mean')
    expect(err).toContain(suggestion)
  })

  it.each([
    [['tail', '--from', 'x'], 'start, end or an offset'],
    [['tail', '--limit', '-1'], 'whole number'],
    [['tail', '--kind', 'tracks'], 'track, engage'],
    [['cursors', 'set', 'a'], 'OFFSET'],
    [['cursors', 'set', 'a', '1.5'], 'whole number'],
    [['serve', '--port', '70000'], '--port'],
    [['rejects', 'list', '--code', 'nothing'], 'docs/ERRORS.md'],
    [['rejects', 'replay'], 'FILE or --code'],
    [['rejects', 'replay', 'f', '--code', 'event_missing'], 'FILE or --code'],
    [['rejects', 'replay', 'f', '--offset', '1', '--endpoint', 'track'], '--endpoint'],
    [['rejects', 'replay', 'f', '--token', 'x'], '--token'],
    [['rejects', 'replay', 'f', '--ops', 'here'], '--ops must be a URL'],
  ])('%j', async (args, said) => {
    const { err, code } = await run(...args)
    expect(code).toBe(2)
    expect(err).toContain(said)
    expect(err).not.toContain('    at ')
  })

  it('a group of commands named alone shows its help', async () => {
    const { err, out, code } = await run('cursors')
    expect(out + err).toContain('usage: sluicegate cursors list|set|delete')
    expect(code).toBe(2)
  })
})

it('--version', async () => {
  expect(await run('--version')).toEqual({ out: `${packageVersion()}\n`, err: '', code: 0 })
})
