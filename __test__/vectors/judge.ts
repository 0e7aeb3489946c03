/** Holds a reply against what a vector expects of it, headers that belong on every reply included. */
import { expect } from 'vitest'
import type { Reply } from '../support/http.js'
import type { ExpectedReply, HeaderRule } from './golden.js'

const GIF_1X1_HEAD = Buffer.from('GIF89a\x01\0\x01\0', 'latin1')
const CORS = /^access-control-/

export function judge(reply: Reply, expected: ExpectedReply, origin: string | undefined): void {
  const { status, headers, body } = reply
  const text = body.toString()
  expect({ status, text: expected.body === undefined ? undefined : text }).toEqual({
    status: expected.status,
    text: expected.body,
  })
  if (expected.type !== undefined) expect(headers.get('content-type')).toBe(expected.type)
  if (expected.shape === 'gif_1x1') expect(body.subarray(0, GIF_1X1_HEAD.length)).toEqual(GIF_1X1_HEAD)
  if (expected.shape === 'error') judgeError(text)
  // An answer to HEAD names the length that its body would have.
  if (expected.body !== undefined && body.length > 0) {
    expect(headers.get('content-length')).toBe(String(body.length))
  }
  expect(headers.get('cache-control')).toBe('no-store')
  judgeCors(headers, origin)
  for (const [name, rule] of Object.entries(expected.headers ?? {}))
    judgeHeader(headers.get(name), name, rule)
}

/** R5: what is not 2xx is a JSON object with a string `error` and a `status`. */
function judgeError(text: string): void {
  const value = JSON.parse(text) as Record<string, unknown>
  expect(value['error']).toEqual(expect.stringMatching(/./))
  expect(value).toHaveProperty('status')
}

/** R6, and docs/PROTOCOL.md 4.3. */
function judgeCors(headers: ReadonlyMap<string, string>, origin: string | undefined): void {
  if (origin === undefined) {
    expect([...headers.keys()].filter((name) => CORS.test(name))).toEqual([])
    return
  }
  expect(headers.get('access-control-allow-origin')).toBe(origin)
  expect(headers.get('access-control-allow-credentials')).toBe('true')
  expect(headers.get('access-control-expose-headers')).toMatch(/retry-after/i)
  expect(headers.get('vary')).toMatch(/origin/i)
}

function judgeHeader(value: string | undefined, name: string, rule: HeaderRule): void {
  if (rule === null) expect(value, name).toBeUndefined()
  else if (typeof rule === 'string') expect(value, name).toBe(rule)
  else if ('matches' in rule) expect(value, name).toMatch(new RegExp(rule.matches))
  else for (const word of rule.includes) expect(value?.toLowerCase(), name).toContain(word)
}
