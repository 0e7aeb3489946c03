/** The program as users run it, in a process of its own: compiled anew from what src holds now. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Program {
  /** Starts the command line with these arguments. */
  start(...args: string[]): Running
  /** The same behind another command, such as a shell that sets limits. */
  startWithin(command: readonly [string, ...string[]], ...args: string[]): Running
  remove(): void
}

/** Inside the project, so that its modules are found; a directory of its own, so that nobody's dist is disturbed. */
export function compileProgram(): Program {
  const cache = join(root, '.cache')
  mkdirSync(cache, { recursive: true })
  const directory = mkdtempSync(join(cache, 'program-'))
  copyFileSync(join(root, 'package.json'), join(directory, 'package.json'))
  symlinkSync(join(root, 'native'), join(directory, 'native'))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const flags = ['-p', join(root, 'tsconfig.build.json'), '--noCheck', '--declaration', 'false']
  execFileSync(process.execPath, [tsc, ...flags, '--outDir', join(directory, 'dist')], { stdio: 'inherit' })
  const cli = join(directory, 'dist/cli.js')
  return {
    start: (...args) => new Running(spawn(process.execPath, [cli, ...args])),
    startWithin: ([command, ...before], ...args) =>
      new Running(spawn(command, [...before, process.execPath, cli, ...args])),
    remove: () => rmSync(directory, { recursive: true }),
  }
}

export class Running {
  out = ''
  err = ''
  readonly ended: Promise<number | NodeJS.Signals>

  constructor(readonly process: ChildProcess) {
    process.stdout!.setEncoding('utf8').on('data', (piece: string) => (this.out += piece))
    process.stderr!.setEncoding('utf8').on('data', (piece: string) => (this.err += piece))
    this.ended = new Promise((resolve) => {
      process.on('close', (code, signal) => resolve(code ?? signal!))
    })
  }

  /** Resolves once `pattern` has been printed on stdout; what it matched. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (let ended = false; ;) {
      const match = pattern.exec(this.out)
      if (match !== null) return match
      if (ended) throw new Error(`ended without printing ${pattern}: ${this.out}${this.err}`)
      const pause = new Promise((resolve) => setTimeout(resolve, 10))
      ended = await Promise.race([pause.then(() => false), this.ended.then(() => true)])
    }
  }
}
