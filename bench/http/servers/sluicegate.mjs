// The server itself, composed as `serve` does it:
//
//   node sluicegate.mjs DATA_DIR|none native|reference [BROKER TOPIC_PREFIX]
//
// `none` puts a log in place that keeps nothing; all else stays. With a broker the log is shipped to it.
import { randomBytes } from 'node:crypto'
import { Budget } from '../../../dist/budget.js'
import { systemClock } from '../../../dist/clock.js'
import { configWith } from '../../../dist/config.js'
import { selectDecoder } from '../../../dist/decode/select.js'
import { decoderOptions } from '../../../dist/decoder-options.js'
import { startGate } from '../../../dist/gate.js'
import { createIngest } from '../../../dist/http/app.js'
import { Intake } from '../../../dist/intake.js'
import { Ledger } from '../../../dist/ledger.js'
import { createLogger } from '../../../dist/logger.js'
import { Rejects } from '../../../dist/rejects.js'
import { RequestIds } from '../../../dist/request-id.js'
import { announce } from './announce.mjs'
import { NullLog } from './null-log.mjs'

/** Hundreds of megabytes come in a second: the oldest segments go, so that a run needs no more disk than this. */
const LOG_BYTES_MAX = 2 * 1024 ** 3

const [dataDir, decoder, broker, topicPrefix] = process.argv.slice(2)
const config = configWith({
  port: 0,
  opsPort: 0,
  decoder,
  dataDir,
  drainMs: 0,
  logMaxBytes: LOG_BYTES_MAX,
  logWhenFull: 'drop-oldest',
  ...(broker === undefined ? {} : { kafka: [broker], topicPrefix }),
})
const logger = createLogger({ logLevel: 'error', logFormat: 'json' })
const portOf = (address) => Number(new URL(address).port)

/** src/gate.ts without storage and ops listener. */
async function serveWithoutLog() {
  const selected = selectDecoder(decoder, decoderOptions(config)).decoder
  const budget = new Budget(config.memoryInflightBytes)
  budget.take(2 * config.batchBytesMax)
  const clock = systemClock
  const log = new NullLog(config.batchBytesMax)
  const rejects = new Rejects(new NullLog(config.batchBytesMax), selected.tokens, clock, config.storeIp)
  const requestIds = new RequestIds(randomBytes(8))
  const intake = new Intake({ decoder: selected, log, rejects, ledger: new Ledger(), clock, requestIds })
  const ingest = createIngest({ config, intake, budget, logger, clock })
  const records = ({ keep }) => {
    const kept = log.kept ?? []
    log.kept = keep ? [] : undefined
    return kept.map((bytes) => bytes.toString('base64'))
  }
  announce(portOf(await ingest.listen()), { records })
}

async function serve() {
  const gate = await startGate(config, { logger })
  announce(portOf(gate.ingestAddress), { opsAddress: () => gate.opsAddress })
}

await (dataDir === 'none' ? serveWithoutLog() : serve())
