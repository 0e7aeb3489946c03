/**
 * The program's own log: lines with a level on stderr, JSON for machines or text for people. (The log that holds
 * events is src/log.) Nothing here may stop the server: lines that cannot be written are lost.
 */
import { pino, type Logger, type StreamEntry } from 'pino'
import type { Config } from './config.js'
import { systemClock, type Clock } from './clock.js'

export type { Logger }

/** What lines are written to; process.stderr in the program. */
export interface LineSink {
  readonly isTTY?: boolean
  write(line: string): unknown
}

/**
 * @param settings `auto` writes text on a terminal and JSON elsewhere
 */
export function createLogger(
  settings: Pick<Config, 'logLevel' | 'logFormat'>,
  sink: LineSink = process.stderr,
  clock: Clock = systemClock,
): Logger {
  const text = settings.logFormat === 'text' || (settings.logFormat === 'auto' && sink.isTTY === true)
  const stream: StreamEntry['stream'] = { write: (line) => void sink.write(text ? asText(line) : line) }
  return pino(
    {
      level: settings.logLevel,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.nowMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
}

/** `2026-11-24T08:00:00.000Z WARN  the log is 70 % full hours_left=3.5`. */
function asText(line: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>
  const fields = Object.entries(rest).map(([name, value]) => {
    return ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`
  })
  const stack = (err as { stack?: string } | undefined)?.stack
  const trace = stack === undefined ? '' : `\n  ${stack.replaceAll('\n', '\n  ')}`
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(msg ?? '')}${fields.join('')}${trace}\n`
}
