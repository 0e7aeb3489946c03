/** Runs what the guides tell people to type, in a folder of its own, beside a server that belongs to that folder. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CLI,
  type Exit,
  inTime,
  launch,
  ROOT,
  type ServerProcess,
  startServer,
  waitFor,
  workspace,
} from '../support/server.js'

const COMMAND_MS_MAX = 20_000
/** What goes on for ever is looked at for so long. */
const FOLLOW_S = 1

export interface Ran extends Exit {
  readonly command: string
  readonly stdout: string
  readonly stderr: string
}

/** `npx sluicegate` without a subcommand, or `serve`: a server, which ends with a signal. */
const SERVER = /^(?!.*--print-config)npx sluicegate (?:serve )?--/

export class Terminal {
  private constructor(
    readonly folder: string,
    readonly server: ServerProcess,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /**
   * `npx sluicegate` is the program of this checkout, and the editor one that gives a record a name.
   *
   * @param writer of the server that is there
   */
  static async open(writer = '0'): Promise<Terminal> {
    const folder = workspace()
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    const scripts = {
      npx: `[ "$1" = sluicegate ] && shift && exec ${process.execPath} ${CLI} "$@"`,
      editor: `exec sed -i 's/^{/{"event":"Mended",/' "$1"`,
    }
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const dataDir = join(folder, 'sluicegate-data')
    const server = await startServer({ dataDir, args: ['--writer', writer] })
    return new Terminal(folder, server, { PATH: `${bin}:${process.env['PATH']}`, EDITOR: 'editor' })
  }

  /** The text with the addresses that this server has. */
  here(text: string): string {
    return text
      .replaceAll('http://127.0.0.1:8080', this.server.ingest)
      .replaceAll('127.0.0.1:8080', new URL(this.server.ingest).host)
      .replaceAll('http://127.0.0.1:8081', this.server.ops)
  }

  /** Every command of a block to its end, in order. */
  async runBlock(block: string): Promise<Ran[]> {
    const ran: Ran[] = []
    for (const command of commandsOf(block)) ran.push(await this.run(command))
    return ran
  }

  run(command: string): Promise<Ran> {
    if (SERVER.test(command)) return this.runServer(command)
    const follows = command.includes('--follow')
    const text = follows
      ? command.replace('npx', `timeout --preserve-status --signal INT ${FOLLOW_S} npx`)
      : command
    return this.launched(command, ['bash', '-euo', 'pipefail', '-c', this.here(text)])
  }

  /** A program in the folder. */
  async launched(command: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
    const one = launch(words, { cwd: this.folder, env: { ...this.env, ...env } })
    const exit = await inTime(command, one.exited, COMMAND_MS_MAX)
    return { command, ...exit, stdout: one.stdout, stderr: one.stderr }
  }

  /** Until it is ready, on ports that are free, beside the server that is there. */
  private async runServer(command: string): Promise<Ran> {
    const readyFile = join(this.folder, `ready-${Date.now()}.json`)
    const place = command.includes('--writer') ? '' : '--data-dir ./other-data'
    const own = `--port 0 --ops-port 0 ${place} --drain-ms 0 --ready-file ${readyFile}`
    const one = launch(['bash', '-c', `exec ${command} ${own}`], { cwd: this.folder, env: this.env })
    await waitFor(() => {
      if (one.exit !== undefined) throw new Error(`${command}: ${one.stderr}`)
      return existsSync(readyFile) && readFileSync(readyFile, 'utf8') !== '' ? true : undefined
    }, COMMAND_MS_MAX)
    one.signal('SIGTERM')
    const exit = await inTime(command, one.exited, COMMAND_MS_MAX)
    return { command, ...exit, stdout: one.stdout, stderr: one.stderr }
  }
}

/** One command a line, unless the line says that it goes on. */
export function commandsOf(block: string): string[] {
  const commands = ['']
  for (const line of block.split('\n')) {
    const last = commands.length - 1
    commands[last] = commands[last] === '' ? line : `${commands[last]}\n${line}`
    if (!/[|\\]\s*$/.test(line)) commands.push('')
  }
  return commands.filter((command) => command.trim() !== '')
}
