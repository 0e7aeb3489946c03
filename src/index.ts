/**
 * What a program may import: the server, its configuration, and readers of its log.
 *
 * ```ts
 * const gate = await startGate(configWith({ port: 0, opsPort: 0, dataDir: './events' }), { logger: createLogger({ logLevel: 'info', logFormat: 'auto' }) })
 * for await (const record of readLog({ directory: './events/0/log', from: 'start' })) console.log(record.offset)
 * ```
 */
export { systemClock, type Clock } from './clock.js'
export { configWith, loadConfig, type Config } from './config.js'
export { LogUnavailable, SluicegateError, UsageError } from './errors.js'
export { startGate, type Gate, type GateParts } from './gate.js'
export { Cursors, type Cursor } from './log/cursor.js'
export { readLog, type DamagedPlace, type Gap, type ReadOptions } from './log/reader.js'
export type { LogRecord } from './log/types.js'
export { createLogger, type Logger } from './logger.js'
export { FLAGS, KINDS, type Endpoint, type Flag, type Kind } from './record.js'
