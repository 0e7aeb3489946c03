/** Runs the command line in this process and catches what it prints. */
import { vi } from 'vitest'
import { exitCodeOf } from '../../../src/commands/exit.js'
import { buildProgram } from '../../../src/commands/program.js'

export interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number
}

export async function run(...args: string[]): Promise<Ran> {
  const [out, err] = [caught(process.stdout), caught(process.stderr)]
  process.exitCode = undefined
  let code: number
  try {
    await buildProgram().parseAsync(['node', 'sluicegate', ...args])
    code = Number(process.exitCode ?? 0)
  } catch (error) {
    code = exitCodeOf(error)
  } finally {
    process.exitCode = undefined
    for (const { restore } of [out, err]) restore()
  }
  return { out: out.text(), err: err.text(), code }
}

type Done = (error?: Error | null) => void

function caught(stream: NodeJS.WriteStream): { text: () => string; restore: () => void } {
  const pieces: Buffer[] = []
  const write = (piece: string | Uint8Array, encoding?: BufferEncoding | Done, done?: Done): boolean => {
    pieces.push(Buffer.from(piece as string))
    const called = typeof encoding === 'function' ? encoding : done
    if (called !== undefined) setImmediate(called)
    return true
  }
  const spy = vi.spyOn(stream, 'write').mockImplementation(write as typeof stream.write)
  // Or output that goes into a file would be written past the stream.
  const { fd } = stream as { readonly fd?: number }
  Object.assign(stream, { fd: undefined })
  const restore = (): void => {
    Object.assign(stream, { fd })
    spy.mockRestore()
  }
  return { text: () => Buffer.concat(pieces).toString(), restore }
}
