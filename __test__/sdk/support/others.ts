/** What the programs in python/, go/ and java/ have in common: the project that they send for, and what must arrive. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { describeUnless } from '../../support/require.js'
import type { Program } from './program.js'
import { type Envelope, propertiesOf, TestServer } from './server.js'

export const TOKEN = 'tok_sdk'
export const TEXT = 'naïve 🌳 >>>???~~~'
export const EVENTS = 130
/** 2024-02-03T04:05:06.789Z. */
export const IMPORT_TIME_MS = 1_706_933_106_789

/** Every way in which these clients prove who they are. */
const ENTRY = {
  token: TOKEN,
  projectId: '42',
  apiKeys: ['k'],
  secrets: ['s3cret'],
  serviceAccounts: [{ username: 'svc', secret: 'sec' }],
}

/** Operations on profiles that all three clients make. */
export const PEOPLE: readonly object[] = [
  { $set: { plan: 'pro 🌳' } },
  { $set_once: { first: 1 } },
  { $add: { visits: 2 } },
  { $append: { pages: 'home' } },
  { $union: { tags: ['a', 'b'] } },
  { $remove: { tags: 'a' } },
  { $unset: ['old'] },
]
export const GROUPS: readonly object[] = [
  { $set: { seats: 12 } },
  { $set_once: { since: 2026 } },
  { $union: { products: ['anvil'] } },
  { $remove: { products: 'anvil' } },
  { $unset: ['old'] },
]

export interface Expected {
  /** `mp_lib/$lib_version`, or what the client says of that. */
  readonly lib: string
  /** Where the insert_id of its tracked events comes from. */
  readonly ids: 'client' | 'generated'
  /** Of profiles: operations beside PEOPLE and GROUPS, in any order. */
  readonly people: readonly object[]
  readonly groups: readonly object[]
  /** How many imported events by each credential, as their property `by` says. */
  readonly imports: Readonly<Record<string, number>>
  /** Further events by name; `$merge` is one of /import. */
  readonly others: readonly string[]
  /** Calls in the program's `refused` mode. */
  readonly refusals: number
}

/** The suite of one client. */
export function clientSuite(name: string, program: Program, expected: Expected): void {
  describeUnless(program.reason, program.parts, name, () => {
    let server: TestServer

    beforeEach(async () => {
      server = await TestServer.start({ auth: 'tokens', tokens: [ENTRY], tokensFile: 'given' })
    })
    afterEach(() => server.remove())

    it('takes every call for a success, and each record is in the log once', async () => {
      await program.run(server.url, 'send')
      const queue = await server.queue()
      expectEvents(queue, expected)
      expectProfiles(queue, expected)
      expectImports(queue, expected)
      await server.stop()
      expect(await server.rejects()).toEqual([])
    })

    it('R1: takes no call for a success while the log cannot be written', async () => {
      server.disk.error = 'EIO'
      expect(await program.run(server.url, 'refused')).toHaveLength(expected.refusals)
      server.disk.error = undefined
      await server.stop()
      expect(await server.queue()).toEqual([])
    })
  })
}

function expectEvents(queue: readonly Envelope[], { lib, ids, others }: Expected): void {
  const viewed = queue.filter(({ record }) => record['event'] === 'Viewed 🌳')
  const numbers = viewed.map((envelope) => Number(propertiesOf(envelope)['n'])).toSorted((a, b) => a - b)
  expect(numbers).toEqual(Array.from({ length: EVENTS }, (_, n) => n))
  for (const envelope of viewed) {
    expect(envelope).toMatchObject({ kind: 'track', token: TOKEN, distinct_id: 'u1', lib, flags: [] })
    expect(envelope.insert_id_source).toBe(ids)
    expect(propertiesOf(envelope)).toMatchObject({ text: TEXT, token: TOKEN })
  }
  const rest = queue
    .map(({ record }) => record['event'])
    .filter((event) => event !== undefined && event !== 'Viewed 🌳' && event !== 'Imported')
  expect(rest.toSorted()).toEqual(others.toSorted())
}

const IDENTITY = new Set([
  '$token',
  '$distinct_id',
  '$group_key',
  '$group_id',
  '$time',
  '$ip',
  '$ignore_alias',
])

/** Without what names the profile, and without modifiers. */
function operationsOf(queue: readonly Envelope[], kind: string): object[] {
  return queue
    .filter((envelope) => envelope.kind === kind)
    .map(({ record }) => Object.fromEntries(Object.entries(record).filter(([key]) => !IDENTITY.has(key))))
}

function expectProfiles(queue: readonly Envelope[], { people, groups }: Expected): void {
  const [engaged, grouped] = [operationsOf(queue, 'engage'), operationsOf(queue, 'groups')]
  expect(engaged).toHaveLength(PEOPLE.length + people.length)
  expect(grouped).toHaveLength(GROUPS.length + groups.length)
  for (const operation of [...PEOPLE, ...people]) expect(engaged).toContainEqual(operation)
  for (const operation of [...GROUPS, ...groups]) expect(grouped).toContainEqual(operation)
  for (const { kind, token, record } of queue) {
    if (kind === 'engage') expect([token, record['$distinct_id']]).toEqual([TOKEN, 'u1'])
    if (kind === 'groups')
      expect([token, record['$group_key'], record['$group_id']]).toEqual([TOKEN, 'company', 'acme'])
  }
}

function expectImports(queue: readonly Envelope[], { imports, lib }: Expected): void {
  const imported = queue.filter(({ kind, record }) => kind === 'import' && record['event'] === 'Imported')
  const counts: Record<string, number> = {}
  const ids = new Set<string>()
  for (const envelope of imported) {
    const by = String(propertiesOf(envelope)['by'])
    counts[by] = (counts[by] ?? 0) + 1
    ids.add(envelope.insert_id)
    expect(envelope).toMatchObject({
      token: TOKEN,
      project_id: '42',
      distinct_id: 'u1',
      lib,
      time_ms: IMPORT_TIME_MS,
      flags: [],
    })
  }
  expect(counts).toEqual(imports)
  expect(ids.size).toBe(imported.length)
}
