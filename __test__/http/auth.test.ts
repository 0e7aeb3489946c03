/** Credentials of /import: docs/PROTOCOL.md 8. */
import { afterEach, describe, expect, test } from 'vitest'
import type { Config, TokenEntry } from '../../src/config.js'
import { basicCredential, ImportAuth } from '../../src/http/auth.js'
import { base64, EVENT, IMPORT, PROFILE } from '../decode/harness.js'
import { FORM_BODY, type Harness, JSON_BODY, JSON_ORIGIN, ORIGIN, send, startIngest } from './support.js'

const entry = (token: string, more: Partial<TokenEntry> = {}): TokenEntry => ({
  token,
  projectId: null,
  apiKeys: [],
  secrets: [],
  serviceAccounts: [],
  ...more,
})

const SERVICE = { username: 'svc', secret: 'sec:ret' }
const TOKENS = [
  entry('t0k', { projectId: '7', apiKeys: ['key7'], secrets: ['secret7'], serviceAccounts: [SERVICE] }),
  entry('t1k', { projectId: '8', serviceAccounts: [SERVICE] }),
  entry('t2k', { serviceAccounts: [{ username: 'free', secret: 's' }] }),
]
const CONFIG: Partial<Config> = { auth: 'tokens', tokens: TOKENS, tokensFile: 'tokens.json' }

const basic = (user: string, password = ''): string => `Basic ${base64(`${user}:${password}`)}`

describe('the header', () => {
  test.each([
    ['Basic dDBrOg==', { user: 't0k', password: '' }],
    ['basic   dDBrOg==', { user: 't0k', password: '' }],
    ['Basic svc:sec', { user: 'svc', password: 'sec' }],
    ['Basic svc:sec:ret', { user: 'svc', password: 'sec:ret' }],
    [basic('ü', 'ß'), { user: 'ü', password: 'ß' }],
    ['Bearer dDBrOg==', undefined],
    ['Basic', undefined],
    ['Basic dDBr', undefined],
    ['', undefined],
  ])('%s', (header, credential) => expect(basicCredential(header)).toEqual(credential))
})

describe('mode tokens', () => {
  const auth = new ImportAuth({ auth: 'tokens', tokens: TOKENS })
  const grant = (header: string | undefined, params: Record<string, string> = {}) =>
    auth.grant(header, (name) => params[name])

  test('takes a listed token or secret as the user, with its project', () => {
    expect(grant(basic('t0k'))).toEqual({ token: 't0k', projectId: '7' })
    expect(grant(basic('secret7'))).toEqual({ token: 't0k', projectId: '7' })
    expect(grant('Basic secret7:')).toEqual({ token: 't0k', projectId: '7' })
    expect(grant(basic('t2k'))).toEqual({ token: 't2k', projectId: null })
  })

  test('takes a service account for the project that the request names', () => {
    expect(grant(basic('svc', 'sec:ret'), { project_id: '7' })).toEqual({ token: 't0k', projectId: '7' })
    expect(grant(basic('svc', 'sec:ret'), { project_id: '8' })).toEqual({ token: 't1k', projectId: '8' })
    expect(grant('Basic svc:sec:ret', { project_id: '8' })).toEqual({ token: 't1k', projectId: '8' })
    expect(grant(basic('free', 's'), { project_id: '5' })).toEqual({ token: 't2k', projectId: '5' })
  })

  test('takes a listed api_key where there is no header', () => {
    expect(grant(undefined, { api_key: 'key7' })).toEqual({ token: 't0k', projectId: '7' })
  })

  test.each([
    ['nothing', undefined, {}],
    ['an unlisted token', basic('nope'), {}],
    ['an api_key as the user', basic('key7'), {}],
    ['a wrong secret', basic('svc', 'sec'), { project_id: '7' }],
    ['a wrong user', basic('svd', 'sec:ret'), { project_id: '7' }],
    ['a service account without a project', basic('svc', 'sec:ret'), {}],
    ['a service account of no project in particular without one', basic('free', 's'), {}],
    ['a service account for another project', basic('svc', 'sec:ret'), { project_id: '9' }],
    ['a project that is no number', basic('svc', 'sec:ret'), { project_id: '7 ' }],
    ['a token with a password', basic('t0k', 'x'), { project_id: '7' }],
    ['a bearer token', 'Bearer t0k', {}],
    ['a bearer token beside a listed key', 'Bearer t0k', { api_key: 'key7' }],
    ['an unlisted api_key', undefined, { api_key: 't0k' }],
    ['a wrong header beside a listed key', basic('nope'), { api_key: 'key7' }],
  ])('refuses %s', (_what, header, params) => expect(grant(header, params)).toBeUndefined())
})

describe('mode open', () => {
  const auth = new ImportAuth({ auth: 'open', tokens: undefined })
  const grant = (header: string | undefined, params: Record<string, string> = {}) =>
    auth.grant(header, (name) => params[name])

  test('refuses nobody; the user without a password is the token', () => {
    expect(grant(basic('anything'))).toEqual({ token: 'anything', projectId: null })
    expect(grant(undefined, { api_key: 'x' })).toEqual({ token: '', projectId: null })
    expect(grant('Bearer x')).toEqual({ token: '', projectId: null })
    expect(grant(basic('svc', 'sec'), { project_id: '12' })).toEqual({ token: '', projectId: '12' })
  })

  test('listed credentials stand for their token all the same', () => {
    const listed = new ImportAuth({ auth: 'open', tokens: TOKENS })
    expect(listed.grant(basic('secret7'), () => undefined)).toEqual({ token: 't0k', projectId: '7' })
  })

  test('P7: a user longer than 256 bytes is no token: every record would repeat it', () => {
    const grantOf = (user: string) => auth.grant(basic(user), () => undefined)
    expect(grantOf('t'.repeat(256))).toEqual({ token: 't'.repeat(256), projectId: null })
    expect(grantOf('ü'.repeat(128))!.token).toBe('ü'.repeat(128))
    for (const user of ['t'.repeat(257), 'ü'.repeat(129), 't'.repeat(60_000)]) {
      expect(grantOf(user)).toEqual({ token: '', projectId: null })
    }
    const long = 't'.repeat(300)
    const listed = new ImportAuth({ auth: 'tokens', tokens: [entry(long)] })
    expect(listed.grant(basic(long), () => undefined)).toEqual({ token: long, projectId: null })
  })
})

describe('over HTTP', () => {
  let harness: Harness
  afterEach(() => harness.close())
  const UNAUTHORIZED = '{"code":401,"error":"Invalid credentials","status":"Unauthorized"}'

  test('without a credential it is 401 with CORS, and nothing is kept', async () => {
    harness = await startIngest({ config: CONFIG })
    const headers = JSON_ORIGIN
    const reply = await send(harness.port, '/import?strict=1', { headers, body: JSON.stringify([IMPORT]) })
    expect(reply).toMatchObject({ status: 401, body: UNAUTHORIZED })
    expect(reply.headers['access-control-allow-origin']).toBe(ORIGIN.Origin)
    const key = await send(harness.port, '/import?api_key=nope', { headers, body: JSON.stringify(IMPORT) })
    expect(key).toMatchObject({ status: 401, body: UNAUTHORIZED })
    expect(harness.log.values).toEqual([])
    expect(harness.ledger.all.received).toBe(0)
    expect(harness.budget.usedBytes).toBe(0)
  })

  test('R7: an api_key in the query or in the form is found', async () => {
    harness = await startIngest({ config: CONFIG })
    const data = encodeURIComponent(JSON.stringify(IMPORT))
    const query = await send(harness.port, `/import?api_key=key7&data=${data}`)
    const form = await send(harness.port, '/import', {
      headers: FORM_BODY,
      body: `data=${data}&verbose=1&api_key=key7`,
    })
    expect([query.body, form.body]).toEqual(['1', '{"error":null,"status":1}'])
    expect(harness.log.envelopes).toMatchObject([
      { token: 't0k', project_id: '7' },
      { token: 't0k', project_id: '7' },
    ])
  })

  test('a service account brings the project of the query', async () => {
    harness = await startIngest({ config: CONFIG })
    const headers = { ...JSON_BODY, Authorization: 'Basic svc:sec:ret' }
    const reply = await send(harness.port, '/import?project_id=8', { headers, body: JSON.stringify(IMPORT) })
    expect(reply.body).toBe('1')
    expect(harness.log.envelopes).toMatchObject([{ token: 't1k', project_id: '8' }])
  })

  test('R2: a wrong header never refuses the client endpoints', async () => {
    harness = await startIngest({ config: CONFIG })
    const headers = { ...JSON_BODY, Authorization: basic('nope', 'wrong') }
    for (const [path, record] of [
      ['/track', EVENT],
      ['/engage', PROFILE],
    ] as const) {
      const reply = await send(harness.port, path, { headers, body: JSON.stringify(record) })
      expect(reply).toMatchObject({ status: 200, body: '1' })
    }
  })
})
