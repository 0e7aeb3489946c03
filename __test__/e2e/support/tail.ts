/** What `sluicegate tail` prints of a data directory. */
import { expect } from 'vitest'
import { cli } from './server.js'

export interface Line {
  readonly offset: number
  readonly key: string
  readonly kind: string
  readonly token: string | null
  readonly request_id: string
  readonly index: number
  readonly distinct_id: string | null
  readonly flags: readonly string[]
  readonly record: { readonly event?: string; readonly properties?: Readonly<Record<string, unknown>> }
}

/** Every line as it was printed. */
export async function tailText(
  dataDir: string,
  args: readonly string[] = [],
  within: readonly string[] = [],
): Promise<string[]> {
  const { code, stdout, stderr } = await cli(['tail', '--data-dir', dataDir, ...args], { within })
  expect(code, stderr).toBe(0)
  return stdout.split('\n').slice(0, -1)
}

export async function tail(
  dataDir: string,
  args: readonly string[] = [],
  within: readonly string[] = [],
): Promise<Line[]> {
  return (await tailText(dataDir, ['--meta', ...args], within)).map((line) => JSON.parse(line) as Line)
}

/** Of each line what `pick` takes, as the lines come: all of a long run are more than one string, or the heap, can hold. */
export async function tailEach<T>(dataDir: string, pick: (line: Line) => T): Promise<T[]> {
  const picked: T[] = []
  let rest = ''
  const take = (text: string): void => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) picked.push(pick(JSON.parse(line) as Line))
  }
  const { code, stderr } = await cli(['tail', '--data-dir', dataDir, '--meta'], { take })
  expect([code, rest], stderr).toEqual([0, ''])
  return picked
}
