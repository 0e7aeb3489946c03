/** Talks to the ops listener of a running server. */
import { SluicegateError, UsageError } from '../errors.js'
import type { ReplayRequest, ReplayResult } from '../replay.js'
import { ownerOf, type WriterDirectory } from './directory.js'

const TIMEOUT_MS = 120_000

/** Where the ops listener is: what `--ops` says, or what the directory's owner does. */
export async function opsAddress(
  given: string | undefined,
  directory: () => WriterDirectory,
): Promise<string> {
  if (given !== undefined) return checkedUrl(given)
  const found = directory()
  const owner = await ownerOf(found)
  if (owner === undefined) {
    throw new SluicegateError(
      'no_server',
      `no server runs on ${found.path}: start one, or name its ops listener with --ops`,
    )
  }
  if (owner.ops === null) {
    throw new SluicegateError(
      'no_ops',
      `the server on ${found.path} (process ${owner.pid}) is not ready yet, or has no ops listener`,
    )
  }
  return owner.ops
}

function checkedUrl(text: string): string {
  const url = /^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined)
    throw new UsageError(`--ops must be a URL such as http://127.0.0.1:8081, not ${text}`)
  return url.origin
}

/** @throws SluicegateError when the server cannot be reached or will not */
export async function postReplay(address: string, request: ReplayRequest): Promise<readonly ReplayResult[]> {
  const body = JSON.stringify(request)
  const answer = await ask(`${address}/rejects/replay`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  const content = (await answer.json().catch(() => ({}))) as {
    results?: readonly ReplayResult[]
    error?: string
    code?: string
  }
  if (!answer.ok || content.results === undefined) {
    const said = content.error ?? `it answers ${answer.status}`
    throw new SluicegateError(content.code ?? 'ops_refused', `${address} does not replay: ${said}`)
  }
  return content.results
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' })
  } catch (cause) {
    const reason =
      ((cause as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? (cause as Error).message
    throw new SluicegateError('ops_unreachable', `${url} cannot be reached (${reason})`, { cause })
  }
}

/** What a GET answers as JSON, whatever its status; undefined when it cannot be had within a moment. */
export async function getJson(url: string): Promise<{ status: number; content: unknown } | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000), redirect: 'error' })
    return { status: answer.status, content: await answer.json() }
  } catch {
    return undefined
  }
}
