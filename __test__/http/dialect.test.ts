/** Replies by dialect, from receipts made up here: docs/PROTOCOL.md 4.1, 4.4, 5.2. */
import { describe, expect, test } from 'vitest'
import { Content, Param, type Problem } from '../../src/decode/decoder.js'
import { ProblemId } from '../../src/decode/problems.js'
import { answerOf, isCallback, redirectTarget } from '../../src/http/dialect.js'
import type { Receipt } from '../../src/intake.js'
import type { Endpoint } from '../../src/record.js'

const OPTIONS = { redirectHosts: ['Ok.example', 'ok.example:8443'], durable: 'log' }

function problem(more: Partial<Problem> = {}): Problem {
  return {
    id: ProblemId.eventMissing,
    code: 'event_missing',
    index: 0,
    field: 'event',
    pointer: '/event',
    offset: 7,
    message: 'event, missing',
    hint: 'Give it a name.',
    got: '',
    insertId: undefined,
    ...more,
  }
}

function receipt(more: Partial<Receipt> = {}): Receipt {
  return {
    requestId: { head: 'R', last: '1' },
    received: 1,
    accepted: 1,
    rejected: 0,
    ignored: 0,
    params: 0,
    problems: [],
    undecodable: false,
    flags: [],
    ...more,
  }
}

const bad = (more: Partial<Receipt> = {}): Receipt =>
  receipt({ accepted: 0, rejected: 1, problems: [problem()], ...more })
const mixed = (more: Partial<Receipt> = {}): Receipt =>
  receipt({ received: 3, accepted: 2, rejected: 1, problems: [problem({ index: 1 })], ...more })

function answer(given: Receipt, endpoint: Endpoint = 'track', query = '') {
  return answerOf(given, { endpoint, content: Content.none, body: new Uint8Array(), query }, OPTIONS)
}

const text = (given: Receipt, endpoint?: Endpoint, query?: string): string =>
  String(answer(given, endpoint, query).body)

describe('plain', () => {
  test('R4: success is exactly 1, failure exactly 0', () => {
    expect(answer(receipt())).toEqual({ status: 200, type: 'text/plain; charset=utf-8', body: '1' })
    expect(answer(bad())).toEqual({ status: 200, type: 'text/plain; charset=utf-8', body: '0' })
  })

  test('R3: a batch with one good record is a success, and so is one that was ignored on purpose', () => {
    expect(text(mixed())).toBe('1')
    expect(text(receipt({ accepted: 0, ignored: 1 }))).toBe('1')
    expect(text(receipt({ received: 2, accepted: 0, ignored: 1, rejected: 1 }))).toBe('1')
  })

  test('R12: without strict, import and its kin answer in the legacy way', () => {
    for (const endpoint of ['import', 'engage', 'groups'] as const) {
      expect(text(bad(), endpoint)).toBe('0')
      expect(text(receipt(), endpoint)).toBe('1')
    }
  })
})

describe('verbose=1', () => {
  const verbose = { params: Param.verbose1 }

  test('R4: success is exactly error null, status 1', () => {
    expect(answer(receipt(verbose))).toEqual({
      status: 200,
      type: 'application/json',
      body: '{"error":null,"status":1}',
    })
  })

  test('R4: a failure has the two keys alone, and no prefix where there was one record', () => {
    expect(text(bad(verbose))).toBe('{"error":"event, missing","status":0}')
  })

  test('a failure of several records names the first one', () => {
    const given = bad({ ...verbose, received: 2, rejected: 2, problems: [problem(), problem({ index: 1 })] })
    expect(text(given)).toBe('{"error":"record 0: event, missing","status":0}')
  })

  test('a mixed batch counts and names the first problem', () => {
    expect(text(mixed(verbose))).toBe(
      '{"error":null,"status":1,"num_good_events":2,"num_bad_events":1,"first_error":"record 1: event, missing"}',
    )
  })

  test('records that were ignored on purpose count as good', () => {
    const given = mixed({ ...verbose, accepted: 1, ignored: 1 })
    expect(JSON.parse(text(given))).toMatchObject({ num_good_events: 2, num_bad_events: 1 })
  })
})

describe('verbose=2', () => {
  const verbose = { params: Param.verbose2 }

  test('says everything that is known about each problem, and what the answer stands on', () => {
    const given = mixed({
      ...verbose,
      ignored: 0,
      flags: ['late', 'utf8_repaired'],
      problems: [problem({ index: 1, got: 'null' })],
    })
    expect(JSON.parse(text(given))).toEqual({
      error: null,
      status: 1,
      num_good_events: 2,
      num_bad_events: 1,
      num_ignored_events: 0,
      first_error: 'record 1: event, missing',
      request_id: 'R1',
      durable: 'log',
      flags: ['late', 'utf8_repaired'],
      problems: [
        {
          code: 'event_missing',
          index: 1,
          field: 'event',
          pointer: '/event',
          offset: 7,
          message: 'event, missing',
          got: 'null',
          hint: 'Give it a name.',
          docs: 'docs/ERRORS.md#event_missing',
        },
      ],
    })
  })

  test('nothing is durable where nothing was accepted', () => {
    expect(JSON.parse(text(bad(verbose)))).toMatchObject({
      error: 'event, missing',
      status: 0,
      durable: null,
    })
  })
})

describe('strict', () => {
  const strict = { params: Param.strict | Param.verbose1 }

  test('wins over verbose: all good', () => {
    expect(answer(receipt({ ...strict, received: 2, accepted: 2 }), 'import')).toEqual({
      status: 200,
      type: 'application/json',
      body: '{"code":200,"num_records_imported":2,"status":"OK"}',
    })
  })

  test('R3: the good records are in, each bad one is listed with its first problem', () => {
    const problems = [problem({ index: 1, insertId: 'a:b' }), problem({ index: 4, field: '$insert_id' })]
    const given = mixed({ ...strict, received: 5, accepted: 3, rejected: 2, problems })
    for (const endpoint of ['import', 'engage', 'groups'] as const) {
      const { status, body } = answer(given, endpoint)
      expect(status).toBe(400)
      expect(body).toBe(
        '{"code":400,"error":"some data points in the request failed validation","failed_records":[' +
          '{"index":1,"insert_id":"a:b","field":"event","message":"event, missing"},' +
          '{"index":4,"insert_id":"","field":"$insert_id","message":"event, missing"}],' +
          '"num_records_imported":3,"status":"Bad Request"}',
      )
    }
  })

  test('records that were ignored on purpose count as imported', () => {
    const given = mixed({ ...strict, accepted: 1, ignored: 1 })
    expect(JSON.parse(text(given, 'import'))).toMatchObject({ code: 400, num_records_imported: 2 })
  })

  test('with verbose=2 the details stand behind the report: all good', () => {
    const given = receipt({
      params: Param.strict | Param.verbose2,
      received: 2,
      accepted: 2,
      flags: ['late'],
    })
    expect(text(given, 'import')).toBe(
      '{"code":200,"num_records_imported":2,"status":"OK","request_id":"R1","num_good_events":2,"num_bad_events":0,' +
        '"num_ignored_events":0,"durable":"log","flags":["late"],"problems":[]}',
    )
  })

  test('with verbose=2 the details stand behind the report: some bad, the first hundred explained (P7)', () => {
    const problems = Array.from({ length: 300 }, (_, index) => problem({ index }))
    const strict2 = { params: Param.strict | Param.verbose2, received: 301, accepted: 1, rejected: 300 }
    const { status, body } = answer(receipt({ ...strict2, problems }), 'import')
    expect(status).toBe(400)
    const {
      failed_records: failed,
      problems: shown,
      ...rest
    } = JSON.parse(String(body)) as Record<string, unknown[]>
    expect(failed).toHaveLength(300)
    expect(failed![299]).toEqual({ index: 299, insert_id: '', field: 'event', message: 'event, missing' })
    expect(shown).toHaveLength(100)
    expect(shown![99]).toMatchObject({ code: 'event_missing', index: 99, docs: expect.any(String) as string })
    expect(rest).toEqual({
      code: 400,
      error: 'some data points in the request failed validation',
      num_records_imported: 1,
      status: 'Bad Request',
      request_id: 'R1',
      num_good_events: 1,
      num_bad_events: 300,
      num_ignored_events: 0,
      durable: 'log',
      flags: [],
    })
  })

  test('P7: an insert id is repeated up to 64 bytes, which valid ones never reach', () => {
    const idOf = (insertId: string): unknown => {
      const given = bad({ ...strict, problems: [problem({ insertId })] })
      return (JSON.parse(text(given, 'import')) as { failed_records: { insert_id: string }[] })
        .failed_records[0]!.insert_id
    }
    expect(idOf('x'.repeat(64))).toBe('x'.repeat(64))
    expect(idOf('x'.repeat(65))).toBe(`${'x'.repeat(64)}…`)
    expect(idOf('ü'.repeat(100_000))).toBe(`${'ü'.repeat(32)}…`)
  })

  test('an undecodable payload has its own message and no records', () => {
    const missing = problem({ id: ProblemId.dataMissing, message: 'data, missing or empty' })
    expect(text(bad({ ...strict, undecodable: true, problems: [missing] }), 'import')).toBe(
      '{"code":400,"error":"data, missing or empty","failed_records":[],"num_records_imported":0,"status":"Bad Request"}',
    )
  })
})

describe('too many records', () => {
  const tooMany = problem({ id: ProblemId.tooManyRecords, message: 'too many records: 2001 (limit 2000)' })
  const given = (params: number): Receipt => bad({ params, undecodable: true, problems: [tooMany] })

  test.each([0, Param.verbose1, Param.strict, Param.img])('on import it is 413, params %i', (params) => {
    expect(answer(given(params), 'import')).toMatchObject({
      status: 413,
      body: '{"code":413,"error":"too many records: 2001 (limit 2000)","status":"Request Entity Too Large"}',
    })
  })

  test('R2: on the client endpoints it is bad content, 200', () => {
    for (const endpoint of ['track', 'engage', 'groups'] as const) {
      expect(answer(given(Param.verbose1), endpoint)).toMatchObject({
        status: 200,
        body: '{"error":"too many records: 2001 (limit 2000)","status":0}',
      })
    }
  })
})

describe('R1, P2: records that take more than a batch', () => {
  const message = 'data, too large once decoded: limit 16777216 bytes'
  const tooLarge = problem({ id: ProblemId.outputTooLarge, code: 'output_too_large', offset: -1, message })
  const given = (params: number): Receipt => bad({ params, undecodable: true, problems: [tooLarge] })

  test.each([0, Param.verbose1, Param.strict, Param.img, Param.callback, Param.redirect])(
    'are 413 everywhere, never 200 with 0, params %i',
    (params) => {
      for (const endpoint of ['track', 'engage', 'groups'] as const) {
        const { status, body, headers } = answer(given(params), endpoint, 'callback=f')
        expect([status, body, headers]).toEqual([413, `{"error":"${message}","status":0}`, undefined])
      }
      const { status, body } = answer(given(params), 'import')
      expect([status, body]).toEqual([
        413,
        `{"code":413,"error":"${message}","status":"Request Entity Too Large"}`,
      ])
    },
  )

  test('verbose=2 explains it', () => {
    const { status, body } = answer(given(Param.verbose2))
    expect(status).toBe(413)
    expect(JSON.parse(String(body))).toMatchObject({
      error: message,
      status: 0,
      durable: null,
      problems: [{ code: 'output_too_large', docs: 'docs/ERRORS.md#output_too_large' }],
    })
  })
})

describe('precedence: redirect, img, callback, verbose', () => {
  const all = Param.redirect | Param.img | Param.callback | Param.verbose1
  const query = 'redirect=https%3A%2F%2Fok.example%2Fx%3Fa%3D1&callback=f'

  test('redirect', () => {
    expect(answer(receipt({ params: all }), 'track', query)).toEqual({
      status: 302,
      type: '',
      body: '',
      headers: { location: 'https://ok.example/x?a=1' },
    })
    expect(answer(bad({ params: all }), 'track', query).status).toBe(302)
  })

  test('img, when the redirect leads elsewhere', () => {
    const elsewhere = answer(receipt({ params: all }), 'track', 'redirect=https://evil.example/&callback=f')
    expect(elsewhere).toMatchObject({ status: 200, type: 'image/gif' })
    expect(Buffer.from(elsewhere.body).toString('latin1', 0, 10)).toBe('GIF89a\x01\0\x01\0')
    expect(answer(bad({ params: Param.img }))).toEqual(answer(receipt({ params: Param.img })))
  })

  test('callback, with and without verbose', () => {
    const params = Param.callback | Param.verbose1
    expect(answer(receipt({ params: Param.callback }), 'track', 'callback=mixpanel._jsc[123]')).toEqual({
      status: 200,
      type: 'text/javascript; charset=utf-8',
      body: '/**/mixpanel._jsc[123](1);',
      headers: { 'x-content-type-options': 'nosniff' },
    })
    expect(text(bad({ params: Param.callback }), 'track', 'callback=f')).toBe('/**/f(0);')
    expect(text(receipt({ params }), 'track', 'callback=(function()%7B%7D)')).toBe(
      '/**/(function(){})({"error":null,"status":1});',
    )
    expect(text(bad({ params }), 'track', 'callback=f')).toBe('/**/f({"error":"event, missing","status":0});')
  })

  test('a callback that is no name is ignored', () => {
    expect(text(receipt({ params: Param.callback }), 'track', 'callback=alert(1)//')).toBe('1')
  })
})

test('callbacks are names, up to 128 bytes', () => {
  for (const name of ['f', '$', '_a.b.$c', 'a[0]', 'a.b[12].c', 'f'.repeat(128), '(function(){})']) {
    expect(isCallback(name), name).toBe(true)
  }
  const wrong = [
    '',
    '1a',
    'a-b',
    'a.',
    'a[b]',
    'a[]',
    'a b',
    'f\n',
    'f()',
    'ä',
    '(function(){})()',
    'f'.repeat(129),
  ]
  for (const name of wrong) expect(isCallback(name), name).toBe(false)
})

test('redirects lead to listed hosts only', () => {
  const hosts = OPTIONS.redirectHosts
  expect(redirectTarget('https://ok.example', hosts)).toBe('https://ok.example/')
  expect(redirectTarget('http://OK.example:8443/a', hosts)).toBe('http://ok.example:8443/a')
  const wrong = [
    'https://ok.example:9/',
    'https://ok.example.evil.example/',
    'https://ok.example@evil.example/',
    'https:\\\\evil.example\\@ok.example',
    '//ok.example/',
    '/path',
    'javascript://ok.example/%0aalert(1)',
    'ftp://ok.example/',
    '',
  ]
  for (const url of wrong) expect(redirectTarget(url, hosts), url).toBeUndefined()
  expect(redirectTarget('https://ok.example/', [])).toBeUndefined()
  expect(redirectTarget('https://ok.example/\r\nSet-Cookie: a=b', hosts)).toBe(
    'https://ok.example/Set-Cookie:%20a=b',
  )
})
