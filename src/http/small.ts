/** Endpoints that SDKs call beside the four; none of them queues anything (docs/PROTOCOL.md 1.2). */
import { packageVersion } from '../version.js'
import { type Answer, jsonAnswer } from './answer.js'

export interface SmallEndpoint {
  /** Below the mount prefix; '' for the root. */
  readonly path: string
  readonly method: 'GET' | 'POST'
  /** Answers at the root as well, whatever the mount prefix. */
  readonly atRoot: boolean
  /** Called across origins: OPTIONS is a preflight. */
  readonly preflight: boolean
  readonly answer: Answer
}

function endpoint(method: 'GET' | 'POST', path: string, body: object): SmallEndpoint {
  return { path, method, atRoot: false, preflight: true, answer: jsonAnswer(200, body) }
}

function page(path: string, answer: Answer): SmallEndpoint {
  return { path, method: 'GET', atRoot: true, preflight: false, answer }
}

export const SMALL_ENDPOINTS: readonly SmallEndpoint[] = [
  // JS logs an error on every page if the key is missing.
  endpoint('GET', '/flags', { flags: {} }),
  endpoint('GET', '/flags/definitions', { flags: [] }),
  // An empty `sdk_config` makes JS print an error on every page; without it the console stays silent.
  endpoint('GET', '/settings', { recording: { is_enabled: false, error: null } }),
  endpoint('POST', '/record', { code: 200, status: 'OK' }),
  endpoint('GET', '/decide', { notifications: [], config: { enable_collect_everything: false } }),
  page('/robots.txt', {
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: 'User-agent: *\nDisallow: /\n',
  }),
  page('', jsonAnswer(200, { name: 'sluicegate', version: packageVersion() })),
]

export function allowedMethods({ method, preflight }: SmallEndpoint): string {
  return preflight ? `${method}, OPTIONS` : method
}
