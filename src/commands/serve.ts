/** `sluicegate serve`: the server, from ready to stopped. */
import type { Command } from 'commander'
import { rmSync } from 'node:fs'
import { printConfig, type Config } from '../config.js'
import { KEYS } from '../config/schema.js'
import { suggest } from '../config/suggest.js'
import { UsageError } from '../errors.js'
import { startGate, type Gate } from '../gate.js'
import { createLogger, type Logger } from '../logger.js'
import { packageVersion } from '../version.js'
import { addSettings, allSettings, command, configOf } from './command.js'
import { writeReadyFile } from './ready-file.js'
import { endNow, firstSignal } from './signals.js'

const COMMANDS = ['serve', 'tail', 'cursors', 'rejects', 'explain', 'doctor', 'topics']

export function serveCommand(): Command {
  const serve = command('serve', 'Takes events, keeps them, answers. Runs until SIGTERM or SIGINT.')
  return addSettings(serve, KEYS)
    .option('--print-config', 'show the configuration in force as JSON, and leave')
    .option('--help-all', 'show every setting with its environment name')
    .allowExcessArguments(true)
    .action((options: Record<string, unknown>) => serveAction(serve.args, options))
}

async function serveAction(args: readonly string[], options: Record<string, unknown>): Promise<void> {
  // `serve` is the default command, so a mistyped command's name arrives here as an argument.
  const [stray] = args
  if (stray !== undefined) throw new UsageError(`${stray} is not a command${suggest(stray, COMMANDS)}`)
  if (options['helpAll'] === true) return void process.stdout.write(allSettings())
  const { config, warnings } = configOf(options)
  if (options['printConfig'] === true) return void process.stdout.write(`${printConfig(config)}\n`)
  const logger = createLogger(config)
  for (const warning of warnings) logger.warn(warning)
  await runServer(config, logger)
}

/** Serves until a signal arrives and everything in flight is answered and on disk. */
async function runServer(config: Config, logger: Logger): Promise<void> {
  exitOnFatal(logger)
  let started: Gate | undefined
  const stopping = firstSignal(logger, () => started)
  const gate = (started = await startGate(config, { logger }))
  try {
    announce(config, gate)
  } catch (error) {
    // Whoever waits for the file would wait for ever, and the listeners alone would keep the process.
    await stopGate(config, gate, logger)
    throw error
  }
  logger.info(`stopping on ${await stopping}`)
  await stopGate(config, gate, logger)
  logger.info('stopped')
}

/** A disk that does not answer holds a thread, for which the process would wait. */
async function stopGate({ readyFile }: Config, gate: Gate, logger: Logger): Promise<void> {
  const failure = await gate.stop().catch((error: unknown) => error)
  if (readyFile !== undefined) rmSync(readyFile, { force: true })
  if (failure === undefined) return
  if ((failure as { code?: string }).code !== 'disk_silent') throw failure
  logger.error((failure as Error).message)
  endNow()
}

/** The ready file first: whoever reads the line on stdout may look for it at once. */
function announce(config: Config, gate: Gate): void {
  const { ingestAddress, opsAddress } = gate
  if (config.readyFile !== undefined) {
    const ready = { ingest: ingestAddress, ops: opsAddress, pid: process.pid, version: packageVersion() }
    writeReadyFile(config.readyFile, `${JSON.stringify(ready)}\n`)
  }
  process.stdout.write(`sluicegate is ready: events on ${ingestAddress}, operations on ${opsAddress}\n`)
}

/** What nobody caught is a fault of ours: say it as a log line, then end; a supervisor starts anew. */
function exitOnFatal(logger: Logger): void {
  const onFatal = (error: unknown): void => {
    logger.fatal({ err: error instanceof Error ? error : new Error(String(error)) }, 'unexpected error')
    process.exit(1)
  }
  process.on('uncaughtException', onFatal)
  process.on('unhandledRejection', onFatal)
}
