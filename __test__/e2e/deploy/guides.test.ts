/** docs/guides: every command in a block marked `sh` is run, and so are the programs for SDKs that cost little. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesOf, readDocument } from '../../docs/markdown.js'
import { python } from '../../sdk/support/program.js'
import { exchange } from '../../support/http.js'
import { describeUnless, describeWith } from '../../support/require.js'
import { event, postJson } from '../support/events.js'
import { ROOT, waitFor } from '../support/server.js'
import { tail } from '../support/tail.js'
import { type Ran, Terminal } from './terminal.js'

const guides = filesOf('docs/guides', /\.md$/).map((path) => readDocument(path))
const guide = (name: string) => guides.find(({ path }) => path === `docs/guides/${name}.md`)!

/** Run by other tests, because they take a while or need a registry: of the clone, and of the SDKs. */
const ELSEWHERE = /^git clone|^npm (start|test) |^python3 -m pip install|^go get /
/** Guides whose commands need a broker: run by the tests of Kafka. */
const WITH_BROKER = new Set(['docs/guides/kafka.md'])
/** What a block that is not run may begin with: it needs another machine, or changes this one; or is no command. */
const NOT_HERE =
  /^(docker|kubectl|systemctl|systemd-sysusers|journalctl|sudo|cd|cp|npm install|promtool|node bench\/replay\/replay\.mjs) |^(npx sluicegate$|SLUICEGATE_|bytes per day|--log-max-bytes|sluicegate is ready|systemd-sysusers$)/

function expectRan({ command, code, stderr }: Ran): void {
  // Of a payload that is refused; and of what is ended with Ctrl-C.
  const expected = command.endsWith('explain -') ? [1] : command.includes('--follow') ? [0, 130] : [0]
  expect(expected, `${command}: ${stderr}`).toContain(code)
}

/** What guides take for granted: events, and records that were refused for want of a name. */
async function fill({ server }: Terminal): Promise<void> {
  const unnamed = Array.from({ length: 20 }, (_, n) => ({ properties: { token: 't0k', n } }))
  await exchange(server.ingest, postJson('/track', [event('Signed Up'), event('Left'), ...unnamed]))
  await waitFor(async () => ((await server.status()).rejects.next_offset === 20 ? true : undefined))
}

async function runGuide(name: string, terminal: Terminal): Promise<Ran[]> {
  const ran: Ran[] = []
  for (const { language, text } of guide(name).blocks) {
    if (language === 'sh' && !ELSEWHERE.test(text)) ran.push(...(await terminal.runBlock(text)))
  }
  expect(ran.length).toBeGreaterThan(0)
  for (const one of ran) expectRan(one)
  return ran
}

describeWith('jq', 'every command of the guide runs', () => {
  it('first event: with the replies that it promises, and the event is on disk', async () => {
    const ran = await runGuide('first-event', await Terminal.open())
    const [first, tailed, second, rejected, explained, status, doctor] = ran.map(({ stdout }) => stdout)
    const { spans } = guide('first-event')
    expect(spans).toContain(first)
    expect(spans).toContain(second)
    expect(JSON.parse(tailed!)).toMatchObject({ token: 't0k', record: { event: 'Signed Up' } })
    expect(JSON.parse(rejected!)).toMatchObject({ kind: 'rejected', problem: { code: 'token_missing' } })
    expect(explained).toMatch(/\^ byte \d+\n {2}token_missing/)
    expect(JSON.parse(status!)).toMatchObject({ ledger: { received: 2, accepted: 1, rejected: 1 } })
    expect(doctor).toContain('Nothing needs a hand.')
  })

  it('mend: what was refused comes back, once', async () => {
    const terminal = await Terminal.open()
    await fill(terminal)
    await runGuide('mend', terminal)
    const events = (await tail(join(terminal.folder, 'sluicegate-data'))).map(({ record }) => record.event)
    expect(events.filter((name) => name === 'Mended')).toHaveLength(1)
    expect(events.filter((name) => name === 'Signed up')).toHaveLength(19)
  })

  it.each(['consume', 'deploy', 'troubleshooting', 'sdks'])('%s', async (name) => {
    const terminal = await Terminal.open()
    await fill(terminal)
    await runGuide(name, terminal)
  })

  it('proxy: two processes beside another', async () => {
    await runGuide('proxy', await Terminal.open('2'))
  })
})

describe('the guides', () => {
  it('have no other commands than those, and those that need another machine or change this one', () => {
    const run = ['first-event', 'mend', 'consume', 'deploy', 'troubleshooting', 'sdks', 'proxy'].map(guide)
    const others = guides.filter((one) => !run.includes(one) && !WITH_BROKER.has(one.path))
    expect(others.flatMap(({ blocks }) => blocks.filter(({ language }) => language === 'sh'))).toEqual([])
    const unmarked = guides.flatMap(({ path, blocks }) =>
      WITH_BROKER.has(path)
        ? []
        : blocks.flatMap((block) => (block.language === '' ? block.text.split('\n') : [])),
    )
    expect(unmarked.length).toBeGreaterThan(20)
    expect(unmarked.filter((line) => line !== '' && !NOT_HERE.test(line))).toEqual([])
  })
})

/** Programs of a language below a heading of the SDKs' guide. */
function programs(heading: string, language: string): string {
  const texts = guide('sdks').blocks.filter(
    (block) => block.heading === heading && block.language === language,
  )
  expect(texts.length, heading).toBeGreaterThan(0)
  return texts.map(({ text }) => text).join('\n')
}

async function expectStored({ folder }: Terminal, kinds: readonly string[]): Promise<void> {
  const lines = await tail(join(folder, 'sluicegate-data'), ['--token', 'TOKEN'])
  expect(lines.map(({ kind }) => kind).toSorted()).toEqual(kinds)
  expect(lines.find(({ kind }) => kind === 'track')).toMatchObject({
    distinct_id: 'u1',
    record: { event: 'Signed Up', properties: { plan: 'pro' } },
  })
}

const pythonSdk = await python()

describe('the programs for SDKs', () => {
  it('Node.js', async () => {
    const terminal = await Terminal.open()
    writeFileSync(join(terminal.folder, 'program.mjs'), terminal.here(programs('Node.js', 'js')))
    expectRan(await terminal.launched('node program.mjs', [process.execPath, 'program.mjs']))
    await expectStored(terminal, ['engage', 'import', 'track'])
  })

  // Compiling them takes long: those that __test__/sdk compiles and runs make the same calls.
  it.each([
    ['Go', 'go', 'go/main.go'],
    ['Java', 'java', 'java/Client.java'],
  ])('%s: calls nothing that the tests of the SDK do not call', (heading, language, file) => {
    const callsOf = (text: string): Set<string> =>
      new Set([...text.matchAll(/\b(\w+)\(/g)].map(([, name]) => name!))
    const called = callsOf(readFileSync(join(ROOT, '__test__/sdk', file), 'utf8'))
    expect([...callsOf(programs(heading, language))].filter((name) => !called.has(name))).toEqual([])
  })
})

describeUnless(pythonSdk.reason, pythonSdk.parts, 'the program for the SDK of Python', () => {
  it('runs', async () => {
    const terminal = await Terminal.open()
    const env = { PYTHONPATH: pythonSdk.directory, PYTHONDONTWRITEBYTECODE: '1', NO_PROXY: '127.0.0.1' }
    const command = ['python3', '-c', terminal.here(programs('Python', 'python'))]
    expectRan(await terminal.launched('python', command, env))
    await expectStored(terminal, ['engage', 'track'])
  })
})
